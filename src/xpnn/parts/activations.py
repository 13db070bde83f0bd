"""Activation functions: value and derivative, on any array library.

A built-in is one entry of `ACTIVATIONS`. Derivatives take the pre-activation ``z`` and the output
``a`` and use ``a`` alone where that is exact, so that a kernel need not keep ``z``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from xpnn.arrays.numeric import at_least, at_most, exp, sigmoid
from xpnn.arrays.typing import Array, Namespace
from xpnn.parts.entries import check_arguments, lookup, name_of

Value: TypeAlias = Callable[[Array, Namespace], Array]
Derivative: TypeAlias = Callable[[Array, Array, Namespace], Array]
Pullback: TypeAlias = Callable[[Array, Array, Array, Namespace], Array]


_ARGUMENTS = {
    "value": ("z", "xp"),
    "derivative": ("z", "a", "xp"),
    "pullback": ("z", "a", "g", "xp"),
}


@dataclass(frozen=True)
class Activation:
    """An activation function and its derivative.

    Parameters
    ----------
    name : str
        How messages, summaries and files call it.
    value : callable (z, xp) -> a
        The function, on an array of shape (n_samples, n_units); same shape and dtype.
    derivative : callable (z, a, xp) -> array, optional
        da/dz elementwise, given ``z`` and ``a = value(z, xp)``.
    pullback : callable (z, a, g, xp) -> array, optional
        g . da/dz for a function whose units depend on each other, such as softmax.

    Examples
    --------
    >>> import numpy as np
    >>> def cube(z, xp):
    ...     return z * z * z
    >>> def cube_derivative(z, a, xp):
    ...     return 3.0 * z * z
    >>> activation = Activation("cube", cube, cube_derivative)
    >>> activation(np.asarray([[1.0, 2.0]]), np)
    array([[1., 8.]])
    """

    name: str
    value: Value
    derivative: Derivative | None = None
    pullback: Pullback | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be called, now rather than in training."""
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(
                f"the name of an activation is {self.name!r}, expected a string: give it one"
            )
        for role in ("value", "derivative", "pullback"):
            function = getattr(self, role)
            if not callable(function) and (role == "value" or function is not None):
                raise ValueError(
                    f"the {role} of activation {self.name!r} is {function!r}, expected a function: "
                    "pass value(z, xp), derivative(z, a, xp), pullback(z, a, g, xp)"
                )
            check_arguments(function, _ARGUMENTS[role], f"the {role} of activation {self.name!r}")

    def __repr__(self) -> str:
        return f"Activation({self.name!r})"

    @property
    def differentiable(self) -> bool:
        """Whether a network with this activation can be trained by gradients."""
        return self.derivative is not None or self.pullback is not None

    def __call__(self, z: Array, xp: Namespace) -> Array:
        """Return the activation of `z`."""
        a = self.value(z, xp)
        _check_shape(a, z, f"activation {self.name!r}")
        return a

    def check(self, z: Array, xp: Namespace) -> None:
        """Try the functions on `z`, so that training, which calls them unchecked, can.

        Raises
        ------
        ValueError
            For one that returns another shape; a derivative may be a single number.
        """
        a = self(z, xp)
        if self.derivative is not None:
            slope = self.derivative(z, a, xp)
            if getattr(slope, "shape", ()) != ():
                _check_shape(slope, z, f"the derivative of activation {self.name!r}")
        if self.pullback is not None:
            g = self.pullback(z, a, xp.ones_like(a), xp)
            _check_shape(g, z, f"the pullback of activation {self.name!r}")

    def backward(self, z: Array, a: Array, g: Array, xp: Namespace) -> Array:
        """Return the gradient with respect to `z`, given `g`, the one with respect to `a`.

        Raises
        ------
        ValueError
            If the activation has neither a derivative nor a pullback.
        """
        if self.pullback is not None:
            return self.pullback(z, a, g, xp)
        if self.derivative is not None:
            return g * self.derivative(z, a, xp)
        raise ValueError(
            f"activation {self.name!r} has no derivative, so it can't be trained by gradients: "
            "use a differentiable one such as 'relu', or pass Activation(name, value, derivative)"
        )


def _check_shape(result: Any, z: Array, role: str) -> None:
    shape = getattr(result, "shape", None)
    if shape != z.shape:
        what = f"a {type(result).__name__}" if shape is None else f"shape {tuple(shape)}"
        raise ValueError(
            f"{role} returned {what} for an input of shape {tuple(z.shape)}: it must keep the shape"
        )


def _identity(z: Array, xp: Namespace) -> Array:
    return z


def _identity_pullback(z: Array, a: Array, g: Array, xp: Namespace) -> Array:
    return g


def _ones(z: Array, a: Array, xp: Namespace) -> Array:
    return xp.ones_like(a)


def _step(z: Array, xp: Namespace) -> Array:
    return xp.where(xp.isnan(z), z, xp.astype(z >= 0, z.dtype))


def _sigmoid_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return a * (1.0 - a)


def _tanh(z: Array, xp: Namespace) -> Array:
    return xp.tanh(z)


def _tanh_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return 1.0 - a * a


def _relu(z: Array, xp: Namespace) -> Array:
    return at_least(z, 0.0, xp)


def _relu_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return xp.astype(a > 0, a.dtype)


LEAKY_SLOPE = 0.01


def _leaky_relu(z: Array, xp: Namespace) -> Array:
    return xp.maximum(z, LEAKY_SLOPE * z)


def _leaky_relu_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return at_least(xp.astype(a > 0, a.dtype), LEAKY_SLOPE, xp)


def _elu(z: Array, xp: Namespace) -> Array:
    return xp.maximum(z, xp.expm1(at_most(z, 0.0, xp)))  # expm1(z) >= z


def _elu_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return at_most(a, 0.0, xp) + 1.0


# Klambauer et al. (2017): the fixed point of mean 0 and variance 1
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def _selu(z: Array, xp: Namespace) -> Array:
    negative = xp.expm1(at_most(z, 0.0, xp))
    return SELU_SCALE * at_least(z, 0.0, xp) + (SELU_SCALE * SELU_ALPHA) * negative


def _selu_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return xp.where(a > 0, SELU_SCALE * xp.ones_like(a), a + SELU_SCALE * SELU_ALPHA)


GELU_SLOPE = math.sqrt(2.0 / math.pi)
GELU_CUBIC = 0.044715


def _gelu(z: Array, xp: Namespace) -> Array:
    # Hendrycks and Gimpel (2016), the tanh form: the array API has no erf
    return 0.5 * z * (1.0 + xp.tanh(GELU_SLOPE * z * (1.0 + GELU_CUBIC * z * z)))


def _gelu_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    cubic = GELU_CUBIC * z * z
    t = xp.tanh(GELU_SLOPE * z * (1.0 + cubic))
    inner = GELU_SLOPE * (1.0 + 3.0 * cubic)
    return 0.5 * (1.0 + t) * (1.0 + z * (1.0 - t) * inner)


def _silu(z: Array, xp: Namespace) -> Array:
    return z * sigmoid(z, xp)


def _silu_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    s = sigmoid(z, xp)
    return s + a * (1.0 - s)


# Beyond this z, tanh(softplus(z)) is 1 to the last bit of float64 and exp(z)**4 still fits float32
MISH_LIMIT = 21.0


def _mish(z: Array, xp: Namespace) -> Array:
    e = xp.exp(at_most(z, MISH_LIMIT, xp))
    n = e * (e + 2.0)  # tanh(log(1 + e)) = n / (n + 2)
    return z * (n / (n + 2.0))


def _mish_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    e = xp.exp(at_most(z, MISH_LIMIT, xp))
    n = e * (e + 2.0)
    m = n + 2.0
    return (n + 4.0 * z * e * (1.0 + e) / m) / m


def _softplus(z: Array, xp: Namespace) -> Array:
    # not logaddexp: NumPy's warns of NaN
    return at_least(z, 0.0, xp) + xp.log1p(xp.exp(-xp.abs(z)))


def _softplus_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return -xp.expm1(-a)


def _softsign(z: Array, xp: Namespace) -> Array:
    return z / (1.0 + xp.abs(z))


def _softsign_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    r = 1.0 / (1.0 + xp.abs(z))  # (1 - |a|)**2 cancels for large z
    return r * r


def _hard_sigmoid(z: Array, xp: Namespace) -> Array:
    return at_most(at_least(z / 6.0 + 0.5, 0.0, xp), 1.0, xp)


def _hard_sigmoid_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return xp.astype((a > 0) & (a < 1), a.dtype) / 6.0


def _exp_derivative(z: Array, a: Array, xp: Namespace) -> Array:
    return a


def _softmax(z: Array, xp: Namespace) -> Array:
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def _softmax_pullback(z: Array, a: Array, g: Array, xp: Namespace) -> Array:
    return a * (g - xp.sum(g * a, axis=-1, keepdims=True))


def _log_softmax(z: Array, xp: Namespace) -> Array:
    z = z - xp.max(z, axis=-1, keepdims=True)
    return z - xp.log(xp.sum(xp.exp(z), axis=-1, keepdims=True))


def _log_softmax_pullback(z: Array, a: Array, g: Array, xp: Namespace) -> Array:
    return g - xp.exp(a) * xp.sum(g, axis=-1, keepdims=True)


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("identity", _identity, _ones, _identity_pullback),
        Activation("step", _step),  # 1 for z >= 0: Rosenblatt's threshold
        Activation("sigmoid", sigmoid, _sigmoid_derivative),
        Activation("tanh", _tanh, _tanh_derivative),
        Activation("relu", _relu, _relu_derivative),
        Activation("leaky_relu", _leaky_relu, _leaky_relu_derivative),
        Activation("elu", _elu, _elu_derivative),
        Activation("selu", _selu, _selu_derivative),
        Activation("gelu", _gelu, _gelu_derivative),
        Activation("silu", _silu, _silu_derivative),
        Activation("mish", _mish, _mish_derivative),
        Activation("softplus", _softplus, _softplus_derivative),
        Activation("softsign", _softsign, _softsign_derivative),
        Activation("hard_sigmoid", _hard_sigmoid, _hard_sigmoid_derivative),
        Activation("exp", exp, _exp_derivative),
        Activation("softmax", _softmax, pullback=_softmax_pullback),
        Activation("log_softmax", _log_softmax, pullback=_log_softmax_pullback),
    )
}

ALIASES = {"logistic": "sigmoid"}  # scikit-learn's name


def get_activation(spec: Any) -> Activation:
    """Return the activation that `spec` stands for.

    Parameters
    ----------
    spec : str, Activation, callable (z, xp) -> a, or tuple (value, derivative)
        ``"logistic"`` is ``"sigmoid"``; ``"gelu"`` is the tanh approximation; softmax and
        log_softmax act on the last axis. A bare callable has no derivative: it predicts, and
        training it is an error.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        For an unknown name, with the known ones, or for anything else.

    Examples
    --------
    >>> get_activation("logistic").name
    'sigmoid'
    """
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        return lookup(ACTIVATIONS, ALIASES.get(spec, spec), "activation")
    if callable(spec) and not isinstance(spec, type):
        return Activation(name_of(spec), spec)
    if isinstance(spec, (tuple, list)) and len(spec) == 2:
        return Activation(name_of(spec[0]), spec[0], spec[1])
    raise ValueError(
        f"activation is {spec!r}, expected a name ({', '.join(ACTIVATIONS)}), an Activation, "
        "a function value(z, xp) or a tuple (value, derivative): pass one of them"
    )


def activation_name(activation: Activation) -> str:
    """Return the name of a built-in activation, for a file."""
    if ACTIVATIONS.get(activation.name) != activation:
        raise ValueError(
            f"The activation {activation.name!r} is your own function, which a file cannot hold "
            f"without code; use a built-in one, or pickle the estimator."
        )
    return activation.name
