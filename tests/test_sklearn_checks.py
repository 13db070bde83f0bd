"""scikit-learn's own checks of estimators, all of them, array API included.

SciPy decides at its import whether it takes arrays of other libraries, so the checks run in a
fresh interpreter with SCIPY_ARRAY_API=1: one for all estimators, as its imports take longer than
most checks. Arrays of torch are checked where the run is on torch.
"""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import inspect, json, sys, unittest, warnings
from functools import partial
warnings.simplefilter("ignore")
from sklearn.base import clone
from sklearn.utils import estimator_checks
import xpnn

left_out, *names = sys.argv[1:]

def checks_of(name):
    estimator = getattr(xpnn, name)()
    if name.startswith("Tabular"):
        estimator.set_params(epochs=30, n_members=2)
    elif name != "Perceptron":
        estimator.set_params(max_iter=100)  # as scikit-learn does with its own
    yield from estimator_checks.estimator_checks_generator(estimator, mark="skip")
    if name.startswith("Tabular"):
        return  # a table comes from the host
    mixed = [("cupy", "numpy"), ("numpy", "cupy"), ("cupy", "torch"), ("torch", "cupy"),
             ("array_api_strict", "numpy")]
    if not hasattr(estimator_checks, "check_array_api_mixed_inputs"):
        mixed = []  # before scikit-learn 1.9
    for pair in mixed:
        from sklearn.utils._array_api import NamespaceAndDevice
        places = [NamespaceAndDevice(x, {"torch": "cpu"}.get(x)) for x in pair]
        yield estimator, partial(estimator_checks.check_array_api_mixed_inputs, name,
                                 X_ns_and_device=places[0], other_ns_and_device=places[1])
    seeded = clone(estimator).set_params(random_state=0)  # 1.9's check does that itself
    values = estimator_checks.check_array_api_input_and_values
    for library in ("cupy", "torch", "array_api_strict"):
        device = {"torch": "cpu"}.get(library)
        words = {"device": device, "device_name": device, "check_sample_weight": True}
        known = inspect.signature(values).parameters  # of this version of scikit-learn
        words = {k: v for k, v in words.items() if k in known}
        yield seeded, partial(values, name, array_namespace=library, **words)

def run(est, check):
    function = check.func if isinstance(check, partial) else check
    words = check.keywords if isinstance(check, partial) else {}
    label = function.__name__ + (f" {words}" if words else "")
    if left_out and left_out in label:
        return label, "skipped", "not among the targets of this run"
    try:
        check(est)
        return label, "passed", ""
    except unittest.SkipTest as error:
        return label, "skipped", str(error)
    except Exception as error:
        return label, "failed", f"{type(error).__name__}: {error}"

print("RESULTS" + json.dumps({n: [run(*each) for each in checks_of(n)] for n in names}))
"""

LIBRARIES = [f"{name} is not installed" for name in ("torch", "dpnp", "cupy")]
# What a machine may lack; a check that is skipped for another reason is a failure.
MAY_LACK = ("cuda", "XPU", "MPS", "mps", "xpu", "cupy", *LIBRARIES)
MAY_LACK += ("not among the targets",)


# scikit-learn excuses its own Perceptron from these two. Of a table, the folds are cut by rows,
# and a row that is repeated is in several of them.
WEIGHTS = ("check_sample_weight_equivalence_on_dense_data",)
EXCUSED = {
    "MLPClassifier": (),
    "MLPRegressor": (),
    "Perceptron": (*WEIGHTS, "check_sample_weight_equivalence_on_sparse_data"),
    "TabularClassifier": WEIGHTS,
    "TabularRegressor": WEIGHTS,
}
OF_ARRAYS = [name for name in EXCUSED if not name.startswith("Tabular")]


def checked(left_out):
    """Of each estimator: the checks' names, outcomes and reasons."""
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, left_out, *EXCUSED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.rpartition("RESULTS")[2])
    return {name: [r for r in found[name] if r[0] not in EXCUSED[name]] for name in EXCUSED}


def of(results, outcome):
    return [r for r in results if r[1] == outcome]


@pytest.mark.libraries
@pytest.mark.slow
def test_every_check_passes(chosen):
    """One test, or each of xdist's workers would run the checks for its part of several."""
    on_torch, on_cupy = (any(d.startswith(lib) for d in chosen) for lib in ("torch", "cupy"))
    for name, results in checked("" if on_torch else "'torch'").items():
        assert of(results, "failed") == [], name
        skipped = of(results, "skipped")
        assert [r for r in skipped if not any(word in r[0] + r[2] for word in MAY_LACK)] == []
        ran = [label for label, _, _ in of(results, "passed")]
        assert len(ran) > (60 if name in OF_ARRAYS else 50), name
        if name not in OF_ARRAYS:
            continue
        for library in ("numpy", "array_api_strict", *(["torch"] if on_torch else [])):
            inputs = [label for label in ran if "check_array_api_input " in label]
            assert any(f"'{library}'" in label for label in inputs), (name, library)
        if on_cupy:
            values = [r for r in ran if r.startswith("check_array_api_input_and_values ")]
            mixed = [r for r in ran if r.startswith("check_array_api_mixed_inputs ")]
            assert any("cupy" in label for label in values), name
            assert any("cupy" in label and "numpy" in label for label in mixed), name
