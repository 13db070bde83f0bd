"""`Perceptron`: drop-in for scikit-learn's, on any array library."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from xpnn.arrays.backend import to_numpy
from xpnn.arrays.typing import Array
from xpnn.estimators._blocks import given_targets
from xpnn.estimators._checkpoint import checkpoints
from xpnn.estimators._checks import (
    BOOL,
    CLASS_WEIGHT,
    DEVICE,
    DTYPE,
    INTEGER,
    NONE,
    RANDOM_STATE,
    VERBOSE,
    Checks,
    among,
    check_parameters,
    number,
)
from xpnn.estimators._inputs import read_target, read_weight
from xpnn.estimators._processes import check_comm, together
from xpnn.parts import metrics
from xpnn.perceptron.base import BasePerceptron
from xpnn.training.data import is_sparse


class Perceptron(ClassifierMixin, BasePerceptron):
    """Linear perceptron classifier, one-versus-rest for several classes.

    Every parameter of scikit-learn's `Perceptron` has the same meaning and default here. In the
    order of the data (``shuffle=False``) and for two classes in any order, the weights are those
    of scikit-learn, on every library bit for bit. The classes of one-versus-rest are learned side
    by side, in one order of the samples, where scikit-learn shuffles anew for each.

    Parameters
    ----------
    penalty : {"l2", "l1", "elasticnet"}, default=None
        Goes sample by sample; where nothing is compiled that is slow.
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
        back to X's library and device. The rule itself, one sample after the other, runs on the
        host, but for CuPy without a penalty; batches and predictions run on the device.
    dtype : {"float32", "float64"}, default=None
        None follows `X`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coef_ : array of shape (1, n_features), or (n_classes, n_features) for more than two classes
    intercept_ : array of shape (1,) or (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
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

    _checks: ClassVar[Checks] = {
        "penalty": (among({"l2", "l1", "elasticnet"}), NONE),
        "alpha": (number(Real, 0, closed="low"),),
        "l1_ratio": (number(Real, 0, 1, closed="low high"),),
        "fit_intercept": (BOOL,),
        "max_iter": (number(Integral, 1, closed="low"),),
        "tol": (number(Real, 0, closed="low"), NONE),
        "shuffle": (BOOL,),
        "verbose": VERBOSE,
        "eta0": (number(Real, 0),),
        "n_jobs": (INTEGER, NONE),
        "random_state": RANDOM_STATE,
        "early_stopping": (BOOL,),
        "validation_fraction": (number(Real, 0, 1),),
        "n_iter_no_change": (number(Integral, 1, closed="low"),),
        "class_weight": CLASS_WEIGHT,
        "warm_start": (BOOL,),
        "average": (BOOL,),
        "pocket": (BOOL,),
        "batch_size": (number(Integral, 1, closed="low"),),
        "device": DEVICE,
        "dtype": (*DTYPE, NONE),
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
        self._store(locals())

    def fit(
        self,
        X: Any,
        y: Any = None,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
        *,
        checkpoint: Any = None,
        resume: bool = False,
        comm: Any = None,
    ) -> Perceptron:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like, sparse matrix or Blocks of shape (n_samples, n_features)
            NumPy, pandas, SciPy, an array of any supported library on any device, or
            `xpnn.data.Blocks`, which need not fit in memory and are shuffled by windows.
        y : array-like of shape (n_samples,); None if inside Blocks
        coef_init : array-like of shape (n_classes, n_features), default=None
            Weights to begin with.
        intercept_init : array-like of shape (n_classes,), default=None
        sample_weight : array-like of shape (n_samples,), default=None
            Times the class weights.
        checkpoint : path-like or xpnn.Checkpoint, default=None
            A folder for checkpoints of this training; by default one in five minutes, in the
            middle of an epoch too, after each 65,536 rows. Ctrl-C and SIGTERM leave one too.
        resume : bool, default=False
            Go on from the checkpoint there, if there is one, to the same bits.
        comm : xpnn.distributed.Communicator, default=None
            The processes that fit it together, with ``batch_size`` above 1: each makes this call,
            with all rows or with its own. The result has the same bits for any number of them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input, or when a weight is no longer finite; the estimator is then as it was.
        CheckpointError
            Before training, for a folder that cannot be used, and for a checkpoint of other data,
            parameters or another version of xpnn, with what differs.

        Examples
        --------
        >>> from xpnn import Perceptron
        >>> Perceptron(shuffle=False).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]).coef_
        array([[3., 2.]])
        """
        check_parameters(self)
        check_comm(comm)
        if comm is not None and self.batch_size == 1:
            raise ValueError(
                "batch_size=1 learns from one sample after the other, which several processes "
                "cannot share: pass batch_size=64 or so, or leave comm out."
            )
        with together(comm), checkpoints(checkpoint, resume, comm) as keeper:
            how: dict[str, Any] = {"keeper": keeper, "comm": comm}
            fitted: Perceptron = self._commit(
                lambda new: new._fit(X, y, sample_weight, (coef_init, intercept_init), **how)
            )
        return fitted

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> Perceptron:
        """One epoch over `X` and `y`, going on from the weights as they are.

        Parameters
        ----------
        X : array-like, sparse matrix or Blocks of shape (n_samples, n_features)
        y : array-like of shape (n_samples,); None if inside Blocks
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

        Examples
        --------
        >>> from xpnn import Perceptron
        >>> model = Perceptron().partial_fit([[1.0, 0.0]], ["yes"], classes=["no", "yes"])
        >>> model.partial_fit([[0.0, 1.0]], ["no"]).predict([[2.0, 0.0], [0.0, 2.0]]).tolist()
        ['yes', 'no']
        """
        check_parameters(self)
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
        score, backend, source = self._outputs(X, "decision_function")
        with backend.device_context():
            return source.asarray(score[:, 0] if score.shape[1] == 1 else score)

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

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
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
        y, sample_weight = given_targets(X, y, sample_weight)
        codes, backend, _ = self._codes(X, "score")
        target = self._labels.compare(read_target(self, y, codes, numeric=False, warn=False))
        weight = read_weight(sample_weight, codes)
        weight = np.ones(codes.shape[0]) if weight is None else weight
        with backend.device_context():
            real = backend.float_dtype("float64" if "float64" in backend.dtypes else "float32")
            truth, weight = backend.asarray(target), backend.asarray(weight, dtype=real)
            return float(metrics.accuracy(codes, truth, weight, backend.xp))

    def densify(self) -> Perceptron:
        """Make `coef_` dense again after `sparsify`.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        if is_sparse(self.coef_):
            self.coef_ = self.coef_.toarray()
        return self

    def sparsify(self) -> Perceptron:
        """Make `coef_` a SciPy CSR matrix, for weights that an L1 penalty has set to zero.

        Returns
        -------
        self

        Examples
        --------
        >>> import numpy as np
        >>> from xpnn import Perceptron
        >>> model = Perceptron(penalty="l1", alpha=0.1).fit(np.eye(4), [0, 1, 0, 1])
        >>> model.sparsify().coef_.format, model.densify().coef_.shape
        ('csr', (1, 4))
        """
        check_is_fitted(self)
        self.coef_ = scipy.sparse.csr_matrix(to_numpy(self.coef_))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        tags.classifier_tags.multi_label = False
        return tags
