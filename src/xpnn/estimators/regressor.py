"""`MLPRegressor`: drop-in for scikit-learn's, on any array library."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from xpnn.arrays.backend import backend_of, to_numpy
from xpnn.arrays.typing import Array
from xpnn.estimators._base import BaseMLP
from xpnn.estimators._checks import CALLABLE, Checks, among, check_parameters, instance, number
from xpnn.estimators._heldout import Role
from xpnn.estimators._inputs import read_target
from xpnn.estimators._parameters import NetworkParameters
from xpnn.model.layout import Group
from xpnn.parts.losses import REGRESSION_LOSSES, Loss, built_in, get_loss, with_aliases
from xpnn.steps.scores import r2


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor.

    Every parameter of scikit-learn's `MLPRegressor` has the same meaning and default here. The
    others, and the attributes, are those of `MLPClassifier`, but for the classes.

    Parameters
    ----------
    loss : str, Loss or callable, default="squared_error"
        "squared_error" is half the squared error, summed over outputs, and "poisson" half the
        Poisson deviance of the exponential of the output, both as in scikit-learn; or another
        loss of `xpnn.losses` by name: "absolute_error", "huber", "log_cosh", "pinball"; or a
        function ``(output, target, weight, xp) -> (loss, gradient)``.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init
        See `MLPClassifier`.
    power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum
        See `MLPClassifier`.
    nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon
        See `MLPClassifier`.
    n_iter_no_change, max_fun
        See `MLPClassifier`.
    quantile : float, default=0.5
        Which quantile "pinball" predicts: 0.05 and 0.95 give an interval that holds 90 %.
    delta : float, default=1.0
        Where "huber" goes from a parabola to a straight line.
    dropout, input_dropout, normalization, l1, weight_decay, clip_norm, max_norm, initializer
        See `MLPClassifier`.
    monitor, callbacks, device, dtype, embedding, members, groups
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

    _checks: ClassVar[Checks] = {
        **NetworkParameters._checks,
        "loss": (among(with_aliases(REGRESSION_LOSSES)), instance(Loss), CALLABLE),
        "quantile": (number(Real, 0, 1),),
        "delta": (number(Real, 0),),
    }

    _output = "predict"
    quantile: float
    delta: float
    _vector: bool  # whether y was one-dimensional

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
        quantile: float = 0.5,
        delta: float = 1.0,
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

    def _read_target(self, y: Any, x: Any, role: Role, classes: Any = None) -> Any:
        target = self._columns(y, x, role)
        if self._resolve_loss().name == "poisson":
            backend = backend_of(target)
            with backend.device_context():
                least = float(backend.xp.min(target))
            if least < 0:
                raise ValueError(
                    f"loss='poisson' needs y of at least 0, got {least:.6g}: take another loss."
                )
        return target

    def _columns(self, y: Any, x: Any, role: Role) -> Any:
        """Numbers of shape (n_samples, n_outputs)."""
        y = read_target(self, y, x, numeric=True, warn=role != "held out")
        n_outputs = 1 if y.ndim == 1 else int(y.shape[1])
        if role == "first":
            self.n_outputs_, self._vector = n_outputs, y.ndim == 1
        elif n_outputs != self.n_outputs_:
            raise ValueError(
                f"y has {n_outputs} outputs, but this {type(self).__name__} was fitted with "
                f"{self.n_outputs_}: pass as many, or start anew from a clone()."
            )
        return y[:, None] if y.ndim == 1 else y

    def _resolve_loss(self) -> Loss:
        name = built_in(self.loss)
        if isinstance(self.loss, str):
            if name == "squared_error":  # what scikit-learn calls half of it
                return get_loss("half_squared_error")
            if name == "pinball":
                return get_loss("pinball", quantile=float(self.quantile))
            if name == "huber":
                return get_loss("huber", delta=float(self.delta))
        if name is not None and name not in REGRESSION_LOSSES:
            raise ValueError(
                f"loss {name!r} is one of classes: a {type(self).__name__} takes "
                f"{', '.join(REGRESSION_LOSSES)}, or a loss of your own."
            )
        return get_loss(self.loss)

    _fewest_scored = 2  # R2 compares with their mean

    def _scored(self, target: Any) -> Any:
        return target

    def _as_given(self, target: Any) -> np.ndarray:
        host = to_numpy(target)
        return host[:, 0] if self._vector else host

    def _read_scored(self, y: Any, x: Any) -> Any:
        return self._columns(y, x, "held out")

    def _combined(self, raw: Array, xp: Any) -> Array:
        return self.network_.linked(raw, xp)

    def _device_score(self, output: Array, target: Array, weight: Array, xp: Any) -> Array:
        return r2(output, target, weight, xp)

    @available_if(lambda self: self._incremental())
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, validation_data: Any = None
    ) -> "MLPRegressor":
        """One epoch over `X` and `y`, going on from where training stands.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
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
            For bad input; the estimator is then as it was before.
        """
        check_parameters(self)
        return self._commit(
            lambda new: new._fit(X, y, sample_weight, validation_data, incremental=True)
        )

    score = BaseMLP.score  # before the mixin's, which needs the host

    def predict(self, X: Any) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            In X's library and on its device; with members, the mean of their predictions.
        """
        output, source = self._outputs(X, "predict")
        return source.asarray(output[:, 0] if self._vector else output)
