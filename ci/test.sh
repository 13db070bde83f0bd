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
export XPNN_REQUIRE_COMPILED=1 # or the tests would run on NumPy alone and say nothing
# Named, so that a library that is missing or broken is an error and not a skip.
targets=numpy,numpy:readonly,strict:device1,strict:no_float64,strict:no_x64,foreign:dlpack,torch:cpu,jax:cpu

install_torch() { # on its own and first: nothing that is installed later picks another build
    "$venv/bin/pip" install -q "${XPNN_CI_TORCH:-torch==2.13.0}"
}

install_package() {
    "$venv/bin/python" -m pip install -q -e ".[test]" # the README's line
    "$venv/bin/python" -m pip install -q "xpnn[jax,dask,dev]" # it is here: what these need comes, and nothing is compiled
    "$venv/bin/pip" list | grep -iE '^(numpy|scipy|scikit-learn|array|torch|jax|pandas|pytest|ruff|mypy) '
}

lint() {
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
    "$venv/bin/python" ci/mutants.py --check # each can still be planted
}

borrowing() { # borrowing DIRECTORY   an environment that has all that $venv has, but for xpnn
    new_environment "$1"
    local into='import sysconfig; print(sysconfig.get_path("purelib"))'
    "$venv/bin/python" -c "$into" >"$("$1/bin/python" -c "$into")/borrowed.pth" # the .pth files there are not read
}

quick_tests() { # quick_tests PYTHON   what trains, on NumPy
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$1" -m pytest -q --device=numpy \
        tests/test_compiled.py tests/test_training.py tests/test_stopping.py tests/test_trajectories.py \
        tests/test_perceptron_kernels.py
}

wheels() { # what users download is complete; the wheel for this platform works
    "$venv/bin/python" -m pip wheel -q --no-deps -w "$scratch/wheel" .
    bash ci/dist.sh "$scratch/dist"
    "$venv/bin/python" ci/contents.py "$scratch"/wheel/* "$scratch"/dist/*
    borrowing "$scratch/third"
    "$scratch/third/bin/python" -m pip install -q --no-deps "$scratch"/wheel/xpnn-*.whl
    "$scratch/third/bin/xpnn" devices | grep "^steps on numpy: compiled"
    quick_tests "$scratch/third/bin/python"
}

no_compiler() { # nothing on the PATH but Python
    local bare=$scratch/bare/bin
    borrowing "$scratch/bare"
    env -u CC -u XPNN_REQUIRE_COMPILED PATH="$bare" "$bare/python" -m pip install -q --no-deps .
    "$bare/xpnn" devices | grep "^steps on numpy: NumPy alone"
    quick_tests "$bare/python"
}

host_double() { # real CuPy on the CPU, see ci/cupy_on_cpu/README.md
    "${PYTHON:-python3}" ci/cupy_on_cpu/build.py "$venv"
    "$venv/bin/python" ci/cupy_on_cpu/selftest.py
}

first_command() { # the README's first line, in an environment that has seen nothing else
    new_environment "$scratch/first"
    "$scratch/first/bin/python" -m pip install -q -e ".[plot]"
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
stage "kills" "$venv/bin/python" ci/kill.py --kills 12
stage "damaged files" "$venv/bin/python" ci/fuzz.py --files 2000
stage "wheels" wheels
stage "no compiler" no_compiler
# XLA's compiler takes most of the time of JAX's tests: a fifth to two fifths less without its optimizations, which are not ours;
# the fixture `optimized` switches them on where numbers are compared: those are of the programs that users run.
JAX_DISABLE_MOST_OPTIMIZATIONS=1 stage "tests on $targets" tests "$scratch/tests.log" --device="$targets"
if [ "$(uname -sm)" = "Linux x86_64" ] && command -v g++ >/dev/null; then
    stage "CuPy on the CPU" host_double
    export CUPY_ON_CPU=1 CUPY_CACHE_DIR=$scratch/kernels/cache
    # Those on CuPy, and those that look at the libraries that are here: all others have been run as they are.
    CUPY_ON_CPU_CAPTURE=$scratch/kernels stage "tests on cupy:0,cupy:1" \
        tests "$scratch/cupy.log" --device=cupy:0,cupy:1 -k "cupy or libraries"
    stage "every kernel through NVRTC" bash ci/nvrtc.sh "$venv" "$scratch/kernels"
    # Once more those that run on CuPy: no write out of bounds, no dependence on the order of threads.
    CUPY_ON_CPU_GUARD=1 CUPY_ON_CPU_SHUFFLE=1 stage "guarded memory, shuffled threads" \
        tests "$scratch/guard.log" --device=cupy:0 -k "cupy:0 and not first_fit" # which counts compilations for a minute
    unset CUPY_ON_CPU CUPY_CACHE_DIR
else
    say "::: CuPy on the CPU: not run, it needs g++ on Linux x86-64"
fi
stage "xpnn train digits" first_command
current_stage="end"
