"""Class labels of any kind as the numbers that a loss takes, and back."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import (
    check_classification_targets,
    type_of_target,
    unique_labels,
)

from xpnn.arrays.backend import Backend, backend_of, to_numpy
from xpnn.arrays.numeric import log_mean_exp, places
from xpnn.arrays.typing import Array, DType, Namespace
from xpnn.estimators._inputs import A_PART, is_foreign
from xpnn.parts.activations import get_activation
from xpnn.parts.losses import LOSSES, Loss, built_in, get_loss
from xpnn.steps.scores import first_largest

CLASS_LOSSES = ("log_loss", "hinge", "binary_cross_entropy", "softmax_cross_entropy")
"""What a classifier's loss may be called; "log_loss" is the cross-entropy of its labels."""


@dataclass(frozen=True, eq=False)  # of arrays
class Labels:
    """The classes of a problem, on the host."""

    kind: Literal["binary", "multiclass", "multilabel"]
    classes: np.ndarray  # sorted; for multilabel the column numbers
    sparse: bool = False  # whether predictions of several labels are SciPy CSR, as the target was

    @classmethod
    def of(cls, y: np.ndarray, classes: Any = None, *, sparse: bool = False) -> "Labels":
        """The labels of a target, or of the classes that later targets will have."""
        found = _whole_numbers(y) if classes is None else None
        if found is not None:
            return cls("binary" if len(found) <= 2 else "multiclass", found)
        check_classification_targets(y)
        if type_of_target(y).startswith("multilabel"):
            known = np.arange(y.shape[1])
            if classes is not None and not np.array_equal(np.unique(to_numpy(classes)), known):
                raise ValueError(
                    f"classes={classes!r} are not those of y, whose {len(known)} columns of 0 and "
                    "1 are a label each: leave classes out."
                )
            return cls("multilabel", known, sparse)
        found = unique_labels(y if classes is None else np.asarray(classes))
        return cls("binary" if len(found) <= 2 else "multiclass", found)

    def check(self, n_outputs: int) -> None:
        """Raise a ValueError if these are no labels for that many outputs."""
        kinds = ("binary", "multiclass", "multilabel")
        plain = isinstance(self.classes, np.ndarray) and isinstance(self.sparse, bool)
        if self.kind not in kinds or not plain:
            raise ValueError("its classes are no labels")
        if self.classes.ndim != 1 or len(self.classes) < 1 or self.n_outputs != n_outputs:
            raise ValueError(f"{self.classes.shape} classes for {n_outputs} outputs")
        if not np.array_equal(np.unique(self.classes), self.classes):
            raise ValueError("its classes are not in order, or not different")

    @property
    def n_outputs(self) -> int:
        """Units of the output layer."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def numeric(self) -> bool:
        """Whether labels are numbers, which an array of any library can hold."""
        return self.classes.dtype.kind in "biuf"

    def encode(self, y: np.ndarray) -> Any:
        """Class numbers: int64 of shape (n,); for multilabel 0 and 1 of shape (n, n_labels)."""
        if self.kind == "multilabel":
            return self._indicators(y)
        if y.ndim != 1:
            raise ValueError(f"y should be a 1d array, got an array of shape {y.shape} instead.")
        if _plain(y) and _plain(self.classes):
            codes = np.searchsorted(self.classes, y).astype(np.int64, copy=False)
            if (np.take(self.classes, places(codes), mode="clip") == y).all():
                return codes
        check_classification_targets(y)
        found = unique_labels(y)
        if len(np.setdiff1d(found, self.classes)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes}. 'y' has {found}."
            )
        return np.searchsorted(self.classes, y).astype(np.int64)

    def _indicators(self, y: np.ndarray) -> np.ndarray:
        """0 and 1 of shape (n, n_labels), of a multilabel target."""
        if y.ndim != 2 or y.shape[1] != len(self.classes):
            raise ValueError(
                f"y has shape {y.shape}, but the network was built for {len(self.classes)} labels "
                "a sample: a column of 0 and 1 for each."
            )
        right = y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all()
        if not right:
            wrong = next(v for v in y.ravel().tolist() if v not in (0, 1))
            raise ValueError(
                f"y holds {wrong!r}, but several labels a sample are columns of 0 and 1: encode "
                "names with sklearn.preprocessing.MultiLabelBinarizer."
            )
        return y.astype(np.int64)

    def target(self, codes: np.ndarray, *, margin: bool) -> np.ndarray:
        """What a loss takes: class numbers, or a column an output; -1 and 1 for a margin."""
        if self.kind == "multiclass":
            return 2.0 * np.eye(self.n_outputs)[codes] - 1.0 if margin else codes
        columns = codes.reshape(codes.shape[0], -1).astype(np.float64)
        return 2.0 * columns - 1.0 if margin else columns

    def loss(self, spec: Any, label_smoothing: float) -> Loss:
        """The loss that a classifier's parameters stand for; its link makes probabilities.

        A loss of the user's own is given logits and the targets of "log_loss".
        """
        fitting = "softmax_cross_entropy" if self.kind == "multiclass" else "binary_cross_entropy"
        if isinstance(spec, str) and spec == "log_loss":
            return get_loss(fitting, label_smoothing=label_smoothing)
        if label_smoothing:
            raise ValueError(
                f"label_smoothing={label_smoothing} goes with loss='log_loss' alone, got "
                f"loss={spec!r}: take that loss, or label_smoothing=0."
            )
        name = built_in(spec)
        if name not in (None, fitting, "hinge"):
            raise ValueError(
                f"loss {name!r} does not fit {self.kind} labels: take 'log_loss', 'hinge', "
                f"{fitting!r}, or a loss of your own."
            )
        return replace(get_loss(spec), link=LOSSES[name or fitting].link)

    def codes_of_target(self, target: Any) -> Any:
        """The inverse of `target`."""
        if self.kind == "multiclass":
            return target if target.ndim == 1 else target.argmax(axis=1)
        codes = (target > 0).astype(np.int64)
        return codes[:, 0] if self.kind == "binary" else codes

    def combined(self, raw: Array, xp: Namespace) -> Array:
        """The logits (n, n_outputs) of the mean probability of logits (members, n, n_outputs).

        They are exact where a probability is tiny.
        """
        if self.kind == "multiclass":
            return log_mean_exp(get_activation("log_softmax").value(raw, xp), xp)
        softplus = get_activation("softplus").value
        return log_mean_exp(-softplus(-raw, xp), xp) - log_mean_exp(-softplus(raw, xp), xp)

    def codes(self, output: Array, integer: DType, xp: Namespace) -> Array:
        """Class numbers of raw outputs: the largest logit, or those above zero."""
        if self.kind == "multiclass":
            return first_largest(output, integer, xp)
        positive = (output[:, 0] if self.kind == "binary" else output) > 0
        if self.kind == "binary" and len(self.classes) == 1:
            positive = xp.zeros_like(positive)  # one class seen: there is no other to predict
        return xp.astype(positive, integer)

    def probabilities(self, z: Array, log: bool, xp: Namespace) -> Array:
        """Probabilities of raw outputs, or their logarithms, a column for each class."""
        if self.kind == "multiclass":
            return get_activation("log_softmax" if log else "softmax").value(z, xp)
        if self.kind == "binary" and len(self.classes) == 1:
            return xp.zeros_like(z) if log else xp.ones_like(z)
        if self.kind == "binary":
            z = xp.concat([-z, z], axis=1)
        if log:
            return -get_activation("softplus").value(-z, xp)
        return get_activation("sigmoid").value(z, xp)

    def compare(self, y: np.ndarray) -> Any:
        """Class numbers for scoring: a label that is not among the classes is -1."""
        if self.kind == "multilabel":
            return self._indicators(y)
        if y.ndim != 1 or (y.dtype.kind == "f" and (y != np.floor(y)).any()):
            raise ValueError(
                f"Classification metrics can't handle a mix of {type_of_target(y)} and {self.kind} "
                f"targets: y has shape {y.shape} and begins with {y[:1].tolist()[0]!r}, but these "
                f"are labels such as {self.classes[-1:].tolist()[0]!r}, one a sample. Take the "
                "label of one-hot rows by y.argmax(axis=1); numbers on a scale are scored by an "
                "MLPRegressor."
            )
        if (y.dtype.kind in "OUST") == self.numeric:
            unique_labels(self.classes, y)  # raises for strings beside numbers
        position = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        return np.where(self.classes[position] == y, position, -1).astype(np.int64)

    def names(self, codes: np.ndarray) -> np.ndarray:
        """Labels of class numbers, on the host."""
        named: np.ndarray = codes if self.kind == "multilabel" else self.classes[codes]
        return named

    def strata(self, codes: np.ndarray, fraction: float) -> np.ndarray | None:
        """What to stratify a split by: None for multilabel, and for classes too rare for it."""
        if self.kind == "multilabel":
            return None
        counts = np.bincount(places(codes))
        counts = counts[counts > 0]
        rare = counts.min() < 2 or len(counts) > np.ceil(fraction * len(codes))
        return None if rare and self.kind == "multiclass" else codes

    def check_same(self, y: np.ndarray) -> None:
        """Refuse a warm start with other classes, as scikit-learn does."""
        found = unique_labels(y)
        if self.kind != "multilabel" and set(found) != set(self.classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes}, `y` has {found}"
            )

    def check_classes(self, classes: Any) -> None:
        """Refuse other `classes` than those of the first call to partial_fit."""
        given = unique_labels(np.asarray(to_numpy(classes)))
        if not np.array_equal(given, self.classes):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes!r}"
            )

    def decode(self, codes: Array, backend: Backend, source: Backend) -> Array:
        """Labels of class numbers, moved to `source`; on the host where they are no numbers."""
        if self.kind == "multilabel":
            sparse = self.sparse and source.name == "numpy"
            return csr_matrix(backend.to_numpy(codes)) if sparse else source.asarray(codes)
        if not self.numeric or source.name == "numpy":
            return self.classes[backend.to_numpy(codes)]
        dtype = source.library.label_dtype(self.classes.dtype.name)
        table = backend.asarray(self.classes.astype(dtype, copy=False))
        return source.asarray(backend.xp.take(table, codes))


def weigh_classes(class_weight: Any, y: np.ndarray, weight: Any) -> Any:
    """Sample weights (None: ones) times those of the classes of `y`, where the weights are."""
    if isinstance(class_weight, list) and not all(isinstance(w, dict | str) for w in class_weight):
        raise ValueError(
            f"class_weight={class_weight!r} is a list, which has a dict for each column of y: pass "
            "{label: weight}, as dict(zip(classes, weights))."
        )
    of_class = compute_sample_weight(weights_of_all(class_weight), y)
    if not (np.isfinite(of_class).all() and of_class.min() >= 0):
        raise ValueError(f"class_weight must be finite and at least 0, got {class_weight!r}.")
    with np.errstate(over="ignore"):
        product = of_class if weight is None else of_class * to_numpy(weight)
    if not (product.any() or A_PART.get()):
        beside = "" if weight is None else " beside sample_weight"
        raise ValueError(
            f"class_weight={class_weight!r} leaves no row of these a weight above 0{beside}: pass "
            "rows of other classes too, or give these classes more."
        )
    if weight is None or not is_foreign(weight):
        return product
    backend = backend_of(weight)
    with backend.device_context():
        return weight * backend.asarray(of_class, dtype=weight.dtype)


def weights_of_all(class_weight: Any) -> Any:
    """What "balanced" means where other processes have rows too; else what was given."""
    part = A_PART.get()
    if part is None or class_weight != "balanced":
        return class_weight
    if part.counts is None:
        raise ValueError(
            'class_weight="balanced" of several labels a row needs all rows, and each process has '
            "its own: pass the weights as a list of dicts."
        )
    each = sum(part.counts.values()) / len(part.counts)
    return {label: each / count for label, count in part.counts.items()}


def check_incremental(labels: Labels | None, class_weight: Any, y: Any, classes: Any) -> None:
    """Refuse what a call of partial_fit cannot know; `labels` are None in the first one."""
    if isinstance(class_weight, str):
        raise ValueError(
            "class_weight 'balanced' is not supported for partial_fit. In order to use "
            "'balanced' weights, use compute_class_weight('balanced', classes=classes, y=y). "
            "Pass the resulting weights as the class_weight parameter."
        )
    unknown = labels is None and classes is None
    if unknown and not type_of_target(to_numpy(y)).startswith("multilabel"):
        raise ValueError("classes must be passed on the first call to partial_fit.")
    if labels is not None and classes is not None:
        labels.check_classes(classes)


def _plain(y: np.ndarray) -> bool:
    """Whether a target is a column of whole numbers."""
    return y.ndim == 1 and y.dtype.kind in "biu"


def _whole_numbers(y: np.ndarray) -> np.ndarray | None:
    """The classes of a column of whole numbers, found in one pass where scikit-learn makes eight.

    None for any other target, and for one with so many classes that scikit-learn has a warning.
    """
    if not _plain(y) or not len(y):
        return None
    found = np.unique(y)
    return found if 2 * len(found) <= len(y) else None
