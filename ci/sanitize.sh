#!/usr/bin/env bash
# The compiled steps under gcc's sanitizers: a wrong address, undefined behaviour, a data race.
#
#     bash ci/sanitize.sh [--install] [address|thread]...     # both, if none is named
#
# --install   in a new environment; else PYTHON (python3) has what the tests need. The library in
#             the checkout is built anew with each sanitizer, and without one at the end.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

python=${PYTHON:-python3}
if [ "${1:-}" = --install ]; then
    shift
    new_environment "$scratch/venv"
    python=$scratch/venv/bin/python
    "$python" -m pip install -q -e ".[test]"
fi
export PYTHONPATH=$root/src PYTHONMALLOC=malloc XPNN_REQUIRE_COMPILED=1 OPENBLAS_NUM_THREADS=1
kernels=(tests/test_vector_math.py tests/test_products.py tests/test_compiled_steps.py tests/test_compiled_outputs.py
    tests/test_compiled_sparse.py tests/test_together.py tests/test_perceptron_kernels.py
    tests/test_long_steps.py)

restore() { # the library as it is without a sanitizer
    "$python" hatch_build.py >/dev/null || echo "sanitize.sh: run 'python hatch_build.py' in the checkout" >&2
}
trap 'status=$?; restore; set +e; (exit "$status"); finish' EXIT

address() { # Python itself leaks at its end, and its threads outlive nothing of ours
    CFLAGS="-g -fsanitize=address,undefined -fno-sanitize-recover=all" "$python" hatch_build.py
    ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        "$python" -m pytest -q -x -p no:cacheprovider --device=numpy "${kernels[@]}"
}

thread() { # the pool and what it shares: nothing else of the process is watched
    CFLAGS="-g -fsanitize=thread -DXPNN_NO_CLONES" "$python" hatch_build.py # its ifuncs run before the sanitizer
    TSAN_OPTIONS="halt_on_error=1 ignore_noninstrumented_modules=1" LD_PRELOAD="$(gcc -print-file-name=libtsan.so)" \
        "$python" -m pytest -q -x -p no:cacheprovider --device=numpy tests/test_shared_steps.py tests/test_member_threads.py \
        tests/test_long_steps.py -k "shared_among_threads or bits or never_begun or all_or_none or past_the_caches"
}

for sanitizer in "${@:-address}"; do stage "$sanitizer sanitizer" "$sanitizer"; done
[ $# -gt 0 ] || stage "thread sanitizer" thread
current_stage="end"
