#!/usr/bin/env bash
# The tests with the lowest version that pyproject.toml allows of every dependency.
#
#     bash ci/lowest.sh
#
# PYTHON         the interpreter (python3); 3.11 is the one for which all of those versions have wheels
# XPNN_CI_VENV   where the environment goes; it is emptied first (a temporary folder)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

venv=${XPNN_CI_VENV:-$scratch/venv}
export XPNN_REQUIRE_COMPILED=1
# array-api-strict follows NumPy's newest release and is no dependency, so it is not held down. JAX is.
targets=numpy,numpy:readonly,strict:device1,jax:cpu

install_lowest() {
    "$venv/bin/python" - >"$scratch/lowest.txt" <<'PYTHON'
import re
import tomllib

with open("pyproject.toml", "rb") as f:
    project = tomllib.load(f)["project"]
extras = project["optional-dependencies"]
for requirement in (*project["dependencies"], *(r for e in ("jax", "test", "plot", "data", "onnx") for r in extras[e])):
    if not requirement.startswith("xpnn["):
        name, version = re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement).groups()
        print(f"{name}=={version}")
PYTHON
    cat "$scratch/lowest.txt"
    "$venv/bin/pip" install -q -c "$scratch/lowest.txt" -e ".[test,jax]"
    "$venv/bin/pip" list
}

stage "environment" new_environment "$venv"
stage "install the lowest versions" install_lowest
stage "tests on $targets" tests "$scratch/tests.log" --device="$targets"
current_stage="end"
