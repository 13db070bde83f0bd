"""`TabularClassifier`: classes of the rows of any table."""

import datetime as dt
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin

from xpnn.arrays.numeric import places
from xpnn.arrays.typing import Array
from xpnn.estimators._checks import CLASS_WEIGHT, Checks, among, number
from xpnn.estimators._inputs import on_host, read_target
from xpnn.estimators._labels import Labels, weigh_classes
from xpnn.estimators._rows import all_there, check_labels, listed
from xpnn.parts.losses import Loss, get_loss, with_aliases
from xpnn.tables.columns import objects
from xpnn.tables.frames import read_frame
from xpnn.tabular.base import BaseTabular, as_shares
from xpnn.tabular.blocks import to_score_by
from xpnn.tabular.calibration import OF_THE_MEAN, fit_temperature, tempered
from xpnn.tabular.judged import Judgement
from xpnn.tabular.outoffold import Task, log_loss

LOSSES = ("log_loss", *with_aliases(["softmax_cross_entropy"]))
"""What a classifier's loss may be called."""


def _plain(y: Any) -> Any:
    """Labels of data frames' own types as NumPy's; a ValueError for what no label can be."""
    if hasattr(y, "columns") or hasattr(y, "column_names"):
        columns = list(read_frame(y).columns.values())
        y = columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)
    if isinstance(y, list | tuple):
        given = np.asarray(y, dtype=object)
        y = given if given.ndim == 1 else y
    kind = getattr(y, "dtype", "")
    if isinstance(kind, np.dtype) and kind.kind in "biufc":
        return y
    if isinstance(kind, np.dtype) and kind.kind in "Mm":
        return all_there(np.asarray(y), np.isnat(np.asarray(y)))
    if not (hasattr(y, "to_numpy") or str(kind)[:3] in ("obj", "Str")):
        return y
    values = np.asarray(y) if isinstance(y, np.ndarray) else objects(listed(y))
    check_labels(values)
    kinds = {type(v) for v in values.ravel()}
    if kinds <= {dt.date} or (kinds and all(issubclass(k, dt.datetime) for k in kinds)):
        return _times(values)
    found = np.asarray(values.tolist())
    if found.dtype == object:  # periods, intervals, decimals and what else compares by itself
        raise ValueError(
            f"y holds labels such as {values.flat[0]!r}, and a label is text, a number, a boolean "
            "or a date: make them text, as by y.astype(str)."
        )
    return found


def _times(values: np.ndarray) -> np.ndarray:
    zones = {getattr(v, "tzinfo", None) for v in values.ravel()} - {None}
    if zones:
        raise ValueError(
            f"y holds times of the zone {next(iter(zones))}, which labels do not keep: take it "
            "off, as by y.dt.tz_localize(None)."
        )
    return values.astype("datetime64[us]" if isinstance(values.flat[0], dt.datetime) else "M8[D]")


class TabularClassifier(ClassifierMixin, BaseTabular):
    """Classes of the rows of any table, good without tuning.

    Parameters
    ----------
    n_members : int, default=None
        Networks that are trained as one, each without the rows of its fold; None is 5.
    hidden : int or array-like of int, default=None
        Neurons of each hidden layer; None goes by the number of rows.
    embedding : {"auto", "both", "periodic", "piecewise"} or None, default="auto"
        What numbers become before the first layer: waves of learned frequencies, pieces of a
        line between quantiles, or both; "auto" is "piecewise" for up to 40 columns, else None.
        Up to 6,000 rows it is then None too where a second training is surely better so.
    loss : {"log_loss", "cross_entropy", "softmax_cross_entropy"}, default="log_loss"
        One loss of three names: that of probabilities, which valleys are judged and blended by,
        too. A hinge has none; `MLPClassifier` takes it.
    label_smoothing : float, default=0.0
        Share of a label's probability that is spread over all classes in training, for labels
        that may be wrong; the temperature is fitted to the labels as they are.
    class_weight : "balanced", dict or None, default=None
        Factors of the rows' weights by class.
    epochs : int, default=None
        Most epochs; None goes by the number of rows.
    time_limit : float, default=None
        Seconds of training at most; the best network within them is kept.
    random_state : int, RandomState or None, default=None
        The same seed gives the same network on every device.
    verbose : bool or int, default=False
        Whether to show a progress bar.
    callbacks : callable or list of callables, default=None
        Called after each epoch with an `EpochEnd`; training stops after one returns True.
    device : str or Backend, default=None
        Where to work; None is where X is.
    dtype : {"float32", "float64"}, default="float32"

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    oof_prediction_ : ndarray of shape (n_samples, n_classes)
        Probabilities for each training row by a member that has not seen it.
    validation_score_ : float
        Accuracy out of fold.
    temperature_ : float
        What calibrates probabilities: of the mean of all members, the power 0.75 of what is fitted
        out of fold, where one member predicts.
    encoding_ : Encoding
        What was done with each column.
    network_ : Network
    recipe_ : Recipe
    history_ : dict of str to list of float

    See Also
    --------
    MLPClassifier : drop-in for scikit-learn's; takes numbers that are scaled already.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import TabularClassifier
    >>> X = {"weight": np.arange(40.0), "colour": ["red", "green"] * 20}
    >>> y = ["light"] * 20 + ["heavy"] * 20
    >>> model = TabularClassifier(random_state=0).fit(X, y)
    >>> model.predict({"weight": [3.0, 35.0], "colour": ["red", None]}).tolist()
    ['light', 'heavy']
    """

    classes_: np.ndarray
    temperature_: Any = Judgement()
    validation_log_loss_: Any = Judgement()
    label_smoothing: float
    class_weight: Any
    _labels: Labels

    _checks: ClassVar[Checks] = {
        **BaseTabular._checks,
        "loss": (among(LOSSES),),
        "label_smoothing": (number(Real, 0, 1, closed="low"),),
        "class_weight": CLASS_WEIGHT,
    }

    def __init__(
        self,
        n_members: int | None = None,
        hidden: Any = None,
        *,
        embedding: str | None = "auto",
        loss: str = "log_loss",
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        epochs: int | None = None,
        time_limit: float | None = None,
        random_state: Any = None,
        verbose: Any = False,
        callbacks: Any = None,
        device: Any = None,
        dtype: str = "float32",
    ) -> None:
        self._store(locals())

    def _read_task(self, y: Any, n: int, weight: np.ndarray | None) -> tuple[Any, ...]:
        y = read_target(self, _plain(y), np.empty((n, 0)), numeric=False)
        if y.ndim == 2:
            raise ValueError(
                f"y has {y.shape[1]} labels a row, and a TabularClassifier predicts one: fit one "
                "for each, with sklearn.multioutput.MultiOutputClassifier."
            )
        labels = Labels.of(y)
        self._labels, self.classes_ = labels, labels.classes
        self._n_out = len(labels.classes)
        codes = places(labels.encode(y))
        if self.class_weight is not None:
            weight = as_shares(weigh_classes(self.class_weight, labels.names(codes), weight))
        return codes, weight, codes, self._loss()

    def _loss(self) -> Loss:
        return get_loss("softmax_cross_entropy", label_smoothing=float(self.label_smoothing))

    def _task_of(self, x: np.ndarray, y: Any) -> Task:
        y = read_target(self, _plain(y), x, numeric=False, warn=False)
        codes = self._labels.encode(y)
        return Task(x, codes, None, self._loss(), True)

    def _adopt_outputs(self, probability: np.ndarray, task: Task) -> None:
        codes, weight = task.target, task.weight
        of_members = fit_temperature(probability, codes, weight)
        self.temperature_ = of_members**OF_THE_MEAN
        self.oof_prediction_ = tempered(probability, of_members)
        right = self.oof_prediction_.argmax(axis=1) == codes
        self.validation_score_ = float(np.average(right, weights=weight))
        self.validation_log_loss_ = log_loss(self.oof_prediction_, codes, weight)

    def _in_words(self, prediction: np.ndarray) -> np.ndarray:
        return tempered(prediction, self.temperature_)

    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of each class, calibrated out of fold.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            In X's library and on its device where X is an array, else NumPy.
        """
        probability, source = self._mean_prediction(X)
        return source.asarray(self._in_words(probability))

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithm of each class's probability.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        probability, source = self._mean_prediction(X)
        return source.asarray(np.log(self._in_words(probability)))

    def predict(self, X: Any) -> Any:
        """Predict classes.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
            In X's library and on its device; on the host where labels are no numbers.
        """
        probability, source = self._mean_prediction(X)
        names = self.classes_[probability.argmax(axis=1)]
        if not self._labels.numeric:
            return names
        dtype = source.library.label_dtype(names.dtype.name)
        return source.asarray(names.astype(dtype, copy=False))  # narrower where it has to be

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The accuracy of predictions.

        Parameters
        ----------
        X : data frame, dict of columns, array-like or Blocks of shape (n_samples, n_features)
        y : array-like of shape (n_samples,); None if inside Blocks
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float

        Raises
        ------
        ValueError
            Without a target.
        """
        from sklearn.metrics import accuracy_score

        y, weight = to_score_by(self, X, y, sample_weight)
        y = _plain(y)
        return float(accuracy_score(y, on_host(self.predict(X)), sample_weight=weight))
