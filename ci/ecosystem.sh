#!/usr/bin/env bash
# The tests that need packages which no other run installs, and one realistic use of each of some thirty tools that
# take an estimator, on scikit-learn's and on ours: a table.
#
#     bash ci/ecosystem.sh             all of it
#     bash ci/ecosystem.sh tests       the tests alone
#     bash ci/ecosystem.sh NAME...     these tools alone, of ci/ecosystem.py --list
#
# PYTHON           the interpreter (python3)
# XPNN_CI_VENV     where the environments go; they are emptied first (a temporary folder)
# XPNN_CI_TORCH    what pip installs as PyTorch (torch==2.13.0)
# XPNN_ECOSYSTEM   where the table is written as well (docs/ecosystem.md is written by hand of it)
#
# A test that is skipped is an error. A tool that does not install beside the newest scikit-learn and NumPy, or runs
# longer than five minutes, is reported in its row, and the others go on. Exit status 1: a test fails, or ours fails
# where scikit-learn's does not.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

where=${XPNN_CI_VENV:-$scratch/venv}
venv=$where/tools
lines=$scratch/lines.json
python=$venv/bin/python
export OMP_NUM_THREADS=1 MPLBACKEND=Agg

# What the tests of trackers, exchange, callbacks, blocks and workbooks need beyond xpnn[test].
tested=(keras tensorboard tensorboardX mlflow wandb optuna skops ipython openpyxl rich h5py zarr "dask[dataframe]"
    polars skl2onnx hummingbird-ml)
files=(tests/test_trackers.py tests/test_exchange_torch.py tests/test_plain.py tests/test_converters.py tests/test_onnx.py
    tests/test_sklearn_callbacks.py tests/test_sklearn_ecosystem.py tests/test_block_sources.py tests/test_reading.py
    tests/test_reading_files.py tests/test_docs_examples.py)

run_tests() {
    local venv=$where/tests log=$scratch/tests.log
    new_environment "$venv"
    "$venv/bin/pip" install -q "${XPNN_CI_TORCH:-torch==2.13.0}" # alone and first: nothing picks another build
    "$venv/bin/pip" install -q --prefer-binary -e ".[test]" "${tested[@]:0:${#tested[@]}-1}"
    # hummingbird asks for a version of onnx that is older than ours
    "$venv/bin/pip" install -q --no-deps "${tested[-1]}" onnxconverter-common
    "$venv/bin/pip" install -q dill psutil
    "$venv/bin/pip" list | grep -iE "^($(IFS='|' && echo "${tested[*]%%[*}")|onnx|torch|numpy|scikit-learn) "
    tests "$log" --device=numpy,torch:cpu "${files[@]}"
    if grep -q '^SKIPPED' "$log"; then
        echo "no test may be skipped here: see the lines SKIPPED above" >&2
        return 1
    fi
}

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

if [ $# -eq 0 ] || [ "$*" = tests ]; then stage "tests" run_tests; fi
if [ "$*" != tests ]; then
    stage "environment" install_ours
    stage "tools" try_all "$@"
    stage "table" show
fi
current_stage="end"
