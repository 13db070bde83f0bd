"""`TabularRegressor`: numbers for the rows of any table."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from xpnn.arrays.backend import to_numpy
from xpnn.arrays.typing import Array
from xpnn.estimators._checks import ARRAY_LIKE, NONE, Checks, among
from xpnn.estimators._inputs import on_host, read_target
from xpnn.parts.losses import Loss, get_loss, with_aliases
from xpnn.tabular.base import BaseTabular
from xpnn.tabular.blocks import to_score_by
from xpnn.tabular.calibration import cross_conformal_interval, median_interval
from xpnn.tabular.judged import Judgement
from xpnn.tabular.outoffold import Task
from xpnn.tabular.quantiles import Pinballs, check_levels
from xpnn.tabular.targets import MOST_ROWS, is_skewed, share_of_logarithm

METHODS = ("median", "plus", "base")
"""Of intervals; the last two names are MAPIE's."""

LOSSES = ("squared_error", "absolute_error", "huber", "log_cosh", "poisson")
"""What a regressor's loss may be."""


class TabularRegressor(RegressorMixin, BaseTabular):
    """Numbers for the rows of any table, good without tuning.

    Parameters
    ----------
    n_members : int, default=None
        Networks that are trained as one, each without the rows of its fold; None is 5.
    hidden : int or array-like of int, default=None
        Neurons of each hidden layer; None goes by the number of rows.
    embedding : {"auto", "both", "periodic", "piecewise"} or None, default="auto"
        What numbers become before the first layer: waves of learned frequencies, pieces of a
        line between quantiles, or both; "auto" is "piecewise" for up to 40 columns, else None.
    loss : {"squared_error", "absolute_error", "huber", "log_cosh", "poisson"}, \
            default="squared_error"
        Of the target in units of its standard deviation. "poisson" is for counts and other
        targets of at least 0, in units of their mean: half the deviance of a rate, the
        exponential of the network's output.
    epochs : int, default=None
        Most epochs; None goes by the number of rows.
    quantiles : sequence of float, default=None
        Quantiles to learn, an output each, such as (0.05, 0.5, 0.95); `predict` then gives the
        one nearest to 0.5, and `predict_interval` bounds by the outer two, made conformal.
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
    oof_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        For each training row by a member that has not seen it.
    validation_score_ : float
        R2 out of fold; of several outputs the mean.
    encoding_ : Encoding
        What was done with each column.
    network_ : Network
    log_share_ : float or None
        Positive targets that are skewed are learned as their logarithm too, by an output of its
        own, up to 5,000 rows: how much it counts in predictions, found out of fold. None is
        without.
    recipe_ : Recipe
    history_ : dict of str to list of float

    See Also
    --------
    MLPRegressor : drop-in for scikit-learn's; takes numbers that are scaled already.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import TabularRegressor
    >>> X = {"size": np.linspace(0, 1, 60), "kind": ["flat", "house"] * 30}
    >>> y = 100.0 + 50.0 * np.linspace(0, 1, 60)
    >>> model = TabularRegressor(random_state=0).fit(X, y)
    >>> bool(abs(model.predict({"size": [0.5], "kind": ["flat"]})[0] - 125.0) < 5.0)
    True
    """

    loss: str
    quantiles_: tuple[float, ...] | None
    log_share_: float | None
    _residuals: Any = Judgement()
    _center: np.ndarray

    _checks: ClassVar[Checks] = {
        **BaseTabular._checks,
        "loss": (among(with_aliases(LOSSES)),),
        "quantiles": (ARRAY_LIKE, NONE),
    }

    def __init__(
        self,
        n_members: int | None = None,
        hidden: Any = None,
        *,
        embedding: str | None = "auto",
        loss: str = "squared_error",
        quantiles: Any = None,
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
        y = np.asarray(to_numpy(read_target(self, y, np.empty((n, 0)), numeric=True)), np.float64)
        self._vector = y.ndim == 1
        columns = y[:, None] if self._vector else y
        levels = self.quantiles_ = check_levels(self.quantiles)
        if self._of_rates and columns.min() < 0:
            raise ValueError(
                f"loss='poisson' needs y of at least 0, got {columns.min():.6g}: take another loss."
            )
        if levels is not None and not self._vector:
            raise ValueError("quantiles are of one target, and y has several: fit one model each.")
        if levels is not None and get_loss(self.loss).name != "squared_error":
            raise ValueError(f"quantiles have a loss of their own: leave out loss={self.loss!r}.")
        self.log_share_ = None
        if self._takes_logarithm(columns, weight):
            self.log_share_, positive = 0.0, columns if weight is None else columns[weight > 0]
            logarithm = np.log(np.maximum(columns, positive.min()))
            columns = np.concatenate([columns, logarithm], axis=1)
        self._n_out = columns.shape[1] if levels is None else len(levels)
        mean = np.average(columns, axis=0, weights=weight)
        largest = np.abs(columns).max(axis=0)
        unit = np.where(largest > 0, largest, 1.0)  # so that no square overflows or vanishes
        apart = (columns - mean) / unit
        spread = unit * np.sqrt(np.average(apart**2, axis=0, weights=weight))
        # of rates their mean, so that a network that says nothing is right
        self._center, spread = (0.0 * mean, mean) if self._of_rates else (mean, spread)
        # what is nothing but rounding is no spread
        self._spread = np.where(spread <= 1e-12 * largest, unit, spread)
        known = columns if weight is None else columns[weight > 0]
        self._low, self._high = known.min(axis=0), known.max(axis=0)
        target = (columns - self._center) / self._spread
        return target, weight, target[:, 0], self._loss()

    def _loss(self) -> Loss:
        levels = self.quantiles_
        return get_loss(self.loss if levels is None else Pinballs(levels))

    def _takes_logarithm(self, columns: np.ndarray, weight: np.ndarray | None) -> bool:
        if not self._vector or self.quantiles_ is not None or self._loss().name != "squared_error":
            return False
        if weight is not None:
            columns, weight = columns[weight > 0], weight[weight > 0]
        return len(columns) <= MOST_ROWS and is_skewed(columns[:, 0], weight)

    @property
    def _n_targets(self) -> int:
        return len(self._center) if self.log_share_ is None else 1

    def _in_units(self, output: np.ndarray) -> np.ndarray:
        """Outputs (..., n_out) in the target's units, (..., n_targets) but for quantiles."""
        values: np.ndarray = output * self._spread + self._center
        if self.log_share_ is None:
            return values
        logarithm = np.clip(values[..., 1:], self._low[1], self._high[1])
        exponential: np.ndarray = np.exp(logarithm)
        return (1.0 - self.log_share_) * values[..., :1] + self.log_share_ * exponential

    @property
    def _of_rates(self) -> bool:
        """Whether the network's output is the logarithm of a prediction."""
        return self._loss().link == "exp"

    @property
    def _middle(self) -> int:
        """Which output is nearest to the median."""
        levels = self.quantiles_
        return 0 if levels is None else int(np.argmin(np.abs(np.asarray(levels) - 0.5)))

    def _in_words(self, prediction: np.ndarray) -> np.ndarray:
        """Outputs as the target's numbers, within the range that was seen."""
        k = self._n_targets
        values = np.clip(self._in_units(prediction), self._low[:k], self._high[:k])
        return np.asarray(values[:, self._middle] if self._vector else values)

    def _task_of(self, x: np.ndarray, y: Any) -> Task:
        y = np.asarray(to_numpy(read_target(self, y, x, numeric=True, warn=False)), np.float64)
        given, known = 1 if y.ndim == 1 else y.shape[1], self._n_targets
        if given != known:
            raise ValueError(
                f"y has {given} outputs, but this {type(self).__name__} was fitted with {known}: "
                "pass as many, or fit it anew."
            )
        columns = y.reshape(len(x), -1)
        if self.log_share_ is not None:
            logarithm = np.log(np.maximum(columns, self._low[0]))
            columns = np.concatenate([columns, logarithm], axis=1)
        target = (columns - self._center) / self._spread
        return Task(x, target, None, self._loss(), False)

    def _adopt_outputs(self, output: np.ndarray, task: Task) -> None:
        k, truth = self._n_targets, task.target
        if self.log_share_ is not None:
            plain, logarithm = (output * self._spread + self._center).T
            logarithm = np.clip(logarithm, self._low[1], self._high[1])
            y = truth[:, 0] * self._spread[0] + self._center[0]
            self.log_share_ = share_of_logarithm(plain, np.exp(logarithm), y, task.weight)
            self._residuals = np.abs(self._in_units(self._held) - y[:, None])
        elif self.quantiles_ is None:
            self._residuals = np.abs(self._held - truth) * self._spread
        else:  # how far outside of the outer quantiles
            low, high = self._held.min(axis=2), self._held.max(axis=2)
            outside = np.maximum(low - task.target[:, 0], task.target[:, 0] - high)
            self._residuals = outside[..., None] * self._spread
        self.oof_prediction_ = self._in_words(output)
        # in units of the target, so that no square overflows; of quantiles the middle one
        found = (self.oof_prediction_.reshape(len(output), -1) - self._center[:k]) / self._spread[
            :k
        ]
        truth = truth[:, :k]
        mean = np.average(truth, axis=0, weights=task.weight)
        left = np.average((truth - found) ** 2, axis=0, weights=task.weight)
        there = np.average((truth - mean) ** 2, axis=0, weights=task.weight)
        explained = np.where(there > 0, 1.0 - left / np.where(there > 0, there, 1.0), 0.0)
        self.validation_score_ = float(explained.mean())

    def predict(self, X: Any) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            In X's library and on its device where X is an array, else NumPy.
        """
        output, source = self._mean_prediction(X)
        return source.asarray(self._in_words(output))

    def predict_quantiles(self, X: Any) -> Array:
        """Predict the quantiles that were learned, in rising order.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_quantiles)

        Raises
        ------
        ValueError
            For an estimator without `quantiles`.
        """
        check_is_fitted(self)
        if self.quantiles_ is None:
            raise ValueError(
                "This estimator has no quantiles: fit TabularRegressor(quantiles=(0.05, 0.5, "
                "0.95)), or ask for predict_interval."
            )
        output, source = self._mean_prediction(X)
        values = np.clip(output * self._spread + self._center, self._low, self._high)
        return source.asarray(np.sort(values, axis=1))

    def predict_interval(
        self, X: Any, confidence_level: float = 0.9, *, method: str = "median"
    ) -> Array:
        """Predict intervals that hold the target with a given probability.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
        confidence_level : float, default=0.9
            Between 0 and 1.
        method : {"median", "plus", "base"}, default="median"
            "median" takes the medians of the bounds that each member sets by the residuals of its
            fold; "plus" quantiles of all members' predictions and residuals, which are wider;
            "base" adds all residuals to the mean prediction, which nothing guarantees.

        Returns
        -------
        array of shape (n_samples, 2), or (n_samples, 2, n_outputs)
            The lower and the upper bound; infinite where there were too few training rows. Of
            the loss "poisson" they are at least 0, as all targets are.

        Raises
        ------
        ValueError
            For a level outside of (0, 1), or another method.

        Notes
        -----
        For rows that come as the training rows did, the coverage of "median" by five members is at
        least ``1 - 5/3 (1 - confidence_level + 1 / n_samples)``, that of "plus" at least about
        ``2 confidence_level - 1``, whatever the model; in practice both are a little above
        `confidence_level`, "plus" more. The valleys that count were chosen by the same residuals,
        which no guarantee covers. Of few rows or high levels, such as 0.97 of 120 rows, "median" is
        at least as wide as "plus", which then has a quantile where single folds have none.

        References
        ----------
        R. Barber, E. Candès, A. Ramdas and R. Tibshirani (2021), "Predictive inference with the
        jackknife+", Annals of Statistics 49. M. Gasparin and A. Ramdas (2024), "Merging
        uncertainty sets via majority vote".
        """
        if not (isinstance(confidence_level, Real) and 0 < confidence_level < 1):
            raise ValueError(
                f"confidence_level is {confidence_level!r}, expected a number between 0 and 1, "
                "such as 0.9."
            )
        if method not in METHODS:
            raise ValueError(f"method is {method!r}, expected one of {', '.join(METHODS)}.")
        x, source = self._read_inputs(X)
        outputs = self._in_units(self._predict_inputs(x, each=method != "base"))
        interval = median_interval if method == "median" else cross_conformal_interval
        if method == "base":
            outputs = np.broadcast_to(outputs, (self.recipe_.members, *outputs.shape))
        level = float(confidence_level)
        if self.quantiles_ is not None:
            residuals = [r[:, 0] for r in self._by_member(self._residuals)]
            low, high = list(outputs.min(axis=2)), list(outputs.max(axis=2))
            return source.asarray(interval(residuals, low, level, high))
        found = []
        for j in range(self._n_targets):
            residuals = [r[:, j] for r in self._by_member(self._residuals)]
            own = list(outputs[..., j])
            found.append(interval(residuals, own, level))
        intervals = np.stack(found, axis=-1)
        if self._of_rates:
            intervals = np.maximum(intervals, 0.0)
        return source.asarray(intervals[..., 0] if self._vector else intervals)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """R2, the coefficient of determination of predictions.

        Parameters
        ----------
        X : data frame, dict of columns, array-like or Blocks of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs); None if inside Blocks
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float

        Raises
        ------
        ValueError
            Without a target.
        """
        from sklearn.metrics import r2_score

        y, weight = to_score_by(self, X, y, sample_weight)
        return float(r2_score(y, on_host(self.predict(X)), sample_weight=weight))
