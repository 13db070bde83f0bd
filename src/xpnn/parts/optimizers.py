"""Optimizers: pure update rules over one flat parameter vector.

An `UpdateRule` says in which direction a gradient moves the parameters; the base class puts that
together with decoupled weight decay and with each group's learning rate. What depends on the
learning rate or the step number is a host scalar out of `coefficients`, so that a jitted step
takes it as an argument and is compiled once.
"""

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from array_api_compat import device

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
    """What the training loop needs of an optimizer; a user's own class may provide it.

    Examples
    --------
    >>> isinstance(get_optimizer("sgd"), Optimizer)
    True
    """

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


@dataclass(frozen=True)
class UpdateRule:
    """A built-in optimizer: hyper-parameters in their range, and a direction.

    Examples
    --------
    >>> issubclass(Adam, UpdateRule), Adam.moments
    (True, 2)
    """

    name: ClassVar[str]
    moments: ClassVar[int] = 0  # arrays of state
    squares: ClassVar[tuple[int, ...]] = ()  # which of these are never negative

    def __post_init__(self) -> None:
        """Turn hyper-parameters into Python floats in their range."""
        for field in dataclasses.fields(self):
            low, high, closed = _RANGES[field.name]
            label = f"{field.name} of optimizer {self.name!r}"
            value = check_number(label, getattr(self, field.name), low, high, closed=closed)
            object.__setattr__(self, field.name, value)

    @abstractmethod
    def direction(
        self, gradient: Array, state: State, step: float, xp: Namespace
    ) -> tuple[Array, State]:
        """Return what is taken off the parameters at step size `step`, and the new state."""

    def init(self, theta: Array, xp: Namespace) -> State:
        """Return a state of zeros."""
        # not `zeros_like`: it writes its zeros, which takes memory before there is a step
        like = {"dtype": theta.dtype, "device": device(theta)}
        return tuple(xp.zeros(theta.shape, **like) for _ in range(self.moments))

    def coefficients(self, lr: float, t: int) -> Coefficients:
        """Return the step size, and the share of the weights that decays if the rule has any."""
        decay: float | None = getattr(self, "weight_decay", None)
        step = self.step_size(lr, t)
        return (step,) if decay is None else (step, float(lr * decay))

    def step_size(self, lr: float, t: int) -> float:
        """Return the learning rate, with the corrections that depend on the step number."""
        return float(lr)

    def update(
        self,
        theta: Array,
        gradient: Array,
        state: State,
        coefficients: Coefficients,
        decay: Array | None,
        xp: Namespace,
        rate: Array | None = None,
    ) -> tuple[Array, State]:
        """Return the new parameters and state.

        Parameters
        ----------
        theta, gradient : array of shape (n,)
        state : tuple of arrays like `theta`
        coefficients : tuple of float
            Of this step.
        decay : array like `theta`, or None
            Factors of the weight decay; None decays all parameters alike.
        xp : namespace
        rate : array like `theta`, or None
            Factors of the learning rate; None is one everywhere.
        """
        move, state = self.direction(gradient, state, coefficients[0], xp)
        new = theta - (move if rate is None else rate * move)
        for share in coefficients[1:]:
            shrink = share * theta
            shrink = shrink if decay is None else shrink * decay
            new = new - (shrink if rate is None else rate * shrink)
        return new, state


@dataclass(frozen=True)
class SGD(UpdateRule):
    """Plain stochastic gradient descent: theta - lr g.

    Examples
    --------
    >>> import numpy as np
    >>> sgd, theta, gradient = SGD(), np.ones(2), np.ones(2)
    >>> sgd.update(theta, gradient, sgd.init(theta, np), sgd.coefficients(0.5, 1), None, np)
    (array([0.5, 0.5]), ())
    """

    name: ClassVar[str] = "sgd"

    def direction(
        self, gradient: Array, state: State, step: float, xp: Namespace
    ) -> tuple[Array, State]:
        """Return lr g."""
        return step * gradient, ()


@dataclass(frozen=True)
class Momentum(UpdateRule):
    """Gradient descent with momentum: v = momentum v - lr g; theta + v (Polyak, 1964).

    The velocity contains the learning rate, as in scikit-learn.

    Parameters
    ----------
    momentum : float, in [0, 1]

    Examples
    --------
    >>> import numpy as np
    >>> g, rule = np.asarray([1.0, -2.0]), Momentum()
    >>> rule.direction(g, rule.init(g, np), 0.1, np)[0].round(3).tolist()
    [0.1, -0.2]
    """

    name: ClassVar[str] = "momentum"
    moments: ClassVar[int] = 1
    momentum: float = 0.9

    def direction(
        self, gradient: Array, state: State, step: float, xp: Namespace
    ) -> tuple[Array, State]:
        """Return -v."""
        velocity = self.momentum * state[0] - step * gradient
        return -velocity, (velocity,)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Gradient descent with Nesterov's momentum (Sutskever et al., 2013), as in scikit-learn.

    v = momentum v - lr g; theta + momentum v - lr g.

    Parameters
    ----------
    momentum : float, in [0, 1]

    Examples
    --------
    >>> import numpy as np
    >>> g, rule = np.asarray([1.0, -2.0]), Nesterov()
    >>> rule.direction(g, rule.init(g, np), 0.1, np)[0].round(3).tolist()
    [0.19, -0.38]
    """

    name: ClassVar[str] = "nesterov"

    def direction(
        self, gradient: Array, state: State, step: float, xp: Namespace
    ) -> tuple[Array, State]:
        """Return lr g - momentum v."""
        move = step * gradient
        velocity = self.momentum * state[0] - move
        return move - self.momentum * velocity, (velocity,)


@dataclass(frozen=True)
class AdaGrad(UpdateRule):
    """AdaGrad: theta - lr g / (sqrt(sum of g**2) + epsilon) (Duchi, Hazan and Singer, 2011).

    Parameters
    ----------
    epsilon : float, above 0

    Examples
    --------
    >>> import numpy as np
    >>> g, rule = np.asarray([1.0, -2.0]), AdaGrad()
    >>> rule.direction(g, rule.init(g, np), 0.1, np)[0].round(3).tolist()
    [0.1, -0.1]
    """

    name: ClassVar[str] = "adagrad"
    moments: ClassVar[int] = 1
    squares: ClassVar[tuple[int, ...]] = (0,)
    epsilon: float = 1e-10

    def direction(
        self, gradient: Array, state: State, step: float, xp: Namespace
    ) -> tuple[Array, State]:
        """Return the gradient over the root of the sum of its squares."""
        squares = state[0] + gradient * gradient
        return step * gradient / (xp.sqrt(squares) + self.epsilon), (squares,)


@dataclass(frozen=True)
class RMSProp(UpdateRule):
    """RMSProp: theta - lr g / (sqrt(running mean of g**2) + epsilon).

    Parameters
    ----------
    rho : float
        In [0, 1): how much of the running mean is kept.
    epsilon : float, above 0

    References
    ----------
    T. Tieleman and G. Hinton (2012), "Lecture 6.5: RMSProp", Neural Networks for Machine Learning.

    Examples
    --------
    >>> import numpy as np
    >>> g, rule = np.asarray([1.0, -2.0]), RMSProp()
    >>> rule.direction(g, rule.init(g, np), 0.1, np)[0].round(3).tolist()
    [0.316, -0.316]
    """

    name: ClassVar[str] = "rmsprop"
    moments: ClassVar[int] = 1
    squares: ClassVar[tuple[int, ...]] = (0,)
    rho: float = 0.9
    epsilon: float = 1e-8

    def direction(
        self, gradient: Array, state: State, step: float, xp: Namespace
    ) -> tuple[Array, State]:
        """Return the gradient over the root of its mean square."""
        squares = self.rho * state[0] + (1.0 - self.rho) * (gradient * gradient)
        return step * gradient / (xp.sqrt(squares) + self.epsilon), (squares,)


@dataclass(frozen=True)
class Adam(UpdateRule):
    """Adam, with the bias corrections folded into the step size, as in scikit-learn.

    Parameters
    ----------
    beta_1, beta_2 : float
        In [0, 1): how much of the running means of gradient and square is kept.
    epsilon : float, above 0

    References
    ----------
    D. Kingma and J. Ba (2015), "Adam: A method for stochastic optimization", end of section 2.

    Examples
    --------
    >>> import numpy as np
    >>> g, rule = np.asarray([1.0, -2.0]), Adam()
    >>> rule.direction(g, rule.init(g, np), 0.1, np)[0].round(3).tolist()
    [0.316, -0.316]
    """

    name: ClassVar[str] = "adam"
    moments: ClassVar[int] = 2
    squares: ClassVar[tuple[int, ...]] = (1,)
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def step_size(self, lr: float, t: int) -> float:
        """Return the step size with both bias corrections in it."""
        return float(lr * (1.0 - self.beta_2**t) ** 0.5 / (1.0 - self.beta_1**t))

    def direction(
        self, gradient: Array, state: State, step: float, xp: Namespace
    ) -> tuple[Array, State]:
        """Return the mean gradient over the root of the mean square."""
        m = self.beta_1 * state[0] + (1.0 - self.beta_1) * gradient
        v = self.beta_2 * state[1] + (1.0 - self.beta_2) * (gradient * gradient)
        return step * m / (xp.sqrt(v) + self.epsilon), (m, v)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: theta - lr weight_decay theta - Adam's step.

    Only parameters where `decay` is not zero decay; without factors, all do.

    Parameters
    ----------
    beta_1, beta_2, epsilon
        As in `Adam`.
    weight_decay : float
        At least 0.

    References
    ----------
    I. Loshchilov and F. Hutter (2019), "Decoupled weight decay regularization".

    Examples
    --------
    >>> import numpy as np
    >>> g, rule = np.asarray([1.0, -2.0]), AdamW()
    >>> rule.direction(g, rule.init(g, np), 0.1, np)[0].round(3).tolist()
    [0.316, -0.316]
    """

    name: ClassVar[str] = "adamw"
    weight_decay: float = 0.01


OPTIMIZERS: dict[str, type[UpdateRule]] = {
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

    Returns
    -------
    Optimizer

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
