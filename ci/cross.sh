#!/usr/bin/env bash
# The compiled steps for processors and systems that are not here: compiled and linked, warnings as errors.
#
#     bash ci/cross.sh [TARGET]...     # as clang names them; by default those that wheels are for
#
# The compiler is zig's clang with the headers of each system (PyPI: ziglang). PYTHON, if it is
# set, has it; else it is installed in a new environment. Nothing is run.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

python=${PYTHON:-}
if [ -z "$python" ]; then
    new_environment "$scratch/venv"
    python=$scratch/venv/bin/python
    "$python" -m pip install -q ziglang
fi

compile() { # compile TARGET   with the options of hatch_build.py, and nothing that Microsoft's compiler lacks
    local options
    options="$("$python" -c 'import hatch_build as b; print(b.GNU)') -Wall -Wextra -Wvla -Wgnu -Werror"
    [[ $1 == *windows* ]] || options+=" -fPIC -pthread -lm"
    # shellcheck disable=SC2086 # several options
    "$python" -m ziglang cc -target "$1" $options src/xpnn/steps/compiled/*.c -o "$scratch/library"
}

[ $# -gt 0 ] || set -- x86_64-windows-gnu aarch64-linux-gnu x86_64-linux-musl aarch64-macos x86_64-macos
for target; do stage "$target" compile "$target"; done
current_stage="end"
