#!/usr/bin/env bash
# One realistic use of each of some thirty tools that take an estimator, on scikit-learn's and on ours: a table.
#
#     bash ci/ecosystem.sh [NAME...]      (default: all of ci/ecosystem.py --list)
#
# PYTHON           the interpreter (python3)
# XPNN_CI_VENV     where the environment goes; it is emptied first (a temporary folder)
# XPNN_ECOSYSTEM   where the table is written as well (docs/ecosystem.md is written by hand of it)
#
# A tool that does not install beside the newest scikit-learn and NumPy, or runs longer than five minutes, is
# reported in its row, and the others go on. Exit status 1: ours fails where scikit-learn's does not.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

venv=${XPNN_CI_VENV:-$scratch/venv}
lines=$scratch/lines.json
python=$venv/bin/python
export OMP_NUM_THREADS=1 MPLBACKEND=Agg

install_ours() {
    new_environment "$venv"
    "$python" -m pip install -q -e ".[plot,data]" scikit-learn pandas
    # a tool that would take these back does not install, rather than change what the others run on
    "$python" -m pip freeze | grep -iE '^(numpy|scipy|scikit-learn)==' >"$scratch/constraints.txt"
    cat "$scratch/constraints.txt"
}

report() { # report NAME WORDS
    printf '{"tool": "%s", "version": "", "sklearn": "%s", "xpnn": "%s"}\n' "$1" "$2" "$2" >>"$lines"
}

try() { # try NAME PACKAGE...
    local name=$1 log
    shift
    log=$scratch/${name%%[*}.log
    if ! timeout 600 "$python" -m pip install -q --prefer-binary -c "$scratch/constraints.txt" "$@" >"$log" 2>&1; then
        tail -n 3 "$log"
        report "$name" "does not install"
    elif ! timeout 300 "$python" ci/ecosystem.py "$name" >>"$lines" 2>"$log"; then
        tail -n 3 "$log"
        report "$name" "did not end well"
    fi
    tail -n 1 "$lines"
}

try_all() {
    local name packages
    "$python" ci/ecosystem.py --list >"$scratch/list.txt"
    while read -r name packages; do
        # shellcheck disable=SC2086  # packages are words
        if [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; then try "$name" $packages; fi
    done <"$scratch/list.txt"
}

show() {
    "$python" ci/ecosystem.py --table "$lines" | tee "${XPNN_ECOSYSTEM:-/dev/null}"
    "$python" ci/ecosystem.py --check "$lines"
}

stage "environment" install_ours
stage "tools" try_all "$@"
stage "table" show
current_stage="end"
