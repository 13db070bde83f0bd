"""`import xpnn` is light: nothing heavy before its first use."""

import gc
import json
import subprocess
import sys
from collections.abc import Iterable

import pytest

from xpnn._imports import import_many

pytestmark = pytest.mark.libraries
HEAVY = ("cupy", "torch", "jax", "matplotlib", "pandas", "polars", "pyarrow", "onnx")
HEAVY += ("array_api_strict",)  # for tests only


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has loaded after running the code."""
    code += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def loaded_after(code: str, modules: Iterable[str] = HEAVY) -> list[str]:
    """Those of some modules that are among them."""
    return sorted(set(modules) & modules_after(code))


def test_import_loads_nothing_heavy() -> None:
    assert loaded_after("import xpnn") == []


def test_a_fit_loads_nothing_that_it_does_not_use() -> None:
    """Splitting and scoring by scikit-learn, and readers of files, are of the fits that ask."""
    code = "import numpy as np, xpnn\n"
    code += "xpnn.MLPRegressor(max_iter=1).partial_fit(np.eye(3), np.arange(3.0))"
    unused = ("sklearn.model_selection", "sklearn.metrics", "xpnn.tables", "xpnn.perceptron.fit")
    assert loaded_after(code, unused) == []


@pytest.mark.slow  # two cold processes
def test_a_fit_imports_no_package_that_scikit_learn_does_not() -> None:
    fit = "import warnings; warnings.simplefilter('ignore')\n"
    fit += "MLPClassifier((2,), max_iter=1, tol=0.0).fit([[0.0], [1.0]] * 20, [0, 1] * 20)"
    found = {}
    for library in ("sklearn.neural_network", "xpnn"):
        modules = modules_after(f"from {library} import MLPClassifier\n{fit}")
        found[library] = {name.partition(".")[0] for name in modules}
    packages = found["xpnn"] - found["sklearn.neural_network"] - set(sys.stdlib_module_names)
    assert packages == {"xpnn", "array_api_compat"}  # scikit-learn has a copy of the latter


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("module", ["json", "no.such.module"])
def test_an_import_of_many_modules_leaves_the_collector_as_it_was(
    module: str, collects: bool
) -> None:
    frozen = gc.get_freeze_count()
    (gc.enable if collects else gc.disable)()
    try:
        if module == "json":
            assert import_many(module) is json
        else:
            with pytest.raises(ModuleNotFoundError, match="No module named 'no'"):
                import_many(module)
        assert gc.isenabled() is collects
    finally:
        gc.enable()
    assert gc.get_freeze_count() == frozen


def test_where_the_code_of_a_function_cannot_be_set_imports_are_as_others() -> None:
    """As in a program that Nuitka has compiled."""
    code = "import sys\ndef refuse(event, args):\n"
    code += "    if event == 'object.__setattr__' and args[1] == '__code__':\n"
    code += "        raise RuntimeError('__code__ is not writable')\nsys.addaudithook(refuse)\n"
    assert "json" in modules_after(code + "import xpnn._imports as i; i.import_many('json')")


@pytest.mark.slow  # a cold process
@pytest.mark.skipif(
    sys.implementation.name != "cpython" or gc.get_freeze_count() > 0,
    reason="of CPython's collector, where nothing is frozen",
)
def test_garbage_is_not_looked_for_while_scikit_learn_is_imported() -> None:
    code = "import gc, xpnn; seen = []; gc.callbacks.append(lambda *a: seen.append(a))\n"
    code += "from xpnn import MLPClassifier; assert not seen, len(seen); assert gc.isenabled()\n"
    code += "class A: pass\nimport weakref; a = A(); a.a = a; r = weakref.ref(a); del a\n"
    code += "gc.collect(); assert r() is None"
    assert "sklearn" in modules_after(code)


def test_choosing_numpy_loads_no_other_library() -> None:
    code = "import numpy as np, xpnn.backends as b\n"
    code += "b.get_backend('numpy').asarray([1.0]); b.backend_of(np.ones(2), [1], None)"
    assert loaded_after(code) == []


def test_auto_looks_for_a_gpu_before_it_imports_torch() -> None:
    code = "import xpnn.arrays.backend as b\n"
    code += "b.gpu_driver = lambda: False; b.apple_gpu = lambda: False\n"
    code += "assert b.get_backend('auto').name == 'numpy'"
    assert loaded_after(code) == []
