#!/usr/bin/env bash
# The tests and benchmarks on an NVIDIA GPU, and a report to attach to a bug report.
#
#     bash ci/gpu.sh [--with torch,jax] [--here] [--only timings] [--report FILE]
#
# --with    libraries to test on the GPU besides CuPy; with torch, timings stand beside it
# --only    timings: no tests
# --here    use the Python of $PYTHON (python3) as it is and install nothing
# --report  where the report goes (xpnn-gpu-report.md)
#
# The targets are named, so it cannot pass by skipping. It ends with pytest's exit status.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

with="" here=false only="" report=$root/xpnn-gpu-report.md
while [ $# -gt 0 ]; do
    case $1 in
        --with) with=${2:?--with needs a list: torch,jax} && shift 2 ;;
        --report) report=${2:?--report needs a file} && shift 2 ;;
        --here) here=true && shift ;;
        --only) only=${2:?--only needs a word: timings} && shift 2 ;;
        *) echo "gpu.sh: unknown argument $1 (known: --with LIST, --here, --only timings, --report FILE)" >&2 && exit 2 ;;
    esac
done

refuse() {
    echo "gpu.sh: $1" >&2
    exit 1
}

case $only in "" | timings) ;; *) refuse "--only knows timings, not $only" ;; esac

command -v nvidia-smi >/dev/null || refuse "no NVIDIA driver here (nvidia-smi is not found)"
header=$(nvidia-smi 2>&1) || refuse "no usable GPU: $(echo "$header" | tail -n 1)"
# Newer drivers write "CUDA UMD Version"; it is the newest CUDA that the driver runs.
cuda=$(echo "$header" | sed -nE 's/.*CUDA [A-Za-z ]*Version *: *([0-9]+)\.[0-9]+.*/\1/p' | head -n 1)
gpus=$(nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader)
case $cuda in
    "") refuse "nvidia-smi does not say which CUDA version its driver runs" ;;
    [0-9] | 1[01]) refuse "this driver runs CUDA $cuda; CuPy needs CUDA 12 or newer: update the driver" ;;
    12) extra=cuda12 ;;
    *) extra=cuda13 ;;
esac

targets=cupy:0
[ "$(echo "$gpus" | wc -l)" -gt 1 ] && targets+=,cupy:1
for library in ${with//,/ }; do
    case $library in
        torch | jax) targets+=,$library:cuda ;;
        *) refuse "--with knows torch and jax, not $library" ;;
    esac
done

if $here; then
    python=$(command -v "${PYTHON:-python3}") || refuse "no ${PYTHON:-python3} here"
    export PYTHONPATH=$root/src
else
    stage "environment" new_environment "$scratch/venv"
    python=$scratch/venv/bin/python
fi
export XPNN_DEVICE=cupy:0

install() {
    local library
    for library in ${with//,/ }; do
        # torch before the rest, so that nothing else picks its build; jax[cuda13] brings CUDA libraries
        if [ "$library" = torch ]; then "$python" -m pip install -q torch; else "$python" -m pip install -q "jax[$extra]"; fi
    done
    "$python" -m pip install -q -e ".[test,$extra]"
}

probe() { # a small product that needs the runtime, cuBLAS and NVRTC
    "$python" -c 'import cupy; a = cupy.ones((3, 3)); assert float((a @ a + 1).sum()) == 36; print("cupy", cupy.__version__, "works")'
}

tests_on_gpu() {
    # One process: a GPU is one machine, and timings and memory limits are its own.
    "$python" -m pytest --device="$targets" 2>&1 | tee "$scratch/tests.log"
}

benchmarks() {
    "$python" benchmarks/step.py --device cupy:0 2>&1 | tee "$scratch/benchmarks.log"
}

# Ten workloads: the ways of a step on CuPy, beside PyTorch eager, compiled and with CUDA graphs where it is installed.
comparison() {
    "$python" benchmarks/compare.py --device cupy:0 --rounds 3 >"$scratch/comparison.log"
    cat "$scratch/comparison.log"
}

write_report() {
    local fence='```'
    {
        printf '# xpnn on a GPU, %s\n\n' "$(date -u +%Y-%m-%d)"
        printf 'Commit %s, CUDA %s driver, targets %s.\n\n' "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" "$cuda" "$targets"
        printf '## GPU (name, driver, memory, compute capability)\n\n%s\n%s\n%s\n\n' "$fence" "$gpus" "$fence"
        printf '## Versions\n\n%s\n' "$fence"
        "$python" - <<'PYTHON'
import importlib.metadata as metadata
import platform
import re

import xpnn

print("xpnn", xpnn.__version__)
print("python", platform.python_version(), platform.platform())
wanted = re.compile(r"numpy|scipy|scikit-learn|array-api|cupy|torch$|jax|nvidia-cuda-(nvrtc|runtime)|nvidia-cublas|cuda-toolkit")
found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
print(*(f"{n} {v}" for n, v in sorted(found.items()) if wanted.match(n)), sep="\n")
PYTHON
        printf '%s\n\n## Tests\n\n%s\n' "$fence" "$fence"
        # pytest's short summary and closing line; all of it where there is none
        if [ -n "$only" ]; then
            echo "not run: --only $only"
        else
            sed -n '/^=.* short test summary info/,$p' "$scratch/tests.log" | grep . || tail -n 40 "$scratch/tests.log"
        fi
        printf '%s\n\n## One training step\n\n%s\n' "$fence" "$fence"
        cat "$scratch/benchmarks.log" 2>/dev/null || echo "not run"
        printf '%s\n\n## Ways of a training step, and PyTorch on the same card\n\n' "$fence"
        cat "$scratch/comparison.log" 2>/dev/null || echo "not run"
    } | sed "s#$root/##g; s#$HOME#~#g" >"$report" # no paths of yours
    say "report: $report"
}

$here || stage "install for CUDA $cuda" install
stage "probe" probe
failed=0
if [ -z "$only" ]; then
    tests_on_gpu || failed=$?
    say "$(tail -n 1 "$scratch/tests.log")"
fi
benchmarks || failed=$((failed ? failed : 1))
comparison || failed=$((failed ? failed : 1))
if [ "$(echo "$gpus" | wc -l)" -gt 1 ]; then bash ci/nccl.sh "$python" || failed=$((failed ? failed : 1)); fi
stage "report" write_report
current_stage="tests or benchmarks"
exit "$failed"
