"""scikit-learn's networks and perceptrons as ours, and back."""

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import Perceptron as SklearnPerceptron
from sklearn.neural_network import MLPClassifier as SklearnClassifier
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.utils.validation import check_is_fitted

from xpnn._warnings import warn_user
from xpnn.arrays.backend import dtype_name, to_numpy
from xpnn.estimators import MLPClassifier, MLPRegressor
from xpnn.estimators._inputs import NUMPY
from xpnn.estimators._labels import Labels
from xpnn.estimators._settings import make_optimizer
from xpnn.estimators._sklearn import get_progress, set_progress
from xpnn.parts.activations import get_activation
from xpnn.perceptron.estimator import Perceptron
from xpnn.training.data import dense

_OURS: dict[type, type[Any]] = {
    SklearnClassifier: MLPClassifier,
    SklearnRegressor: MLPRegressor,
    SklearnPerceptron: Perceptron,
}
_ACTIVATIONS = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
# Parameters of ours that scikit-learn lacks: those that change predictions, and the others.
_SHAPE = {"embedding": None, "normalization": None, "members": 1}
_LOWERED = 5.0  # what an adaptive learning rate is divided by


def from_sklearn(model: Any) -> Any:
    """Make one of our estimators of scikit-learn's fitted network or perceptron.

    Its predictions are the same, and `partial_fit` goes on where the other's training stands:
    weights, the optimizer's moments and step count, a lowered learning rate.

    Parameters
    ----------
    model : fitted MLPClassifier, MLPRegressor or Perceptron of scikit-learn

    Returns
    -------
    MLPClassifier, MLPRegressor or Perceptron
        Of xpnn, with copies of the arrays.

    Raises
    ------
    TypeError
        For any other estimator.
    sklearn.exceptions.NotFittedError
        Before fit.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import Perceptron
    >>> import xpnn
    >>> X, y = load_iris(return_X_y=True)
    >>> theirs = Perceptron().fit(X, y)
    >>> ours = xpnn.from_sklearn(theirs)
    >>> bool((ours.predict(X) == theirs.predict(X)).all())
    True
    """
    found = next((cls for cls in _OURS if isinstance(model, cls)), None)
    if found is None:
        raise TypeError(
            f"from_sklearn takes a fitted {_listed(_OURS)} of scikit-learn, got {model!r}."
        )
    check_is_fitted(model)
    new = _OURS[found](**{k: model.get_params(deep=False)[k] for k in found().get_params()})
    if found is SklearnPerceptron:
        _fill_perceptron(new, model)
    else:
        _fill_network(new, model)
    _take_over(new, model)
    return new


def to_sklearn(model: Any) -> Any:
    """Make scikit-learn's own estimator of one of ours.

    Parameters
    ----------
    model : fitted MLPClassifier, MLPRegressor or Perceptron of xpnn

    Returns
    -------
    MLPClassifier, MLPRegressor or Perceptron
        Of scikit-learn, on the host; its `partial_fit` goes on where training stands. A warning
        names the settings of training that scikit-learn lacks.

    Raises
    ------
    ValueError
        For a network that scikit-learn cannot compute: another activation, normalization, an
        embedding, members, or the hinge loss.
    TypeError
        For any other estimator.
    sklearn.exceptions.NotFittedError
        Before fit.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnn
    >>> ours = xpnn.MLPRegressor(max_iter=5).partial_fit(np.eye(3), np.arange(3.0))
    >>> theirs = xpnn.to_sklearn(ours)
    >>> bool(np.allclose(theirs.predict(np.eye(3)), ours.predict(np.eye(3))))
    True
    """
    theirs = next((cls for cls, ours in _OURS.items() if isinstance(model, ours)), None)
    if theirs is None:
        raise TypeError(f"to_sklearn takes a fitted {_listed(_OURS)} of xpnn, got {model!r}.")
    check_is_fitted(model)
    return _their_perceptron(model) if theirs is SklearnPerceptron else _theirs(model, theirs)


def _take_over(new: Any, model: Any) -> None:
    """What has the same name and meaning on both sides."""
    for name in ("feature_names_in_", "n_iter_"):
        if hasattr(model, name):
            setattr(new, name, getattr(model, name))


def _listed(classes: Any) -> str:
    return ", ".join(cls.__name__ for cls in classes)


# -- from theirs ----------------------------------------------------------------------------------


def sample_target(classes: Any, n_outputs: int) -> np.ndarray:
    """A target that has all that a model's target had: each class, or each output.

    Parameters
    ----------
    classes : ndarray of labels, "multilabel", or None for numbers
    """
    if classes is None:
        return np.zeros(2 if n_outputs == 1 else (2, n_outputs))
    if isinstance(classes, str):
        return np.vstack([np.eye(n_outputs, dtype=np.int64), np.ones((1, n_outputs), np.int64)])
    return np.repeat(to_numpy(classes), 3)


def _fill_network(new: Any, model: Any) -> None:
    """Weights, then where training stands, if it was trained and not only given weights."""
    classes, n_outputs = getattr(model, "classes_", None), int(model.n_outputs_)
    if model.out_activation_ == "logistic" and n_outputs > 1:
        classes = "multilabel"
    y = sample_target(classes, n_outputs)
    new.initialize(np.zeros((len(y), len(model.coefs_[0])), model.coefs_[0].dtype), y)
    new.coefs_, new.intercepts_ = model.coefs_, model.intercepts_
    samples = int(getattr(model, "t_", 0))
    progress, history = get_progress(model), {"loss": list(map(float, _curve(model)))}
    best = getattr(model, "best_loss_", None)
    if getattr(model, "validation_scores_", None):
        history["val_score"] = list(map(float, model.validation_scores_))
    moments = [np.concatenate([a.ravel() for a in part]) for part in progress.get("moments", ())]
    rate = progress.get("rate", new.learning_rate_init)
    lowered = math.log(new.learning_rate_init / rate) / math.log(_LOWERED)
    state = replace(
        new._state,
        moments=tuple(a.astype(new._dtype) for a in moments),
        samples=samples,
        epoch=int(getattr(model, "n_iter_", 0)),
        t=progress.get("t", int(samples > 0)),
        best=-math.inf if best is None else -float(best),
        stale=progress.get("stale", 0),
        plateaus=round(lowered) if new.learning_rate == "adaptive" else 0,
        history=history if history["loss"] else {},
    )
    new._moments_of = type(make_optimizer(new)) if moments else None
    new._adopt(state, 0)
    new.loss_ = float(getattr(model, "loss_", math.inf))


def _curve(model: Any) -> list[float]:
    return getattr(model, "loss_curve_", None) or []


def _fill_perceptron(new: Any, model: Any) -> None:
    new._labels = Labels.of(sample_target(model.classes_, 1))
    new.classes_ = new._labels.classes
    new.coef_, new.intercept_ = dense(model.coef_).copy(), model.intercept_.copy()
    new._source = new._backend = NUMPY
    new.n_features_in_, new.t_, new.history_ = model.n_features_in_, float(model.t_), {}


# -- to theirs ------------------------------------------------------------------------------------


def _theirs(model: Any, cls: Any) -> Any:
    _check_network(model)
    activation = _their_activation(model)
    new = cls(**{k: getattr(model, k) for k in cls().get_params() if hasattr(model, k)})
    params = {"activation": activation, "solver": _their_solver(model)}
    params |= {} if isinstance(model, MLPClassifier) else {"loss": _their_loss(model)}
    coefs, intercepts = ([to_numpy(a) for a in part] for part in (model.coefs_, model.intercepts_))
    multilabel = getattr(getattr(model, "_labels", None), "kind", "") == "multilabel"
    classes = "multilabel" if multilabel else getattr(model, "classes_", None)
    y = sample_target(classes, model.n_outputs_)
    new.set_params(**params)
    _fit_once(new, np.zeros((len(y), model.n_features_in_), coefs[0].dtype), y)
    new.coefs_, new.intercepts_ = [a.copy() for a in coefs], [a.copy() for a in intercepts]
    _set_progress(new, model)
    return new


def _fit_once(new: Any, x: np.ndarray, y: np.ndarray) -> None:
    """A short fit to rows of zeros: all that predictions and `partial_fit` need is then there."""
    wanted = new.get_params(deep=False)
    plain: dict[str, Any] = {"max_iter": 1, "batch_size": "auto", "class_weight": None}
    plain |= {"early_stopping": False, "verbose": False, "warm_start": False}
    new.set_params(**{k: v for k, v in plain.items() if k in wanted})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new.fit(x, y)
    new.set_params(**wanted)


def _check_network(model: Any) -> None:
    """Refuse what scikit-learn cannot compute; warn of what it cannot go on with."""
    for name, plain in _SHAPE.items():
        if getattr(model, name) != plain:
            raise ValueError(
                f"{name}={getattr(model, name)!r} is not in scikit-learn: there are dense layers "
                "alone. xpnn.to_onnx has all of it."
            )
    if hasattr(model, "_has_margins") and model._has_margins():
        raise ValueError("loss='hinge' is not in scikit-learn, which gives probabilities.")
    ours = type(model)().get_params(deep=False)
    lacking = set(ours) - set(SklearnClassifier().get_params()) - {"loss", *_SHAPE}
    lacking -= {"callbacks", "device", "dtype", "monitor", "weight_decay", "quantile", "delta"}
    set_here = [k for k in sorted(lacking) if getattr(model, k) != ours[k]]
    set_here += [] if _their_solver(model) == model.solver else [f"solver={model.solver!r}"]
    if set_here:
        warn_user(
            f"scikit-learn trains without {', '.join(set_here)}: predictions are the same, and "
            "its partial_fit and fit will learn otherwise."
        )


def _their_activation(model: Any) -> str:
    given = model.activation if isinstance(model.activation, list) else [model.activation]
    names = {get_activation(f).name for f in given}
    name = names.pop() if len(names) == 1 else ""
    if name not in _ACTIVATIONS:
        raise ValueError(
            f"activation={model.activation!r} is not in scikit-learn, which has one of "
            f"{', '.join(_ACTIVATIONS.values())} for all layers. xpnn.to_onnx has all of ours."
        )
    return _ACTIVATIONS[name]


def _their_solver(model: Any) -> str:
    return model.solver if model.solver in ("sgd", "adam", "lbfgs") else "adam"


def _their_loss(model: Any) -> str:
    return "poisson" if model.network_.link.name == "exp" else "squared_error"


def _set_progress(new: Any, model: Any) -> None:
    """Where the training of our network stands, as scikit-learn's."""
    state, layout = model._state, model.network_.layout
    same = model._moments_of is not None and _their_solver(model) == model.solver
    parts = [to_numpy(m) for m in state.moments] if same else []
    cut = [list(layout.split(part, np).values()) for part in parts]
    rate = model.learning_rate_init
    if model.learning_rate == "adaptive":
        rate /= _LOWERED**state.plateaus
    elif model.learning_rate == "invscaling":
        rate /= (state.samples + 1) ** model.power_t
    set_progress(new, {"moments": cut, "t": state.t, "rate": rate, "stale": state.stale})
    new.t_, new.loss_ = model.t_, model.loss_
    _take_over(new, model)
    for name in ("loss_curve_", "validation_scores_", "best_validation_score_", "best_loss_"):
        if hasattr(new, name):
            setattr(new, name, getattr(model, name))


def _their_perceptron(model: Any) -> Any:
    cls = SklearnPerceptron
    new = cls(**{k: getattr(model, k) for k in cls().get_params() if hasattr(model, k)})
    if model.pocket or model.average or model.batch_size != 1:
        warn_user(
            "scikit-learn's Perceptron has no pocket, no average and no batches: predictions are "
            "the same, and its partial_fit and fit will learn otherwise."
        )
    coef, intercept = (np.array(to_numpy(dense(a))) for a in (model.coef_, model.intercept_))
    y = sample_target(model.classes_, 1)
    _fit_once(new, np.zeros((len(y), coef.shape[1]), dtype_name(coef.dtype)), y)
    new.coef_, new.intercept_, new.t_ = coef, intercept, float(model.t_)
    _take_over(new, model)
    return new
