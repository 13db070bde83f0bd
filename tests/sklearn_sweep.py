"""What scikit-learn's estimators and ours make of the same calls, and where they differ on purpose.

`test_sklearn_differences.py` runs every case on both: where outcomes differ, one of DIFFERENCES has
to say so, and each of these has to be needed. `ci/differences.py` writes docs/differences.md of it.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from operator import setitem
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
import sklearn.linear_model
import sklearn.neural_network

import xpnn

THEIRS = SimpleNamespace(
    MLPClassifier=sklearn.neural_network.MLPClassifier,
    MLPRegressor=sklearn.neural_network.MLPRegressor,
    Perceptron=sklearn.linear_model.Perceptron,
)
NAMES = ("MLPClassifier", "MLPRegressor", "Perceptron")
X = np.random.default_rng(0).normal(size=(24, 3))
CODES = np.arange(24) % 3
TWO = np.arange(24) % 2
NUMBERS = X[:, 0] * 1.0
LABELS = np.column_stack([TWO, CODES > 0]).astype(int)
_WORDS = np.array(list("abc"))

FEATURES: dict[str, Any] = {
    "a list": X.tolist(),
    "int64": (4 * X).astype(int),
    "float32": X.astype(np.float32),
    "float16": X.astype(np.float16),
    "longdouble": X.astype(np.longdouble),
    "bool": X > 0,
    "objects": X.astype(object),
    "numbers as text": X.astype(str),
    "words": np.full((24, 3), "a"),
    "complex": X + 1j,
    "one dimension": X[:, 0],
    "three dimensions": X[:, :, None],
    "NaN": np.where(X > 1, np.nan, X),
    "infinity": np.where(X > 1, np.inf, X),
    "no columns": X[:, :0],
    "CSR": sp.csr_array(X),
    "COO": sp.coo_matrix(X),
    "a data frame": pd.DataFrame(X, columns=list("abc")),
    "nullable columns": pd.DataFrame({c: pd.array(X[:, i]) for i, c in enumerate("abc")}),
    "None": None,
}
TARGETS: dict[str, Any] = {
    "int64": CODES,
    "a list": CODES.tolist(),
    "floats": CODES * 1.0,
    "bool": TWO > 0,
    "words": _WORDS[CODES],
    "objects": _WORDS.astype(object)[CODES],
    "a column": CODES[:, None],
    "numbers": NUMBERS,
    "one class": CODES * 0,
    "several labels": LABELS,
    "several labels, CSR": sp.csr_matrix(LABELS),
    "several labels, -1 and 1": 2 * LABELS - 1,
    "several columns of classes": np.column_stack([CODES, CODES]),
    "several numbers": X[:, :2],
    "NaN": np.where(CODES == 1, np.nan, CODES),
    "infinity": np.where(CODES == 1, np.inf, CODES),
    "too short": CODES[:-1],
    "a series": pd.Series(CODES),
    "a categorical": pd.Series(_WORDS[CODES], dtype="category"),
    "nullable with a gap": pd.Series([None, *CODES[1:]], dtype="Int64"),
    "numbers as text": CODES.astype(str),
    "times": np.datetime64("2020-01-01") + CODES,
    "complex": NUMBERS + 1j,
    "a class a row": np.arange(24),
    "None": None,
}
WEIGHTS: dict[str, Any] = {
    "ones": np.ones(24),
    "float32": np.ones(24, dtype=np.float32),
    "zero": np.zeros(24),
    "half of them zero": TWO * 1.0,
    "negative": np.where(TWO, 1.0, -0.5),
    "NaN": np.full(24, np.nan),
    "too short": np.ones(23),
    "a column": np.ones((24, 1)),
    "a number": 2.0,
    "denormal": np.full(24, 1e-320),
}


def new(library: Any, name: str, **params: Any) -> Any:
    """A small estimator that fits in two epochs."""
    if name != "Perceptron":
        params = {"hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 2} | params
    return getattr(library, name)(**params)


def shown(value: Any) -> str:
    """The type, dtype and shape of a result."""
    if sp.issparse(value):
        return f"CSR {value.dtype} {value.shape}"
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else str(value)


def outcome(call: Callable[[], Any]) -> str:
    """What a call gives: in words, with the warnings but of convergence; or "refused"."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            found = str(call())
        except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError):
            return "refused"
        except np.linalg.LinAlgError:
            return "refused"
    quiet = ("ConvergenceWarning", "RuntimeWarning")
    kinds = sorted({w.category.__name__ for w in seen} - {*quiet})
    return f"{found}, {', '.join(kinds)}" if kinds else found


class Case(NamedTuple):
    """A call that both libraries are asked to do."""

    what: str
    run: Callable[[Any], Any]


def _both(name: str, x: np.ndarray, y: np.ndarray) -> dict[int, Any]:
    """A fitted estimator of each library."""
    about = {} if name == "MLPRegressor" else {"classes": [0, 1, 2]}
    return {id(lib): new(lib, name).partial_fit(x, y, **about) for lib in (THEIRS, xpnn)}


def _predicted(model: Any, x: Any) -> str:
    text = f"predictions {shown(model.predict(x))}"
    if not hasattr(model, "predict_proba"):
        return text
    return f"{text}, probabilities {shown(model.predict_proba(x))}"


def _of_inputs(name: str) -> Iterator[Case]:
    known = NUMBERS if name == "MLPRegressor" else CODES
    for what, x in FEATURES.items():
        yield Case(f"{name}.fit, X is {what}", lambda lib, x=x: bool(new(lib, name).fit(x, known)))
        for dtype in (np.float64, np.float32):
            fitted = _both(name, X.astype(dtype), known)
            text = f"{name} fitted in {dtype.__name__}, X of predict is {what}"
            yield Case(text, lambda lib, f=fitted, x=x: _predicted(f[id(lib)], x))
    fitted = _both(name, X, known)
    for what, y in TARGETS.items():
        text = f"{name}.fit, y is {what}"
        yield Case(text, lambda lib, y=y: _predicted(new(lib, name).fit(X, y), X))
        text = f"{name}.score, y is {what}"
        yield Case(text, lambda lib, y=y, f=fitted: type(f[id(lib)].score(X, y)).__name__)
    for what, w in WEIGHTS.items():
        text = f"{name}.fit, sample_weight is {what}"
        yield Case(text, lambda lib, w=w: bool(new(lib, name).fit(X, known, sample_weight=w)))
        text = f"{name}.score, sample_weight is {what}"
        run = lambda lib, w=w, f=fitted: type(f[id(lib)].score(X, known, w)).__name__  # noqa: E731
        yield Case(text, run)


def _rate_taken(library: Any) -> str:
    """Which learning rate a second call of partial_fit goes by."""
    model = new(library, "MLPRegressor", solver="sgd", momentum=0.0).partial_fit(X, NUMBERS)
    before = model.coefs_[0].copy()
    model.set_params(learning_rate_init=1e-12).partial_fit(X, NUMBERS)
    moved = np.abs(model.coefs_[0] - before).max() > 1e-9
    return "the first call's rate" if moved else "the rate as it is now"


def _parameter_checked(library: Any) -> Any:
    model = new(library, "MLPRegressor").partial_fit(X, NUMBERS)
    return "taken" if model.set_params(alpha=-1.0).partial_fit(X, NUMBERS) is model else ""


def _first_biases(library: Any) -> str:
    model = new(library, "MLPRegressor", learning_rate_init=1e-30, max_iter=1).fit(X, NUMBERS)
    return "zero" if np.abs(model.intercepts_[0]).max() < 1e-20 else "drawn"


def _first_weights(library: Any) -> str:
    """The widest first weights, over sqrt(1 / (fan_in + fan_out))."""
    about = {"activation": "logistic", "learning_rate_init": 1e-30, "hidden_layer_sizes": (97,)}
    model = new(library, "MLPRegressor", max_iter=1, **about).fit(X, NUMBERS)
    return f"up to sqrt({round((10 * np.abs(model.coefs_[0]).max()) ** 2)} / (fan_in + fan_out))"


def _loss_of_outputs(library: Any) -> str:
    """Of a target of two equal columns, over that of one."""
    about = {"alpha": 0.0, "activation": "identity", "learning_rate_init": 1e-30, "max_iter": 1}
    y = 1e6 * np.ones((24, 2))
    one, two = (new(library, "MLPRegressor", **about).fit(X, t).loss_ for t in (y[:, 0], y))
    return "their sum" if two > 1.5 * one else "their mean"


def _tiny_logarithm(library: Any) -> str:
    model = new(library, "MLPClassifier", activation="identity").fit(X, TWO)
    found = model.predict_log_proba(np.full((1, 3), 1e5) * np.sign(model.coefs_[0].sum()))
    return "finite" if np.isfinite(found).all() else "minus infinity"


def _after_divergence(library: Any) -> str:
    model = new(library, "MLPRegressor").fit(X, NUMBERS)
    before = model.predict(X)
    outcome(lambda: model.fit(1e300 * X, NUMBERS))
    return "as before" if np.array_equal(model.predict(X), before) else "changed"


def _done(act: Callable[[Any], object], what: str) -> Callable[[Any], str]:
    """What is said of an act that goes through."""
    return lambda library: (act(library), what)[1]


def _own_first_weights(library: Any) -> str:
    class Own(library.MLPRegressor):
        def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> Any:
            return np.full((fan_in, fan_out), 0.5, dtype), np.zeros(fan_out, dtype)

    model = Own(hidden_layer_sizes=(4,), learning_rate_init=1e-30, max_iter=1).fit(X, NUMBERS)
    return "called" if (model.coefs_[0] == 0.5).all() else "not called"


BEHAVIOUR = {
    "learning_rate_init changed between two calls of partial_fit": _rate_taken,
    "alpha=-1 set between two calls of partial_fit": _parameter_checked,
    "biases of a new network": _first_biases,
    "weights of a new network with logistic units": _first_weights,
    "loss of several outputs": _loss_of_outputs,
    "logarithm of a probability that rounds to 0": _tiny_logarithm,
    "predictions after a fit that has diverged": _after_divergence,
    "R2 of a single row": lambda lib: str(
        new(lib, "MLPRegressor").fit(X, NUMBERS).score(X[:1], NUMBERS[:1])
    ),
    "partial_fit with early_stopping and validation_data": _done(
        lambda lib: new(lib, "MLPRegressor", early_stopping=True).partial_fit(
            X, NUMBERS, validation_data=(X, NUMBERS)
        ),
        "goes by validation_data",
    ),
    "model.coefs_[0][:] = 0": _done(
        lambda lib: setitem(new(lib, "MLPRegressor").fit(X, NUMBERS).coefs_[0], slice(None), 0),
        "written into",
    ),
    "coefs_ assigned before fit": _done(
        lambda lib: setattr(new(lib, "MLPRegressor"), "coefs_", [X[:3], X[:3, :1]]), "taken"
    ),
    "out_activation_ of a fitted network set": _done(
        lambda lib: setattr(new(lib, "MLPClassifier").fit(X, CODES), "out_activation_", "identity"),
        "predict_proba gives the values before softmax",
    ),
    "_init_coef overridden in a subclass": _own_first_weights,
}


def cases() -> Iterator[Case]:
    """All calls."""
    for name in NAMES:
        yield from _of_inputs(name)
    for what, run in BEHAVIOUR.items():
        yield Case(what, run)


class Difference(NamedTuple):
    """Cases in which ours do something else, and why."""

    cases: str  # a regular expression
    ours: str  # of outcomes of ours
    why: str


DIFFERENCES = (
    Difference(
        "numbers as text$",
        "predictions",
        "Text that spells numbers is read in `predict` as it is in `fit`.",
    ),
    Difference(
        "X of predict is longdouble$",
        "float(32|64)",
        "Nothing is computed in long doubles: no other library or device has them.",
    ),
    Difference(
        "fitted in float32, X of predict is",
        "float32",
        "Predictions are computed in the dtype of the fit, and have it.",
    ),
    Difference(
        "fit, y is one class$",
        r", 1\)",
        "A single class has one column of probabilities, as `classes_` has one entry.",
    ),
    Difference(
        "several labels, -1 and 1$",
        "refused",
        "Several labels a row are columns of 0 and 1; scikit-learn takes -1 for a probability.",
    ),
    Difference(
        "MLPRegressor.fit, y is several labels, CSR$",
        "predictions",
        "A sparse target of numbers is made dense.",
    ),
    Difference(
        r"MLPRegressor\.score, y is (numbers as text|times)$",
        "refused",
        "A regression's `y` is numbers, in `score` as in `fit`.",
    ),
    Difference(
        "y is a class a row$",
        "UserWarning",
        "As many classes as rows look like a regression, and are warned of, as by scikit-learn's "
        "other classifiers.",
    ),
    Difference(
        "sample_weight is negative$",
        "refused",
        "A negative weight rewards errors, so the loss may have no minimum.",
    ),
    Difference(
        "score, sample_weight is a number$",
        "float",
        "A number is the weight of every row, as in `fit`.",
    ),
    Difference(
        "sample_weight is denormal$",
        "refused",
        "Weights below the smallest normal number lose their digits: divide them by their mean.",
    ),
    Difference(
        "^learning_rate_init changed",
        "as it is now",
        "Parameters are those of the estimator at each call.",
    ),
    Difference("^alpha=-1 set", "refused", "Parameters are checked in each call."),
    Difference("^biases of a new network$", "zero", "Measured on 42 tables: see below."),
    Difference(
        "^weights of a new network with logistic units$", "6 /", "Measured on 42 tables: see below."
    ),
    Difference(
        "^loss of several outputs$",
        "sum",
        "The loss that is shown is the one whose gradient is followed.",
    ),
    Difference(
        "^logarithm of a probability",
        "finite",
        "Logarithms of probabilities are computed from the network's outputs.",
    ),
    Difference(
        "^predictions after a fit that has diverged$",
        "as before",
        "A call that fails leaves the estimator as it was.",
    ),
    Difference(
        "^partial_fit with early_stopping",
        "validation_data",
        "Rows given for validation can stop `partial_fit`.",
    ),
    Difference(
        r"^model\.coefs_\[0\]\[:\] = 0$",
        "refused",
        "Weights live on their device; assign an item: `model.coefs_[0] = array`.",
    ),
    Difference(
        "^coefs_ assigned before fit$",
        "refused",
        "Nothing says how many features and which classes: `initialize(X, y)` comes first.",
    ),
    Difference("^out_activation_ of", "refused", "What comes before it is `decision_function(X)`."),
    Difference(
        "^_init_coef overridden",
        "not called",
        "Private methods of scikit-learn's are not called; a class that has one is warned of.",
    ),
)


def found() -> list[tuple[str, str, str]]:
    """What, theirs and ours, of each case whose outcomes differ."""
    rows = []
    for case in cases():
        theirs, ours = (outcome(lambda c=case, lib=lib: c.run(lib)) for lib in (THEIRS, xpnn))
        if theirs != ours:
            rows.append((case.what, theirs, ours))
    return rows


def explained(what: str, ours: str) -> Difference | None:
    """The first difference that a case is an example of."""
    fits = (d for d in DIFFERENCES if re.search(d.cases, what) and re.search(d.ours, ours))
    return next(fits, None)
