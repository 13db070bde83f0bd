"""What xpnn takes from scikit-learn is public, but for one short list in one file."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.fixes import parse_version

import xpnn
from xpnn.estimators import _sklearn

SOURCE = Path(xpnn.__file__).parent
HOME = SOURCE / "estimators" / "_sklearn.py"
NEW = parse_version(sklearn.__version__) >= parse_version("1.9")


def owners():
    """The classes of scikit-learn that ours inherit from."""
    classes = [BaseEstimator, ClassifierMixin, RegressorMixin]
    if NEW:
        from sklearn.callback import CallbackSupportMixin

        classes.append(CallbackSupportMixin)
    return classes


def single(name):
    return name.startswith("_") and not name.startswith("__")


def taken_privately(tree):
    """Private modules and names that are imported, and private attributes that are used."""
    inherited = {name for cls in owners() for base in cls.__mro__ for name in vars(base)}
    inherited |= {name.rpartition(".")[2] for name in _sklearn.PRIVATE}
    inherited |= {"_parent_callback_ctx", "_callback_fit_ctx"}
    inherited |= {"_parameter_constraints", "_sklearn_output_config", "_sklearn_version"}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sklearn":
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            found |= {name for name in names if single(name)}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("sklearn."):
                    found |= {name for name in alias.name.split(".") if single(name)}
        elif isinstance(node, ast.Attribute) and single(node.attr) and node.attr in inherited:
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & {name for name in inherited if single(name)}  # getattr
    return found


def test_private_names_are_used_in_one_file_alone():
    listed = {name.rpartition(".")[2] for name in _sklearn.PRIVATE}
    assert len(listed) <= 2, "each one is a reason to break with the next scikit-learn"
    for path in SOURCE.rglob("*.py"):
        found = taken_privately(ast.parse(path.read_text(encoding="utf-8")))
        assert found == (listed if path == HOME else set()), path


@pytest.mark.parametrize(
    "line",
    [
        "from sklearn.base import _fit_context",
        "from sklearn.utils._param_validation import Interval",
        "import sklearn.utils._tags",
        "est._get_param_names()",
        "est._validate_params()",
        "getattr(est, '_skl_callbacks', None)",
    ],
)
def test_the_test_sees_them(line):
    assert taken_privately(ast.parse(line))
    assert not taken_privately(ast.parse("from sklearn.utils import check_array; est._state"))


@pytest.mark.skipif(not NEW, reason="scikit-learn before 1.9 has no sklearn.callback")
@pytest.mark.parametrize("name", _sklearn.PRIVATE)
def test_this_scikit_learn_has_it(name):
    from sklearn.callback import CallbackSupportMixin, ProgressBar

    assert issubclass(_sklearn.CallbackSupportMixin, CallbackSupportMixin)
    est = xpnn.MLPClassifier().set_callbacks(ProgressBar())
    attribute = name.rpartition(".")[2]
    assert hasattr(est, attribute), (
        f"scikit-learn {sklearn.__version__} has no {name}: look how sklearn.callback is told of "
        "tasks there now, and mend xpnn/estimators/_sklearn.py"
    )


@pytest.mark.slow
def test_all_but_set_callbacks_works_without_sklearn_callback():
    """As with scikit-learn 1.8, the one in Pyodide."""
    code = """
import sys
import sklearn.experimental, sklearn.linear_model, sklearn.model_selection, sklearn.multiclass
sys.modules["sklearn.callback"] = None  # from now on importing it raises an ImportError
import numpy as np, pickle, xpnn
from sklearn.base import clone
x, y = np.eye(6), np.arange(6) % 2
for cls in (xpnn.MLPClassifier, xpnn.MLPRegressor):
    for solver in ("adam", "lbfgs"):
        est = clone(cls(max_iter=3, solver=solver, tol=1.0))
        assert not hasattr(est, "set_callbacks")
        assert pickle.loads(pickle.dumps(est.fit(x, y))).predict(x).shape == (6,)
assert xpnn.Perceptron().fit(x, y).predict(x).shape == (6,)
print("fitted")
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "fitted\n", run.stderr[-2000:]
