"""`import xpnn` is light: nothing heavy before its first use."""

import json
import subprocess
import sys

HEAVY = ("cupy", "torch", "jax", "matplotlib", "pandas", "polars", "pyarrow", "onnx")
HEAVY += ("array_api_strict",)  # for tests only


def heavy_after(code: str) -> list[str]:
    """The heavy modules that a fresh interpreter has loaded after running the code."""
    code += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return sorted(set(HEAVY) & set(json.loads(run.stdout.splitlines()[-1])))


def test_import_loads_nothing_heavy() -> None:
    assert heavy_after("import xpnn") == []


def test_choosing_numpy_loads_no_other_library() -> None:
    code = "import numpy as np, xpnn.backends as b\n"
    code += "b.get_backend('numpy').asarray([1.0]); b.backend_of(np.ones(2), [1], None)"
    assert heavy_after(code) == []


def test_auto_looks_for_a_gpu_before_it_imports_torch() -> None:
    code = "import xpnn.arrays.backend as b\n"
    code += "b.gpu_driver = lambda: False; b.apple_gpu = lambda: False\n"
    code += "assert b.get_backend('auto').name == 'numpy'"
    assert heavy_after(code) == []
