#!/usr/bin/env bash
# The workers of a Dask cluster, from an empty environment.
#
#     bash ci/dask.sh
#
# The tests of Dask with threads for workers; then processes: the same networks from 1 to 5
# workers and from one process without Dask, to the bit, and a worker that is killed.
#
# PYTHON         the interpreter (python3)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

venv=$scratch/venv
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # more processes than processors

install() {
    "$venv/bin/python" -m pip install -q -e ".[dask,test]"
}

unit_tests() {
    "$venv/bin/python" -m pytest -q --slow --device=numpy tests/test_dask.py
}

stage "environment" new_environment "$venv"
stage "install" install
stage "tests" unit_tests
stage "the same bits on 1 to 5 workers" timeout 600 "$venv/bin/python" ci/dask_fits.py bits
stage "a worker is killed" timeout 600 "$venv/bin/python" ci/dask_fits.py kill
current_stage="end"
