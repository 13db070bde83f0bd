#!/usr/bin/env bash
# Compiles kernels with NVIDIA's own compiler, without a GPU: those that CuPy generated for our calls and those we
# write, for sm_80, sm_90 and sm_120, with CUDA 12 and 13.
#
#     bash ci/nvrtc.sh VENV [KERNELS]
#
# VENV     an environment with the package and CuPy on the CPU (see cupy_on_cpu/README.md)
# KERNELS  a folder that a run of the tests with CUPY_ON_CPU_CAPTURE=KERNELS has filled; without it, the tests run here
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=$(cd "${1:?nvrtc.sh: which environment?}" && pwd)
kernels=${2:-}
if [ -z "$kernels" ]; then
    kernels=$(mktemp -d "${TMPDIR:-/tmp}/xpnn-kernels-XXXXXX")
    trap 'rm -rf "$kernels"' EXIT
    CUPY_ON_CPU=1 CUPY_ON_CPU_CAPTURE=$kernels "$venv/bin/python" -m pytest -q --device=cupy:0
fi
all=$(find "$kernels" -maxdepth 1 -name '*.json' | wc -l)
theirs=$(find "$kernels" -maxdepth 1 -name '*.json' -exec grep -lE 'void cupy_|"name_expressions": \["' {} + | wc -l || true)
ours=$((all - theirs))
echo "$all kernels, $ours of them written in src/xpnn"
if [ "$ours" -eq 0 ]; then
    echo "nvrtc.sh: our own kernels are not among them" >&2
    exit 1
fi
"$venv/bin/python" ci/cupy_on_cpu/check_kernels.py "$venv/bin/python" "$kernels"
