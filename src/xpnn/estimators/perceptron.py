"""`Perceptron`: drop-in for scikit-learn's, on any array library."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from xpnn import metrics
from xpnn._typing import Array
from xpnn.backends import Backend, backend_of, dtype_name, get_backend, to_numpy
from xpnn.data import Dataset, is_sparse
from xpnn.estimators._device import OnDevice
from xpnn.estimators._heldout import take_rows
from xpnn.estimators._inputs import is_foreign, read_features, read_target, read_weight
from xpnn.estimators._labels import Labels, flat
from xpnn.estimators._perceptron_fit import Fitted, Held, Plan, fit_problems
from xpnn.kernels.perceptron import Data, Rule, initial_state

_MAX_INT = np.iinfo(np.int32).max
_CHUNK = 1 << 16  # rows scored at a time


class Perceptron(ClassifierMixin, OnDevice):
    """Linear perceptron classifier, one-versus-rest for several classes.

    Every parameter of scikit-learn's `Perceptron` has the same meaning and default here. In the
    order of the data (``shuffle=False``) and for two classes in any order, the weights are those
    of scikit-learn. The classes of one-versus-rest are learned side by side, in one order of the
    samples, where scikit-learn shuffles anew for each.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet"}, default=None
        "l1" and "elasticnet" go sample by sample; without numba that is slow.
    alpha : float, default=0.0001
        Strength of the penalty.
    l1_ratio : float, default=0.15
        L1 share of "elasticnet".
    fit_intercept : bool, default=True
    max_iter : int, default=1000
        Epochs of `fit`.
    tol : float, default=1e-3
        A problem stops when its mean loss has not fallen by `tol` for `n_iter_no_change` epochs.
        None: never.
    shuffle : bool, default=True
    verbose : int, default=0
        Print each epoch.
    eta0 : float, default=1
        Size of a step.
    n_jobs : int, default=None
        Accepted for scikit-learn's sake: the classes are learned at once anyway.
    random_state : int, RandomState or None, default=0
    early_stopping : bool, default=False
        Hold rows out and watch the accuracy there in place of the loss.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=5
    class_weight : dict or "balanced", default=None
    warm_start : bool, default=False
        Go on from the last fit's weights.
    average : bool, default=False
        The fitted weights are the mean of the weights after every sample [1]_.
    pocket : bool, default=False
        The fitted weights are the best seen at the end of an epoch: with the fewest training
        mistakes, or with `early_stopping` the best score on the rows held out [2]_.
    batch_size : int, default=1
        1 is the perceptron rule. In a larger batch all rows are scored by the weights before the
        batch, which fills a GPU.
    device : str, default=None
        Where to work, such as "cupy:0"; None follows `X`. Fitted arrays and predictions come
        back to X's library and device.
    dtype : {"float32", "float64"}, default=None
        None follows `X`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coef_ : array of shape (1, n_features), or (n_classes, n_features) for more than two classes
    intercept_ : array of shape (1,) or (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Where `X` has names that are all strings.
    n_iter_ : int
        Epochs; the most of any class.
    t_ : float
        ``n_iter_ * n_samples + 1``.
    history_ : dict of str to list of float
        "loss" and "mistakes" of each epoch.

    References
    ----------
    .. [1] Y. Freund, R. E. Schapire. Large margin classification using the perceptron algorithm.
       Machine Learning 37, 1999.
    .. [2] S. I. Gallant. Perceptron-based learning algorithms. IEEE Transactions on Neural
       Networks 1, 1990.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from xpnn import Perceptron
    >>> X, y = load_digits(return_X_y=True)
    >>> Perceptron().fit(X, y).score(X, y) > 0.93
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "verbose": ["verbose"],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "warm_start": ["boolean"],
        "average": ["boolean"],
        "pocket": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str, Backend, None],
        "dtype": [StrOptions({"float32", "float64"}), None],
    }

    def __init__(
        self,
        *,
        penalty: str | None = None,
        alpha: float = 0.0001,
        l1_ratio: float = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        eta0: float = 1.0,
        n_jobs: int | None = None,
        random_state: Any = 0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        average: bool = False,
        pocket: bool = False,
        batch_size: int = 1,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.eta0 = eta0
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average
        self.pocket = pocket
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype

    _labels: Labels
    _last: dict[str, Array]

    # -- fitting ------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
    ) -> Perceptron:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            NumPy, pandas, SciPy, or an array of any supported library on any device.
        y : array-like of shape (n_samples,)
        coef_init : array-like of shape (n_classes, n_features), default=None
            Weights to begin with.
        intercept_init : array-like of shape (n_classes,), default=None
        sample_weight : array-like of shape (n_samples,), default=None
            Times the class weights.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input, or when a weight is no longer finite; the estimator is then as it was.
        """
        fitted: Perceptron = self._commit(
            lambda new: new._fit(X, y, sample_weight, coef_init, intercept_init)
        )
        return fitted

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Perceptron:
        """One epoch over `X` and `y`, going on from the weights as they are.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All classes that will come; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input, or a label that is not among the classes; the estimator is then as it
            was.
        """
        if not hasattr(self, "classes_"):
            if self.early_stopping:
                raise ValueError("early_stopping should be False with partial_fit")
            if isinstance(self.class_weight, str):
                raise ValueError(
                    f"class_weight '{self.class_weight}' is not supported for partial_fit. In "
                    f"order to use 'balanced' weights, use compute_class_weight("
                    f"'{self.class_weight}', classes=classes, y=y). In place of y you can use a "
                    "large enough sample of the full training set target to properly estimate "
                    "the class frequency distributions. Pass the resulting weights as the "
                    "class_weight parameter."
                )
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
        fitted: Perceptron = self._commit(
            lambda new: new._fit(X, y, sample_weight, classes=classes, incremental=True)
        )
        return fitted

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        *,
        classes: Any = None,
        incremental: bool = False,
    ) -> None:
        if self.average and self.pocket:
            raise ValueError("average=True and pocket=True each say which weights to keep: use one")
        again = incremental and hasattr(self, "classes_")
        x, source = read_features(self, X, reset=not again)
        backend = source if self.device is None else get_backend(self.device)
        host = read_target(self, y, x, numeric=False)
        if again:
            self._check_place(source, "partial_fit")
        codes = self._read_labels(host, y, classes, again=again)
        weight = read_weight(sample_weight, x)
        host_weight = np.ones(len(codes)) if weight is None else to_numpy(weight)
        if not again:
            self._source, self.t_ = source, 1.0
            if not (self.warm_start and hasattr(self, "coef_")):
                self.__dict__.pop("coef_", None)
            self.__dict__.pop("_last", None)
        dtype = self._working_dtype(x, backend)
        self._backend = backend
        rows = _Rows(x, codes, weight, host_weight, self._class_weight(flat(host)))
        with backend.device_context(), np.errstate(all="ignore"):
            start = self._start(backend, dtype, coef_init, intercept_init)
            epochs = 1 if incremental else int(self.max_iter)
            results, self.history_ = self._train(rows, backend, start, dtype, epochs)
            self._adopt(results, backend, source)
        self.n_iter_ = max(r.n_iter for r in results)
        self.t_ += self.n_iter_ * len(codes)
        if not incremental and self.tol is not None and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing "
                "max_iter to improve the fit.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _read_labels(self, host: np.ndarray, y: Any, classes: Any, *, again: bool) -> np.ndarray:
        """Class codes of the target; set the classes unless they stand."""
        host = flat(host)
        if host.ndim != 1:
            raise ValueError(f"y should be a 1d array, got an array of shape {host.shape} instead.")
        given = None if classes is None else np.asarray(to_numpy(classes))
        if again and classes is not None:
            self._labels.check_classes(classes)
        if not again:
            self._labels = Labels.of(host, given)
            self.classes_ = self._labels.classes
            if self._labels.numeric and is_foreign(y):
                self.classes_ = backend_of(y).asarray(self._labels.classes)
        if len(self._labels.classes) < 2:
            raise ValueError(
                "The number of classes has to be greater than one; got "
                f"{len(self._labels.classes)} class"
            )
        codes: np.ndarray = self._labels.encode(host)
        return codes

    def _start(self, backend: Backend, dtype: str, coef: Any, intercept: Any) -> dict[str, Array]:
        """Weights to begin with, and their mean so far, on the device of the work."""
        n_classes, d = len(self._labels.classes), self.n_features_in_
        k = 1 if n_classes == 2 else n_classes
        last = getattr(self, "_last", {})
        if coef is None and hasattr(self, "coef_"):
            coef = last.get("coef", self.coef_)
        if intercept is None and hasattr(self, "coef_"):
            intercept = last.get("intercept", self.intercept_)
        found = {"coef": (coef, (k, d)), "intercept": (intercept, (k,))}
        found |= {"mean": (last.get("mean"), (k, d))}
        found |= {"mean_intercept": (last.get("mean_intercept"), (k,))}
        start = {}
        for name, (value, shape) in found.items():
            if value is None:
                real = backend.float_dtype(dtype)
                start[name] = backend.xp.zeros(shape, dtype=real, device=backend.device)
                continue
            value = value.toarray() if is_sparse(value) else value
            array = backend.asarray(value, dtype=dtype, copy=True)
            if array.ndim < len(shape) and int(np.prod(array.shape)) == int(np.prod(shape)):
                array = backend.xp.reshape(array, shape)
            if tuple(array.shape) != shape:
                raise ValueError(
                    f"{name}_init or the weights to go on from have shape {tuple(array.shape)}, "
                    f"but this data needs {shape}: Provided ``{name}_`` does not match dataset."
                )
            start[name] = array
        return start

    def _train(
        self,
        rows: _Rows,
        backend: Backend,
        start: dict[str, Array],
        dtype: str,
        epochs: int,
    ) -> tuple[list[Fitted], dict[str, list[float]]]:
        k, move = int(start["coef"].shape[0]), backend.asarray
        learned, seed = self._order(rows)
        sparse = is_sparse(rows.x)
        x = rows.x.astype(dtype, copy=False) if sparse else move(rows.x, dtype=dtype)
        real = backend.float_dtype(dtype)
        weight = backend.xp.ones(len(rows.codes), dtype=real, device=backend.device)
        if rows.weight is not None:
            weight = move(rows.weight, dtype=dtype)
        data = Data(
            np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x,
            move(rows.codes, dtype="int32"),
            weight,
            move(np.asarray([1] if k == 1 else range(k)), dtype="int32"),
            move(rows.class_weight, dtype=dtype),
        )
        rule = self._rule(sparse)
        state = initial_state(start["coef"], start["intercept"], rule, backend.xp)
        state = state._replace(
            mean=start["mean"], mean_intercept=start["mean_intercept"], t=float(self.t_)
        )
        held = None
        if not learned.all():
            at = np.flatnonzero(~learned)
            held_x = move(x[at].toarray(), dtype=dtype) if sparse else take_rows(x, at)
            held = Held(held_x, take_rows(data.y, at), take_rows(data.weight, at))
        plan = Plan(
            max_iter=epochs,
            tol=-np.inf if self.tol is None else float(self.tol),
            patience=int(self.n_iter_no_change),
            seed=seed if self.shuffle else None,
            keep_best=bool(self.pocket),
            verbose=bool(self.verbose),
        )
        return fit_problems(state, data, learned, held, rule, plan, backend)

    def _rule(self, sparse: bool) -> Rule:
        shares = {"l2": 0.0, "l1": 1.0, "elasticnet": float(self.l1_ratio)}
        return Rule(
            eta=float(self.eta0),
            alpha=0.0 if self.penalty is None else float(self.alpha),
            l1_ratio=0.0 if self.penalty is None else shares[self.penalty],
            fit_intercept=bool(self.fit_intercept),
            batch_size=int(self.batch_size),
            average=bool(self.average),
            sparse=sparse,
        )

    def _order(self, rows: _Rows) -> tuple[np.ndarray, int]:
        """Which samples to learn, and the seed of their order, drawn as scikit-learn draws them."""
        n_classes = len(self._labels.classes)
        rng = check_random_state(self.random_state)
        if n_classes > 2:
            learned = self._split(rows)
            rng = np.random.RandomState(rng.randint(_MAX_INT, size=n_classes)[0])
            rng.randint(1, _MAX_INT)  # scikit-learn draws one number that it does not use
        else:
            rng.randint(1, _MAX_INT)
            learned = self._split(rows)
        return learned, int(rng.randint(_MAX_INT))

    def _split(self, rows: _Rows) -> np.ndarray:
        """True for the samples to learn, False for those held out."""
        n = len(rows.codes)
        learned = np.ones(n, dtype=bool)
        if self.early_stopping:
            splitter = StratifiedShuffleSplit(
                test_size=self.validation_fraction, random_state=self.random_state
            )
            _, held = next(splitter.split(np.zeros((n, 1)), rows.codes))
            if not rows.host_weight[held].any():
                raise ValueError(
                    "The sample weights for validation set are all zero, consider using a "
                    "different random state."
                )
            learned[held] = False
        return learned

    def _class_weight(self, y: np.ndarray) -> np.ndarray:
        """Weights of negative and positive samples in each problem, (2, K)."""
        weights = compute_class_weight(self.class_weight, classes=self._labels.classes, y=y)
        if len(weights) == 2:
            return np.asarray(weights, dtype=np.float64)[:, None]
        return np.stack([np.ones(len(weights)), weights])

    def _adopt(self, results: list[Fitted], backend: Backend, source: Backend) -> None:
        """Set the fitted attributes, in X's library and on its device."""
        xp = backend.xp

        def gather(name: str) -> Array:
            rows = xp.stack([getattr(r, name) for r in results])
            return source.asarray(rows, dtype=dtype_name(results[0].coef.dtype))

        fields = ("coef", "intercept", "mean", "mean_intercept")
        found = {name: gather(name) for name in (fields if self.average else fields[:2])}
        self.coef_, self.intercept_ = found["coef"], found["intercept"]
        if self.average:  # the next epoch goes on from the weights themselves
            self.coef_, self.intercept_ = found["mean"], found["mean_intercept"]
            self._last = found

    def _move(self, target: Backend) -> None:
        for name in ("coef_", "intercept_", "classes_"):
            value = getattr(self, name)
            if not is_sparse(value) and (self._labels.numeric or name != "classes_"):
                setattr(self, name, target.asarray(value, copy=True))
        if "_last" in self.__dict__:
            self._last = {k: target.asarray(v, copy=True) for k, v in self._last.items()}

    # -- predicting ---------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_") and hasattr(self, "t_")

    def _scores(self, X: Any, method: str) -> tuple[Array, Backend, Backend]:
        """Scores (n, K) on the device of the work, the backend of the work, and that of X."""
        check_is_fitted(self)
        x, source = read_features(self, X, reset=False)
        self._check_place(source, method)
        backend = source if self.device is None else get_backend(self.device)
        coef = self.coef_.toarray() if is_sparse(self.coef_) else self.coef_
        with backend.device_context():
            xp, coef = backend.xp, backend.asarray(coef)
            data = Dataset(x, None, None, backend, coef.dtype)
            weights = xp.matrix_transpose(coef)
            parts = []
            for first in range(0, data.n, _CHUNK):
                size = min(_CHUNK, data.n - first)
                if data.resident:
                    parts.append(data.arrays[0][first : first + size, :] @ weights)
                else:
                    parts.append(data.fetch(None, first, size)[0] @ weights)
            score = parts[0] if len(parts) == 1 else xp.concat(parts)
            return score + backend.asarray(self.intercept_), backend, source

    def decision_function(self, X: Any) -> Array:
        """Scores of the samples: above zero, or highest, is the class predicted.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_classes) for more than two classes
            In X's library and on its device.
        """
        score, backend, source = self._scores(X, "decision_function")
        with backend.device_context():
            return source.asarray(score[:, 0] if score.shape[1] == 1 else score)

    def _codes(self, X: Any, method: str) -> tuple[Array, Backend, Backend]:
        score, backend, source = self._scores(X, method)
        with backend.device_context():
            xp = backend.xp
            integer = xp.int64 if "int64" in backend.dtypes else xp.int32
            if score.shape[1] == 1:
                codes = xp.astype(score[:, 0] > 0, integer)
            else:
                codes = metrics.first_largest(score, integer, xp)
            return codes, backend, source

    def predict(self, X: Any) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
            In X's library and on its device; on the host where labels are no numbers.
        """
        codes, backend, source = self._codes(X, "predict")
        with backend.device_context():
            return self._labels.decode(codes, backend, source)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of the predictions for `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        codes, backend, _ = self._codes(X, "score")
        target = self._labels.compare(read_target(self, y, codes, numeric=False))
        weight = read_weight(sample_weight, codes)
        weight = np.ones(codes.shape[0]) if weight is None else weight
        with backend.device_context():
            real = backend.float_dtype("float64" if "float64" in backend.dtypes else "float32")
            truth, weight = backend.asarray(target), backend.asarray(weight, dtype=real)
            return float(metrics.accuracy(codes, truth, weight, backend.xp))

    def densify(self) -> Perceptron:
        """Make `coef_` dense again after `sparsify`."""
        check_is_fitted(self)
        if is_sparse(self.coef_):
            self.coef_ = self.coef_.toarray()
        return self

    def sparsify(self) -> Perceptron:
        """Make `coef_` a SciPy CSR matrix, for weights that an L1 penalty has set to zero."""
        check_is_fitted(self)
        self.coef_ = scipy.sparse.csr_matrix(to_numpy(self.coef_))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        tags.classifier_tags.multi_label = False
        return tags


class _Rows(NamedTuple):
    """Checked training samples."""

    x: Any
    codes: np.ndarray
    weight: Any
    host_weight: np.ndarray
    class_weight: np.ndarray
