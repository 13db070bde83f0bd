#!/usr/bin/env bash
# Several processes by MPI, from an empty environment: mpich's wheel and mpi4py.
#
#     bash ci/mpi.sh
#
# The same networks from 1, 2, 3 and 4 processes, to the bit; one that fails and one that is killed,
# and a fit that goes on from the checkpoint to the bits of an unbroken one.
#
# PYTHON         the interpreter (python3)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

venv=$scratch/venv
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # more processes than processors
at_most=60                                      # seconds, with a start that is slow on a busy machine

install() {
    "$venv/bin/python" -m pip install -q -e ".[mpi]" mpich pyarrow
}

processes() { # processes N SCRIPT ARGUMENTS
    local n=$1
    shift
    timeout "$at_most" "$venv/bin/mpiexec" -n "$n" "$venv/bin/python" "$@"
}

same_bits() {
    local at_most=300 # of many fits
    for n in 1 2 3 4; do
        processes "$n" ci/mpi_fits.py >"$scratch/bits.$n"
        cmp "$scratch/bits.1" "$scratch/bits.$n"
    done
    tr ',' '\n' <"$scratch/bits.1"
}

ends() { # ends HOW PATTERN   all processes, soon, with an error that names who failed
    local log=$scratch/$1.log began=$SECONDS
    if processes 3 ci/mpi_failure.py "$1" "$scratch/$1" >"$log" 2>&1; then
        echo "a rank failed and mpiexec says that all is well" >&2
        return 1
    fi
    [ $((SECONDS - began)) -lt "$at_most" ]
    grep -E "$2" "$log" || { cat "$log" >&2; return 1; }
}

goes_on() { # goes_on HOW   to the bits of a fit that was never broken off
    processes 2 ci/mpi_failure.py resume "$scratch/$1" >"$scratch/sums"
    read -r resumed whole <"$scratch/sums"
    [ "$resumed" = "$whole" ]
}

folder_of_files() { # xpnn train FOLDER --mpi: the predictions of 1 and 2 processes
    local table=$scratch/table
    mkdir -p "$table"
    awk 'BEGIN {
        srand(1)
        for (i = 0; i < 900; i++) {
            x = rand(); y = rand(); file = "'"$table"'/part-" i % 3 ".csv"
            if (i < 3) print "x,colour,y,label" >file
            label = x + y > 1 ? "yes" : "no"
            printf("%.4f,%s,%.4f,%s\n", x, i % 2 ? "red" : "blue", y, label) >file
        }
    }'
    for n in 1 2; do
        timeout "$at_most" "$venv/bin/mpiexec" -n "$n" "$venv/bin/xpnn" train "$table" --mpi \
            --epochs 4 --members 2 --device numpy --out "$scratch/out.$n" --quiet
        "$venv/bin/xpnn" predict "$scratch/out.$n/model.safetensors" "$table/part-0.csv" \
            --out "$scratch/predicted.$n.csv"
    done
    cmp "$scratch/predicted.1.csv" "$scratch/predicted.2.csv"
}

stage "environment" new_environment "$venv"
stage "install" install
stage "the same bits for 1, 2, 3 and 4 processes" same_bits
stage "a folder of files, read by two processes" folder_of_files
stage "a rank fails" ends raise "rank 2 failed: RuntimeError: a callback that fails"
stage "and another fit goes on from its checkpoint" goes_on raise
stage "a rank fails before its fit" ends before "rank 2 failed: RuntimeError: no rows to be read"
stage "a rank is killed" ends kill "Killed|signal 9|KILLED"
stage "and another fit goes on from its checkpoint" goes_on kill
current_stage="end"
