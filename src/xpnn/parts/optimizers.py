"""Optimizers: pure update rules over one flat parameter vector.

What depends on the learning rate or the step number is a host scalar out of `coefficients`, so
that a jitted step takes it as an argument and is compiled once.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from array_api_compat import device

from xpnn.arrays.numeric import at_least, sign
from xpnn.arrays.typing import Array, Namespace
from xpnn.parts.entries import check_number, lookup

State: TypeAlias = tuple[Array, ...]
Coefficients: TypeAlias = tuple[float, ...]

_RANGES = {
    "momentum": (0.0, 1.0, "both"),
    "epsilon": (0.0, float("inf"), "neither"),
    "weight_decay": (0.0, float("inf"), "left"),
    "rho": (0.0, 1.0, "left"),
    "beta_1": (0.0, 1.0, "left"),
    "beta_2": (0.0, 1.0, "left"),
}


@runtime_checkable
class Optimizer(Protocol):
    """What the training loop needs of an optimizer; a user's own class may provide it."""

    def init(self, theta: Array, xp: Namespace) -> State:
        """Return the state before the first step: arrays like `theta`."""

    def coefficients(self, lr: float, t: int) -> Coefficients:
        """Return the host scalars of step `t` (from 1) at learning rate `lr`."""

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state; `decay` is 1 on weights and 0 elsewhere."""


def _zeros(theta: Array, xp: Namespace) -> Array:
    """A moment; `zeros_like` writes its zeros, which takes memory before there is a step."""
    return xp.zeros(theta.shape, dtype=theta.dtype, device=device(theta))


class _Checked:
    """Hyper-parameters become Python floats in their range, at construction."""

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            low, high, closed = _RANGES[field.name]
            label = f"{field.name} of optimizer {self.name!r}"
            value = check_number(label, getattr(self, field.name), low, high, closed=closed)
            object.__setattr__(self, field.name, value)

    def coefficients(self, lr: float, t: int) -> Coefficients:
        """Return the learning rate alone."""
        return (float(lr),)


@dataclass(frozen=True)
class SGD(_Checked):
    """Plain stochastic gradient descent: theta - lr g.

    Examples
    --------
    >>> import numpy as np
    >>> sgd, theta, gradient = SGD(), np.ones(2), np.ones(2)
    >>> sgd.update(theta, gradient, sgd.init(theta, np), sgd.coefficients(0.5, 1), None, np)
    (array([0.5, 0.5]), ())
    """

    name: ClassVar[str] = "sgd"

    def init(self, theta: Array, xp: Namespace) -> State:
        """Return no state."""
        return ()

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state."""
        (lr,) = coefficients
        return theta - lr * gradient, ()


@dataclass(frozen=True)
class Momentum(_Checked):
    """Gradient descent with momentum: v = momentum v - lr g; theta + v (Polyak, 1964).

    The velocity contains the learning rate, as in scikit-learn.
    """

    name: ClassVar[str] = "momentum"
    momentum: float = 0.9

    def init(self, theta: Array, xp: Namespace) -> State:
        """Return a velocity of zero."""
        return (_zeros(theta, xp),)

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state."""
        (lr,) = coefficients
        velocity = self.momentum * state[0] - lr * gradient
        return theta + velocity, (velocity,)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Gradient descent with Nesterov's momentum (Sutskever et al., 2013), as in scikit-learn.

    v = momentum v - lr g; theta + momentum v - lr g.
    """

    name: ClassVar[str] = "nesterov"

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state."""
        (lr,) = coefficients
        move = lr * gradient
        velocity = self.momentum * state[0] - move
        return theta + (self.momentum * velocity - move), (velocity,)


@dataclass(frozen=True)
class AdaGrad(_Checked):
    """AdaGrad: theta - lr g / (sqrt(sum of g**2) + epsilon) (Duchi, Hazan and Singer, 2011)."""

    name: ClassVar[str] = "adagrad"
    epsilon: float = 1e-10

    def init(self, theta: Array, xp: Namespace) -> State:
        """Return a sum of squares of zero."""
        return (_zeros(theta, xp),)

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state."""
        (lr,) = coefficients
        squares = state[0] + gradient * gradient
        return theta - lr * gradient / (xp.sqrt(squares) + self.epsilon), (squares,)


@dataclass(frozen=True)
class RMSProp(_Checked):
    """RMSProp: theta - lr g / (sqrt(running mean of g**2) + epsilon).

    References
    ----------
    T. Tieleman and G. Hinton (2012), "Lecture 6.5: RMSProp", Neural Networks for Machine Learning.
    """

    name: ClassVar[str] = "rmsprop"
    rho: float = 0.9
    epsilon: float = 1e-8

    def init(self, theta: Array, xp: Namespace) -> State:
        """Return a mean square of zero."""
        return (_zeros(theta, xp),)

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state."""
        (lr,) = coefficients
        squares = self.rho * state[0] + (1.0 - self.rho) * (gradient * gradient)
        return theta - lr * gradient / (xp.sqrt(squares) + self.epsilon), (squares,)


@dataclass(frozen=True)
class Adam(_Checked):
    """Adam, with the bias corrections folded into the step size, as in scikit-learn.

    References
    ----------
    D. Kingma and J. Ba (2015), "Adam: A method for stochastic optimization", end of section 2.
    """

    name: ClassVar[str] = "adam"
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def init(self, theta: Array, xp: Namespace) -> State:
        """Return moments of zero."""
        return _zeros(theta, xp), _zeros(theta, xp)

    def coefficients(self, lr: float, t: int) -> Coefficients:
        """Return the step size with both bias corrections in it."""
        return (float(lr * (1.0 - self.beta_2**t) ** 0.5 / (1.0 - self.beta_1**t)),)

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state."""
        m = self.beta_1 * state[0] + (1.0 - self.beta_1) * gradient
        v = self.beta_2 * state[1] + (1.0 - self.beta_2) * (gradient * gradient)
        return theta - coefficients[0] * m / (xp.sqrt(v) + self.epsilon), (m, v)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: theta - lr weight_decay theta - Adam's step.

    Only parameters where `decay` is 1 decay; without a mask, all do.

    References
    ----------
    I. Loshchilov and F. Hutter (2019), "Decoupled weight decay regularization".
    """

    name: ClassVar[str] = "adamw"
    weight_decay: float = 0.01

    def coefficients(self, lr: float, t: int) -> Coefficients:
        """Return Adam's step size and the share of the weights that decays."""
        return (*super().coefficients(lr, t), float(lr * self.weight_decay))

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, State]:
        """Return the new parameters and state."""
        new, state = super().update(theta, gradient, state, coefficients, decay, xp)
        shrink = coefficients[1] * theta
        return new - (shrink if decay is None else shrink * decay), state


OPTIMIZERS: dict[str, type[Any]] = {
    cls.name: cls for cls in (SGD, Momentum, Nesterov, AdaGrad, RMSProp, Adam, AdamW)
}


def get_optimizer(spec: Any, **params: float) -> Optimizer:
    """Return the optimizer that `spec` stands for, with the hyper-parameters given.

    Parameters
    ----------
    spec : str or Optimizer
        A name of `OPTIMIZERS`, or an object with init, coefficients and update.
    **params : float
        Hyper-parameters of a named optimizer; of a built-in object, they replace its own.

    Raises
    ------
    ValueError
        For an unknown name, with the known ones; an unknown hyper-parameter or one out of range.

    Examples
    --------
    >>> get_optimizer("adam", beta_1=0.8)
    Adam(beta_1=0.8, beta_2=0.999, epsilon=1e-08)
    """
    if isinstance(spec, str):
        spec = lookup(OPTIMIZERS, spec, "optimizer")()
    if isinstance(spec, type) or not isinstance(spec, Optimizer):
        raise ValueError(
            f"optimizer is {spec!r}, expected a name ({', '.join(OPTIMIZERS)}) or an object with "
            "init, coefficients and update"
        )
    if not params:
        return spec
    known: list[str] = []
    if dataclasses.is_dataclass(spec):
        known = [field.name for field in dataclasses.fields(spec)]
    for name in params:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(f"{spec!r} has no hyper-parameter {name!r}: {takes}")
    changed: Optimizer = dataclasses.replace(spec, **params)  # type: ignore[type-var]
    return changed


def clip_by_global_norm(gradient: Array, max_norm: float, xp: Namespace) -> Array:
    """Return `gradient` scaled down to a Euclidean norm of `max_norm` where it is longer.

    Nothing is read back from the device, squares cannot overflow, and a gradient that is short
    enough comes back unchanged. A gradient with NaN or infinity comes back with NaN.

    Parameters
    ----------
    gradient : array
        Of at least one element.
    max_norm : float
        Above 0.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio (2013), "On the difficulty of training recurrent neural
    networks".

    Examples
    --------
    >>> import numpy as np
    >>> clip_by_global_norm(np.asarray([3.0, 4.0]), 2.5, np)
    array([1.5, 2. ])
    """
    peak = at_least(xp.max(xp.abs(gradient)), max_norm, xp)
    unit = gradient / peak
    ratio = max_norm / peak
    return gradient * (ratio / xp.maximum(xp.sqrt(xp.sum(unit * unit)), ratio))


def max_norm(w: Array, limit: float, xp: Namespace) -> Array:
    """Return `w` with each column, one unit's incoming weights, scaled down to norm <= `limit`.

    Parameters
    ----------
    w : array of shape (fan_in, fan_out)
    limit : float
        Above 0.

    References
    ----------
    N. Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from
    overfitting", section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> max_norm(np.asarray([[3.0, 0.3], [4.0, 0.4]]), 2.5, np)
    array([[1.5, 0.3],
           [2. , 0.4]])
    """
    norm = xp.sqrt(xp.sum(w * w, axis=0, keepdims=True))
    return w * (limit / at_least(norm, limit, xp))


def penalty(w: Array, l1: float, l2: float, xp: Namespace) -> tuple[Array, Array]:
    """Return l1 * sum |w| + l2 / 2 * sum w**2 as a 0-d array, and its gradient.

    Parameters
    ----------
    w : array
    l1, l2 : float
        Python floats at least 0; the gradient of |w| at 0 is 0.

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient = penalty(np.asarray([2.0, -1.0]), 0.5, 1.0, np)
    >>> float(value), gradient
    (4.0, array([ 2.5, -1.5]))
    """
    half = (0.5 * l2) * w
    if l1 == 0:
        return xp.sum(half * w), l2 * w
    return xp.sum(half * w + l1 * xp.abs(w)), l2 * w + l1 * sign(w, xp)
