#!/usr/bin/env bash
# The site, from an empty environment: warnings are errors, every example and lesson is run, links are checked.
#
#     bash ci/docs.sh [FOLDER]    where it goes (docs/_build/html)
#
# PYTHON         the interpreter (python3)
# XPNN_CI_TORCH  what pip installs as PyTorch (torch==2.13.0), where a CPU wheel is to be had under another name
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=${1:-docs/_build/html}
venv=$scratch/venv

install() { # torch, JAX and the tools of examples: what needs them is shown running
    new_environment "$venv"
    "$venv/bin/pip" install -q "${XPNN_CI_TORCH:-torch==2.13.0}"
    "$venv/bin/python" -m pip install -q -e ".[docs,test,jax,dask]" optuna skl2onnx skops
}

browser() { # Python for the "try it" buttons; needs npm
    "$venv/bin/python" docs/browser.py
}

build() {
    rm -rf "$folder" docs/api docs/lessons
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$venv/bin/sphinx-build" -q -W --keep-going -d "$scratch/doctrees" docs "$folder"
    du -sh "$folder"
}

lessons_in_chromium() {
    "$venv/bin/python" -m pip install -q selenium
    "$venv/bin/python" docs/check_browser.py "$folder"
}

stage "environment" install
stage "docstrings" "$venv/bin/python" docs/docstrings.py
stage "examples of the pages" "$venv/bin/python" docs/examples.py
if command -v npm >/dev/null; then
    stage "Python for the browser" browser
else
    say "::: Python for the browser: not there, it needs npm; the lessons have no button"
fi
stage "site" build
stage "links" "$venv/bin/python" docs/links.py "$folder"
if [ -d "$folder/browser" ] && command -v "${XPNN_CHROMIUM:-chromium}" >/dev/null && command -v "${XPNN_CHROMEDRIVER:-chromedriver}" >/dev/null; then
    stage "the lessons in Chromium" lessons_in_chromium
else
    say "::: the lessons in Chromium: not run, it needs npm, chromium and chromedriver"
fi
current_stage="end"
