#!/usr/bin/env bash
# Everything that must hold before a change goes in, from an empty environment, with no GPU.
#
#     bash ci/test.sh
#
# PYTHON         the interpreter (python3)
# XPNN_CI_VENV   where the environment goes; it is emptied first (a temporary folder)
# XPNN_CI_TORCH  what pip installs as PyTorch (torch==2.13.0), where a CPU wheel is to be had under another name
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

venv=${XPNN_CI_VENV:-$scratch/venv}
# Named, so that a library that is missing or broken is an error and not a skip.
targets=numpy,numpy:readonly,strict:device1,strict:no_float64,strict:no_x64,torch:cpu,jax:cpu

install_torch() { # on its own and first: nothing that is installed later picks another build
    "$venv/bin/pip" install -q "${XPNN_CI_TORCH:-torch==2.13.0}"
}

install_package() {
    "$venv/bin/python" -m pip install -q -e ".[test]" # the README's line
    "$venv/bin/python" -m pip install -q -e ".[jax,dev]"
    "$venv/bin/pip" list | grep -iE '^(numpy|scipy|scikit-learn|array|torch|jax|numba|pandas|pytest|ruff|mypy) '
}

lint() {
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
}

wheel() { # what a user downloads is complete: the type marker, the licence, nothing but the package
    "$venv/bin/pip" wheel -q --no-deps -w "$scratch/wheel" .
    "$venv/bin/python" - "$scratch"/wheel/xpnn-*.whl <<'PYTHON'
import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
missing = [n for n in ("xpnn/py.typed", "xpnn/cli.py", "xpnn/steps/reference.py") if n not in names]
strange = [n for n in names if not n.startswith("xpnn") or n.endswith(".pyc")]
licensed = any(n.endswith("licenses/LICENSE") for n in names)
print(f"{sys.argv[1].rsplit('/', 1)[-1]}: {len(names)} files")
sys.exit(f"missing: {missing}, strange: {strange}, licence: {licensed}" if missing or strange or not licensed else 0)
PYTHON
}

host_double() { # real CuPy on the CPU, see ci/cupy_on_cpu/README.md
    "${PYTHON:-python3}" ci/cupy_on_cpu/build.py "$venv"
    "$venv/bin/python" ci/cupy_on_cpu/selftest.py
}

first_command() { # the README's first line, in an environment that has seen nothing else
    new_environment "$scratch/first"
    "$scratch/first/bin/python" -m pip install -q -e ".[fast,plot]"
    mkdir "$scratch/run"
    (
        cd "$scratch/run"
        "$scratch/first/bin/xpnn" train digits
        find . -type f
        for kind in '*.safetensors' '*history*' '*.png'; do
            [ -n "$(find . -type f -name "$kind" -size +0)" ] || { echo "xpnn train left no $kind" >&2; exit 1; }
        done
    )
}

stage "environment" new_environment "$venv"
stage "install torch" install_torch
stage "install xpnn, jax and the tools" install_package
stage "lint" lint
stage "wheel" wheel
stage "tests on $targets" tests "$scratch/tests.log" --device="$targets"
if [ "$(uname -sm)" = "Linux x86_64" ] && command -v g++ >/dev/null; then
    stage "CuPy on the CPU" host_double
    export CUPY_ON_CPU=1 CUPY_CACHE_DIR=$scratch/kernels/cache
    CUPY_ON_CPU_CAPTURE=$scratch/kernels stage "tests on cupy:0,cupy:1" tests "$scratch/cupy.log" --device=cupy:0,cupy:1
    stage "every kernel through NVRTC" bash ci/nvrtc.sh "$venv" "$scratch/kernels"
    # Once more those that run on CuPy: no write out of bounds, no dependence on the order of threads.
    CUPY_ON_CPU_GUARD=1 stage "guarded memory" tests "$scratch/guard.log" --device=cupy:0 -k cupy:0
    CUPY_ON_CPU_SHUFFLE=1 stage "shuffled threads" tests "$scratch/shuffle.log" --device=cupy:0 -k cupy:0
    unset CUPY_ON_CPU CUPY_CACHE_DIR
else
    say "::: CuPy on the CPU: not run, it needs g++ on Linux x86-64"
fi
stage "xpnn train digits" first_command
current_stage="end"
