"""Compile pure functions where the library can (JAX); elsewhere they are as they were."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import numpy as np
from array_api_compat import is_jax_namespace

from xpnn.arrays.typing import Namespace


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
