"""scikit-learn's own checks of estimators, all of them, array API included.

SciPy decides at its import whether it takes arrays of other libraries, so the checks run in a
fresh interpreter with SCIPY_ARRAY_API=1.
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

estimator = getattr(xpnn, sys.argv[1])()
checks = list(estimator_checks.estimator_checks_generator(estimator, mark="skip"))
mixed = [("cupy", "numpy"), ("numpy", "cupy"), ("cupy", "torch"), ("torch", "cupy"),
         ("array_api_strict", "numpy")]
if not hasattr(estimator_checks, "check_array_api_mixed_inputs"):
    mixed = []  # before scikit-learn 1.9
for pair in mixed:
    from sklearn.utils._array_api import NamespaceAndDevice
    places = [NamespaceAndDevice(x, {"torch": "cpu"}.get(x)) for x in pair]
    check = partial(estimator_checks.check_array_api_mixed_inputs, sys.argv[1],
                    X_ns_and_device=places[0], other_ns_and_device=places[1])
    checks.append((estimator, check))
seeded = clone(estimator).set_params(random_state=0)  # 1.9's check does that itself
values = estimator_checks.check_array_api_input_and_values
for library in ("cupy", "torch", "array_api_strict"):
    device = {"torch": "cpu"}.get(library)
    words = {"device": device, "device_name": device, "check_sample_weight": True}
    known = inspect.signature(values).parameters  # of this version of scikit-learn
    words = {name: value for name, value in words.items() if name in known}
    checks.append((seeded, partial(values, sys.argv[1], array_namespace=library, **words)))
results = []
for est, check in checks:
    function = check.func if isinstance(check, partial) else check
    words = check.keywords if isinstance(check, partial) else {}
    label = function.__name__ + (f" {words}" if words else "")
    try:
        check(est)
        results.append((label, "passed", ""))
    except unittest.SkipTest as error:
        results.append((label, "skipped", str(error)))
    except Exception as error:
        results.append((label, "failed", f"{type(error).__name__}: {error}"))
print("RESULTS" + json.dumps(results))
"""

LIBRARIES = [f"{name} is not installed" for name in ("torch", "dpnp", "cupy")]
# What a machine may lack; a check that is skipped for another reason is a failure.
MAY_LACK = ("cuda", "XPU", "MPS", "mps", "xpu", "cupy", *LIBRARIES)


# scikit-learn excuses its own Perceptron from these two.
EXCUSED = {
    "MLPClassifier": (),
    "MLPRegressor": (),
    "Perceptron": (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ),
}


@pytest.fixture(scope="module", params=EXCUSED)
def results(request):
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, request.param],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    excused = EXCUSED[request.param]
    return [r for r in json.loads(run.stdout.rpartition("RESULTS")[2]) if r[0] not in excused]


def test_every_check_passes(results):
    assert [r for r in results if r[1] == "failed"] == []
    assert sum(r[1] == "passed" for r in results) > 60


def test_skipped_only_where_a_device_is_missing(results):
    skipped = [r for r in results if r[1] == "skipped"]
    assert [r for r in skipped if not any(word in r[0] + r[2] for word in MAY_LACK)] == []


@pytest.mark.parametrize("library", ["numpy", "array_api_strict", "torch"])
def test_array_api_checks_ran(results, library):
    if library == "torch":
        pytest.importorskip("torch")
    ran = {r[0] for r in results if r[1] == "passed"}
    assert any(f"'{library}'" in label and "check_array_api_input " in label for label in ran)


@pytest.mark.parametrize("mixed", [True, False])
def test_array_api_checks_ran_on_cupy(results, mixed, chosen):
    if not any(name.startswith("cupy") for name in chosen):
        pytest.skip("CuPy is not among the targets of this run")
    name = "check_array_api_mixed_inputs" if mixed else "check_array_api_input_and_values"
    ran = [r[0] for r in results if r[1] == "passed" and r[0].startswith(name + " ")]
    assert any("cupy" in label and (not mixed or "numpy" in label) for label in ran)
