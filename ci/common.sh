# Sourced by the scripts beside it: strict mode, named stages with their durations, environments.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
exec </dev/null

export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
unset PYTHONPATH # what is installed is what is tested

scratch=$(mktemp -d "${TMPDIR:-/tmp}/xpnn-ci-XXXXXX")
current_stage=""
summary=""

finish() {
    local status=$?
    rm -rf "$scratch"
    [ -n "$current_stage" ] || exit "$status" # it never got as far as a stage
    printf '\n%s' "$summary"
    if [ "$status" -ne 0 ]; then
        echo "FAILED in stage '$current_stage' (exit status $status)"
    fi
    exit "$status"
}
trap finish EXIT

say() { # a line that is printed again at the end
    summary+="$1"$'\n'
}

stage() { # stage NAME COMMAND...   runs the command and says how long it took
    current_stage=$1
    shift
    local began=$SECONDS
    echo "::: $current_stage"
    "$@"
    echo "::: $current_stage: ok, $((SECONDS - began)) s"
    say "::: $current_stage: ok, $((SECONDS - began)) s"
}

new_environment() { # new_environment DIRECTORY   an empty virtual environment
    local python=${PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "$python does not run, or is older than Python 3.11: set PYTHON to a newer one" >&2
        return 1
    fi
    "$python" -m venv --clear "$1"
    "$1/bin/python" --version
}

tests() { # tests LOG ARGUMENT...   pytest in $venv on all cores; its last line is said again
    local log=$1 workers status=0
    shift
    workers=$(nproc 2>/dev/null || sysctl -n hw.ncpu)
    workers=$((workers < 8 ? workers : 8))
    echo "pytest -n $workers $*"
    # One thread in each process: the processes already fill the cores.
    CI=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
        "$venv/bin/pytest" --slow -n "$workers" --durations=15 "$@" 2>&1 | tee "$log" || status=$?
    say "$(tail -n 1 "$log")"
    return "$status"
}
