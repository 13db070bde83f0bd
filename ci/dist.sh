#!/usr/bin/env bash
# The distributions that are the same on every platform: the sources, and the wheel that compiles nothing.
#
#     bash ci/dist.sh [FOLDER]    where they go (dist)
#
# PYTHON         the interpreter (python3)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=${1:-dist}

build() {
    new_environment "$scratch/build"
    "$scratch/build/bin/python" -m pip install -q build
    env -u XPNN_REQUIRE_COMPILED XPNN_NO_COMPILER=1 "$scratch/build/bin/python" -m build -o "$folder" .
}

stage "sources and the wheel for any platform" build
current_stage="end"
