"""`MLPClassifier` and `MLPRegressor`: drop-in for scikit-learn's, on any array library."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from xpnn import metrics
from xpnn._typing import Array
from xpnn.activations import get_activation
from xpnn.backends import backend_of, to_numpy
from xpnn.estimators._base import BaseMLP
from xpnn.estimators._inputs import is_foreign, read_target
from xpnn.estimators._labels import Labels, flat
from xpnn.losses import LOSSES, Loss, get_loss


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multi-layer perceptron classifier.

    Every parameter of scikit-learn's `MLPClassifier` has the same meaning and default here.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(100,)
        Neurons of each hidden layer.
    activation : str, Activation, callable or (value, derivative), default="relu"
        Of the hidden layers; see `xpnn.get_activation`.
    solver : {"adam", "sgd", "adamw", "rmsprop", "adagrad"} or Optimizer, default="adam"
    alpha : float, default=0.0001
        L2 penalty on the weights, divided by the batch's size.
    batch_size : int, default="auto"
        "auto" is ``min(200, n_samples)``.
    learning_rate : str, Schedule or callable, default="constant"
        "constant", "invscaling" and "adaptive" act on "sgd" alone, as in scikit-learn; the
        other schedules of `xpnn.schedules` on every solver.
    learning_rate_init : float, default=0.001
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Epochs.
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
        Of "lbfgs".
    loss : str, Loss or callable, default="log_loss"
        "log_loss" is the cross-entropy of the problem: of each label for binary and multilabel
        targets, of the softmax for several classes. "hinge" has margins and no probabilities.
        A loss of your own is a function ``(output, target, weight, xp) -> (loss, gradient)`` of
        logits, with class numbers (n,) as target for several classes, else 0 and 1 (n, n_labels).
    dropout : float, default=0.0
        Probability of dropping a hidden unit in training.
    input_dropout : float, default=0.0
        Probability of dropping a feature in training.
    initializer : str or Initializer, default="glorot_uniform"
        Of the weights; biases start at zero.
    device : str, default=None
        Where to work, such as "cupy:0"; None follows `X`. Predictions come back to X's device.
    dtype : {"float32", "float64"}, default=None
        None follows `X`.
    callbacks : list of callables, default=None
        Each is called with an `EpochEnd` after every epoch; True stops training.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coefs_, intercepts_ : list of arrays
        Weights (n_in, n_out) and biases (n_out,) of each layer; assignable.
    loss_, best_loss_ : float
    loss_curve_ : list of float
        Mean training loss of each epoch.
    history_ : dict of str to list of float
        Every metric of every epoch.
    validation_scores_, best_validation_score_
        With `early_stopping`.
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"log_loss", "hinge"}), Loss, callable],
    }

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
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        initializer: Any = "glorot_uniform",
        device: Any = None,
        dtype: Any = None,
        callbacks: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.initializer = initializer
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks

    def _read_target(self, y: Any, x: Any, *, first: bool, classes: Any) -> Any:
        host = read_target(self, y, x, numeric=False)
        if first:
            self._labels = Labels.of(host, classes)
            self.n_outputs_ = self._labels.n_outputs
            self.classes_ = self._labels.classes
            if self._labels.numeric and is_foreign(x):
                self.classes_ = backend_of(x).asarray(self._labels.classes)
        return self._target_of(self._labels.encode(host))

    def _target_of(self, codes: np.ndarray) -> np.ndarray:
        """What the loss takes: class numbers, or one column an output."""
        margin = self.loss == "hinge"
        if self._labels.kind == "multiclass":
            return 2.0 * np.eye(self.n_outputs_)[codes] - 1.0 if margin else codes
        columns = codes.reshape(codes.shape[0], -1).astype(np.float64)
        return 2.0 * columns - 1.0 if margin else columns

    def _resolve_loss(self) -> Loss:
        if self.loss == "hinge":
            return get_loss("hinge")
        softmax = self._labels.kind == "multiclass"
        if self.loss == "log_loss":
            return get_loss("softmax_cross_entropy" if softmax else "binary_cross_entropy")
        loss = get_loss(self.loss)  # a user's own: on logits, with the targets of log_loss
        return replace(loss, link="softmax" if softmax else "sigmoid")

    def _stratify(self, target: Any) -> Any:
        return None if self._labels.kind == "multilabel" else target

    def _scored(self, target: Any) -> Any:
        if self._labels.kind == "multiclass":
            return target if target.ndim == 1 else target.argmax(axis=1)
        codes = (target > 0).astype(np.int64)
        return codes[:, 0] if self._labels.kind == "binary" else codes

    def _device_score(self, output: Array, target: Array, weight: Array, xp: Any) -> Array:
        return metrics.accuracy(self._codes(output, xp), target, weight, xp)

    def _codes(self, output: Array, xp: Any) -> Array:
        """Class numbers of raw outputs: the largest logit, or those above zero."""
        wide = "int64" in self._backend.dtypes
        integer = xp.int64 if wide else xp.int32
        if self._labels.kind == "multiclass":
            return metrics.first_largest(output, integer, xp)
        if self._labels.kind == "binary":
            output = output[:, 0]
        positive = output > 0
        if self._labels.kind == "binary" and len(self._labels.classes) == 1:
            positive = xp.zeros_like(positive)  # one class seen: there is no other to predict
        return xp.astype(positive, integer)

    @available_if(lambda self: self._incremental())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """One epoch over `X` and `y`, going on from where training stands.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,), default=None
            All classes that will come; needed in the first call unless `y` is multilabel.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input, or a label that is not among the classes; the estimator is then as it
            was before.
        """
        first = not hasattr(self, "network_")
        if first and classes is None and not type_of_target(to_numpy(y)).startswith("multilabel"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if not first and classes is not None:
            given = unique_labels(np.asarray(to_numpy(classes)))
            if not np.array_equal(given, self._labels.classes):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                    f"{self._labels.classes!r}"
                )
        return self._commit(
            lambda new: new._fit(X, y, sample_weight, incremental=True, classes=classes)
        )

    def predict(self, X: Any) -> Any:
        """Predict classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_labels) of 0 and 1 for multilabel
            In X's library and on its device; on the host where labels are no numbers.
        """
        output, source = self._outputs(X, "forward")
        backend = self._backend
        with backend.device_context():
            codes = self._codes(output, backend.xp)
            return self._labels.decode(codes, backend, source)

    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of each class.

        Returns
        -------
        array of shape (n_samples, n_classes)
            In the order of `classes_`; for multilabel each label's own probability.
        """
        return self._probabilities(X, log=False)

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithm of each class's probability, exact where it is tiny.

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        return self._probabilities(X, log=True)

    def _probabilities(self, X: Any, *, log: bool) -> Array:
        if self.loss == "hinge":
            raise AttributeError("loss='hinge' gives no probabilities; use loss='log_loss'.")
        z, source = self._outputs(X, "forward")
        backend, xp = self._backend, self._backend.xp
        with backend.device_context(), np.errstate(all="ignore"):
            if self._labels.kind == "multiclass":
                p = get_activation("log_softmax" if log else "softmax").value(z, xp)
            else:
                if self._labels.kind == "binary":
                    z = xp.concat([-z, z], axis=1)
                p = -get_activation("softplus").value(-z, xp) if log else _sigmoid(z, xp)
            return source.asarray(p)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of the predictions for `X`; for multilabel, of whole rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return self._score(X, y, sample_weight)

    def _read_scored(self, y: Any, x: Any) -> Any:
        return self._labels.compare(read_target(self, y, x, numeric=False))

    def _to_record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        header, arrays = super()._to_record()
        labels = {"kind": self._labels.kind, "classes": self._labels.classes}
        return {**header, "labels": labels}, arrays

    @classmethod
    def _from_record(cls, header: dict[str, Any], arrays: dict[str, Any]) -> Any:
        model = super()._from_record(header, arrays)
        model._labels = Labels(**header["labels"])
        model._labels.check(model.n_outputs_)
        model.classes_ = model._labels.classes
        return model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _sigmoid(z: Array, xp: Any) -> Array:
    return get_activation("sigmoid").value(z, xp)


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor.

    Every parameter of scikit-learn's `MLPRegressor` has the same meaning and default here. The
    others, and the attributes, are those of `MLPClassifier`, but for the classes.

    Parameters
    ----------
    loss : str, Loss or callable, default="squared_error"
        "squared_error" is half the squared error, summed over outputs, and "poisson" half the
        Poisson deviance of the exponential of the output, both as in scikit-learn; or another
        loss of `xpnn.losses` by name, with parameters by `xpnn.get_loss`, or a function
        ``(output, target, weight, xp) -> (loss, gradient)``.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init
        See `MLPClassifier`.
    power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum
        See `MLPClassifier`.
    nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
        See `MLPClassifier`.
    n_iter_no_change, max_fun, dropout, input_dropout, initializer, device, dtype, callbacks
        See `MLPClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import MLPRegressor
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> model = MLPRegressor(learning_rate_init=0.01, max_iter=500, random_state=0, tol=1e-6)
    >>> model.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(LOSSES)), Loss, callable],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
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
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        initializer: Any = "glorot_uniform",
        device: Any = None,
        dtype: Any = None,
        callbacks: Any = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.initializer = initializer
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks

    def _read_target(self, y: Any, x: Any, *, first: bool, classes: Any) -> Any:
        y = read_target(self, y, x, numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = flat(y) if isinstance(y, np.ndarray) else y[:, 0]
        n_outputs = 1 if y.ndim == 1 else int(y.shape[1])
        if first:
            self.n_outputs_, self._vector = n_outputs, y.ndim == 1
        elif n_outputs != self.n_outputs_:
            raise ValueError(
                f"y has {n_outputs} outputs, but this {type(self).__name__} was fitted with "
                f"{self.n_outputs_}."
            )
        return y[:, None] if y.ndim == 1 else y

    def _resolve_loss(self) -> Loss:
        # scikit-learn calls half the squared error "squared_error"
        return get_loss("half_squared_error" if self.loss == "squared_error" else self.loss)

    def _scored(self, target: Any) -> Any:
        return target

    def _device_score(self, output: Array, target: Array, weight: Array, xp: Any) -> Array:
        return metrics.r2(self.network_.link.value(output, xp), target, weight, xp)

    @available_if(lambda self: self._incremental())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """One epoch over `X` and `y`, going on from where training stands.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self
        """
        return self._commit(lambda new: new._fit(X, y, sample_weight, incremental=True))

    def predict(self, X: Any) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            In X's library and on its device.
        """
        output, source = self._outputs(X, "predict")
        return source.asarray(output[:, 0] if self._vector else output)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination R2 of the predictions for `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return self._score(X, y, sample_weight)

    def _read_scored(self, y: Any, x: Any) -> Any:
        return self._read_target(y, x, first=False, classes=None)
