"""The few hot operations: one reference, and overrides for single libraries.

Nothing outside this folder knows that overrides exist.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import numpy as np
from array_api_compat import is_jax_namespace

from xpnn._typing import Namespace
from xpnn.kernels import reference
from xpnn.kernels.choice import Fit, fused_step
from xpnn.kernels.fused import OneByOne
from xpnn.kernels.inference import host_forward
from xpnn.kernels.reference import Drop

__all__ = [
    "Drop",
    "Fit",
    "OneByOne",
    "compiled",
    "compiled_method",
    "fused_step",
    "host_forward",
    "host_words",
    "remembered",
    "select",
]


def select(xp: Namespace) -> Any:
    """The kernels for a namespace: an object with the functions of `reference`."""
    return reference


def compiled(
    function: Callable[..., Any],
    xp: Namespace,
    *,
    donate: tuple[int, ...] = (),
    static: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """Compile a pure function where the library can; elsewhere the function itself.

    Parameters
    ----------
    function : callable
        Pure, of arrays, Python scalars and tuples of them.
    xp : namespace
    donate : tuple of int
        Positions of the arguments whose memory the result may take over.
    static : tuple of int
        Positions of the arguments that are constants of the compiled program.
    """
    if not is_jax_namespace(xp):
        return function
    import jax

    jitted: Callable[..., Any] = jax.jit(function, donate_argnums=donate, static_argnums=static)
    return jitted


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember results by arguments, so that a later call finds what an earlier one compiled.

    Arguments that cannot be hashed, such as a user's optimizer that is a plain dataclass, are
    worked on again each time.
    """
    cached = lru_cache(maxsize=64)(function)

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            hash(args)
        except TypeError:
            return function(*args)
        return cached(*args)

    return call


@remembered
def compiled_method(owner: Any, name: str, xp: Namespace) -> Callable[..., Any]:
    """The method ``owner.name(theta, buffers, x, xp)``, compiled where the library can."""
    return compiled(getattr(owner, name), xp, static=(3,))


def host_words(keys: np.ndarray, xp: Namespace) -> Any:
    """Dropout keys as a step takes them: words a compiler can trace, or Python ints.

    Parameters
    ----------
    keys : ndarray of uint32, shape (steps, layers, 2)
    xp : namespace
    """
    return keys if is_jax_namespace(xp) else keys.tolist()
