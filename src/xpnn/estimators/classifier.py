"""`MLPClassifier`: drop-in for scikit-learn's, on any array library."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from xpnn.arrays.backend import Backend, backend_of
from xpnn.arrays.typing import Array
from xpnn.estimators import _checks as checks
from xpnn.estimators._base import BaseMLP
from xpnn.estimators._heldout import Role
from xpnn.estimators._inputs import NUMPY, is_foreign, read_target
from xpnn.estimators._labels import CLASS_LOSSES, Labels, check_incremental, weigh_classes
from xpnn.estimators._parameters import NetworkParameters
from xpnn.model.layout import Group
from xpnn.parts.losses import Loss, built_in, with_aliases
from xpnn.steps.scores import accuracy
from xpnn.training.data import is_sparse


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multi-layer perceptron classifier.

    Every parameter of scikit-learn's `MLPClassifier` has the same meaning and default here; the
    others come after them and change nothing unless set.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(100,)
        Neurons of each hidden layer.
    activation : str, Activation, callable, (value, derivative), or list, default="relu"
        Of the hidden layers; see `xpnn.get_activation`. A list has one for each layer.
    solver : {"adam", "sgd", "lbfgs", "adamw", "rmsprop", "adagrad"} or Optimizer, default="adam"
        "lbfgs" is SciPy's L-BFGS-B over all rows at once.
    alpha : float, default=0.0001
        L2 penalty on the weights, divided by the batch's size.
    batch_size : int, default="auto"
        "auto" is ``min(200, n_samples)``.
    learning_rate : str, Schedule or callable, default="constant"
        "constant", "invscaling" and "adaptive" act on "sgd" alone, as in scikit-learn; the
        other schedules of `xpnn.schedules`, and functions of the rate and an
        `xpnn.schedules.Progress`, on every solver but "lbfgs". A schedule spans one call of
        `fit`; in `partial_fit` constants and scikit-learn's three make sense.
    learning_rate_init : float, default=0.001
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Epochs; iterations of "lbfgs".
    shuffle : bool, default=True
    random_state : int, RandomState or None, default=None
        The same seed gives the same network on every device.
    tol : float, default=1e-4
        A smaller improvement is none.
    verbose : bool or int, default=False
        Print each epoch; for a progress bar, pass ``callbacks=[xpnn.ProgressBar()]``.
    warm_start : bool, default=False
        Go on from the last fit's weights.
    momentum : float, default=0.9
        Of "sgd".
    nesterovs_momentum : bool, default=True
    early_stopping : bool, default=False
        Hold rows out, stop when their score no longer improves, restore the best weights.
    validation_fraction : float, default=0.1
    beta_1, beta_2, epsilon : float
        Of "adam" and "adamw".
    n_iter_no_change : int, default=10
        Epochs without improvement before stopping; may be infinite.
    max_fun : int, default=15000
        Most evaluations of "lbfgs".
    loss : str, Loss or callable, default="log_loss"
        "log_loss" is the cross-entropy of the problem: of each label for binary and multilabel
        targets ("binary_cross_entropy"), of the softmax for several classes
        ("softmax_cross_entropy"). "hinge" has margins and no probabilities.
        A loss of your own is a function ``(output, target, weight, xp) -> (loss, gradient)`` of
        logits, with class numbers (n,) as target for several classes, else 0 and 1 (n, n_labels).
    class_weight : dict or "balanced", default=None
        Weights of the classes, times `sample_weight`. "balanced": inverse to how often each
        occurs. For multilabel a list of dicts.
    label_smoothing : float, default=0.0
        Share of a label's probability that "log_loss" spreads over all classes.
    dropout : float, default=0.0
        Probability of dropping a hidden unit in training.
    input_dropout : float, default=0.0
        Probability of dropping a feature in training.
    normalization : {"batch", "layer"}, default=None
        Of each hidden layer, between its affine map and its activation. A batch contributes a
        tenth to the running statistics that "batch" predicts with, a short last one less.
        `intercepts_` are the shifts after the normalization.
    l1 : float, default=0.0
        L1 penalty on the weights, divided by the batch's size.
    weight_decay : float, default=0.01
        Of "adamw".
    clip_norm : float, default=None
        Longest gradient; a longer one is scaled down.
    max_norm : float, default=None
        Largest norm of a neuron's incoming weights.
    initializer : str, Initializer or callable, default="glorot_uniform"
        Of the weights; biases start at zero.
    monitor : str or callable, default="auto"
        What has to improve: "loss", "val_loss", "val_score", or a scorer of scikit-learn, by
        name or as ``scorer(estimator, X, y)``, on the rows held out. "auto": the score with
        `early_stopping`, else the loss.
    callbacks : list of callables, default=None
        Each is called with an `EpochEnd` after every epoch; True stops training. For callbacks
        of `sklearn.callback`, use `set_callbacks` (scikit-learn 1.9).
    device : str, default=None
        Where to work, such as "cupy:0"; None follows `X`. Predictions come back to X's device.
    dtype : {"float32", "float64"}, default=None
        None follows `X`.
    embedding : {"periodic"}, default=None
        "periodic" gives each feature learned waves, so that the network sees fine steps in it,
        and a learned scale (`xpnn.network.PeriodicEmbedding` and `Scale`).
    members : int, default=1
        So many networks, trained at once on the same batches, each from weights and with dropout
        masks of its own. Probabilities (with "hinge": margins) are the mean of theirs, and so
        are `loss_` and the validation loss. Not for "lbfgs".
    groups : dict of str to Group, default=None
        How parameters learn, such as ``{"bias": xpnn.network.Group(rate=0.1)}``; the groups are
        "weight", "bias", and where there are any, "scale" and "embedding".

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coefs_, intercepts_ : list of arrays
        Weights (n_in, n_out) and biases (n_out,) of each dense layer; assignable. With members
        they have one more axis, the first.
    loss_, best_loss_ : float
    loss_curve_, validation_loss_curve_ : list of float
        Mean loss of each epoch, in training and on held-out rows (None without).
    history_ : dict of str to list of float
        Every metric of every epoch.
    validation_scores_, best_validation_score_
        With `early_stopping`.
    converged_ : bool
        Whether the last call ended because nothing improved any more.
    network_ : Network
    n_features_in_, n_iter_, n_layers_, n_outputs_, t_ : int
    out_activation_ : str

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpnn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(dropout=0.1, max_iter=300, random_state=0, tol=0.001).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    _checks: ClassVar[checks.Checks] = {
        **NetworkParameters._checks,
        "loss": (checks.among(with_aliases(CLASS_LOSSES)), checks.instance(Loss), checks.CALLABLE),
        "class_weight": checks.LABEL_WEIGHT,
        "label_smoothing": (checks.number(Real, 0, 1, closed="low"),),
    }

    class_weight: Any
    label_smoothing: float
    classes_: Array
    _labels: Labels

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        normalization: Any = None,
        l1: float = 0.0,
        weight_decay: float = 0.01,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        initializer: Any = "glorot_uniform",
        monitor: Any = "auto",
        callbacks: Any = None,
        device: Any = None,
        dtype: Any = None,
        embedding: Any = None,
        members: int = 1,
        groups: dict[str, Group] | None = None,
    ) -> None:
        self._store(locals())

    # -- targets ----------------------------------------------------------------------------------

    def _read_target(self, y: Any, x: Any, role: Role, classes: Any = None) -> Any:
        host = read_target(self, y, x, numeric=False, warn=role != "held out")
        if role == "first":
            self._labels = Labels.of(host, classes, sparse=is_sparse(y))
            self.n_outputs_ = self._labels.n_outputs
            self._place_classes(backend_of(x) if is_foreign(x) else None)
        if role == "warm":
            self._labels.check_same(host if classes is None else classes)
        return self._labels.target(self._labels.encode(host), margin=self._has_margins())

    def _place_classes(self, source: Backend | None) -> None:
        classes = self._labels.classes
        self.classes_ = source.asarray(classes) if source and self._labels.numeric else classes

    def _move(self, target: Backend) -> None:
        super()._move(target)
        self._place_classes(None if target.name == "numpy" else target)

    def _scored(self, target: Any) -> Any:
        return self._labels.codes_of_target(target)

    def _as_given(self, target: Any) -> np.ndarray:
        return self._labels.names(self._scored(target))

    def _read_scored(self, y: Any, x: Any) -> Any:
        return self._labels.compare(read_target(self, y, x, numeric=False, warn=False))

    def _stratify(self, target: Any) -> Any:
        return self._labels.strata(self._scored(target), self.validation_fraction)

    def _row_weight(self, weight: Any, target: Any) -> Any:
        if self.class_weight is None:
            return weight
        return weigh_classes(self.class_weight, self._as_given(target), weight)

    # -- the problem ------------------------------------------------------------------------------

    def _resolve_loss(self) -> Loss:
        return self._labels.loss(self.loss, float(self.label_smoothing))

    def _has_margins(self) -> bool:
        return built_in(self.loss) == "hinge"

    def _combined(self, raw: Array, xp: Any) -> Array:
        if raw.ndim == 2:
            return raw
        return xp.mean(raw, axis=0) if self._has_margins() else self._labels.combined(raw, xp)

    def _device_score(self, output: Array, target: Array, weight: Array, xp: Any) -> Array:
        return accuracy(output, target, weight, self._labels, self._codes, xp)

    def _codes(self, output: Array, xp: Any) -> Array:
        wide = self._backend is NUMPY or "int64" in self._backend.dtypes
        return self._labels.codes(output, xp.int64 if wide else xp.int32, xp)

    def _has_probabilities(self) -> bool:
        if self._has_margins():
            raise AttributeError("loss='hinge' gives no probabilities; use loss='log_loss'.")
        return True

    # -- public -----------------------------------------------------------------------------------

    @available_if(lambda self: self._incremental())
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        validation_data: Any = None,
    ) -> "MLPClassifier":
        """One epoch over `X` and `y`, going on from where training stands.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,), default=None
            All classes that will come; needed in the first call unless `y` is multilabel.
        validation_data : tuple (X, y) or (X, y, sample_weight), default=None
            Rows to validate on after the epoch; needed with `early_stopping`. The call in which
            the monitored value has not improved for more than `n_iter_no_change` epochs restores
            the best weights and sets `converged_`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input, or a label that is not among the classes; the estimator is then as it
            was before.
        """
        checks.check_parameters(self)
        labels = self._labels if hasattr(self, "network_") else None
        check_incremental(labels, self.class_weight, y, classes)
        how = {"incremental": True, "classes": classes}
        return self._commit(lambda new: new._fit(X, y, sample_weight, validation_data, **how))

    score = BaseMLP.score  # before the mixin's, which needs the host

    def predict(self, X: Any) -> Any:
        """Predict classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_labels) of 0 and 1 for multilabel
            In X's library and on its device; on the host where labels are no numbers. CSR as `y`.
        """
        output, source = self._outputs(X, "predict")
        backend = self._backend
        with backend.device_context():
            codes = self._codes(output, backend.xp)
            return self._labels.decode(codes, backend, source)

    def decision_function(self, X: Any) -> Array:
        """The network's raw outputs: logits, or margins with the hinge loss.

        Of several members, the logits of their mean probability, or their mean margins: what
        `predict` and `predict_proba` go by.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) for two classes, else (n_samples, n_classes)
            The class is the second one above 0, or the one of the largest.
        """
        output, source = self._outputs(X, "decision_function")
        return source.asarray(output[:, 0] if self._labels.kind == "binary" else output)

    @available_if(lambda self: self._has_probabilities())
    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            In the order of `classes_`; for multilabel each label's own probability. One class has
            one column, of ones (scikit-learn gives two).
        """
        return self._probabilities(X, "predict_proba")

    @available_if(lambda self: self._has_probabilities())
    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithm of each class's probability, exact where it is tiny.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        return self._probabilities(X, "predict_log_proba")

    def _probabilities(self, X: Any, method: str) -> Array:
        log = method == "predict_log_proba"
        network = self.__dict__.get("network_")
        single = network is not None and network.members == 1
        if single and not log and self._labels.kind != "binary":
            probability, source = self._outputs(X, method, "predict")
            return source.asarray(probability)
        z, source = self._outputs(X, method)
        with self._backend.device_context(), np.errstate(all="ignore"):
            return source.asarray(self._labels.probabilities(z, log, self._backend.xp))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
