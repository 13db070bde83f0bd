#!/usr/bin/env bash
# Two GPUs of one machine by NCCL: the networks of ci/mpi_fits.py from one GPU and from two, to the bit.
#
#     bash ci/nccl.sh [PYTHON]    an environment with xpnn and CuPy; what lacks is installed into it
#
# ci/gpu.sh calls it where there are two GPUs. It needs MPI for the processes to meet: mpich's wheel.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

python=${1:-${PYTHON:-python3}}
at_most=300 # seconds; kernels are compiled at first use

install() {
    local kind
    kind=$("$python" -c 'import cupy; print(cupy.cuda.runtime.runtimeGetVersion() // 1000)')
    "$python" -c 'from cupy.cuda import nccl; assert nccl.available' 2>/dev/null ||
        "$python" -m pip install -q "nvidia-nccl-cu$kind"
    "$python" -c 'import mpi4py' 2>/dev/null || "$python" -m pip install -q mpi4py mpich
}

fits() { # fits N   on as many GPUs
    timeout "$at_most" "$(dirname "$(command -v "$python")")/mpiexec" -n "$1" "$python" ci/mpi_fits.py --nccl
}

same_bits() {
    for n in 1 2; do
        fits "$n" >"$scratch/bits.$n"
    done
    cmp "$scratch/bits.1" "$scratch/bits.2"
    tr ',' '\n' <"$scratch/bits.1"
}

stage "NCCL and MPI" install
stage "the same bits for 1 and 2 GPUs" same_bits
current_stage="end"
