"""Compile pure functions where the library can (JAX); elsewhere they are as they were."""

from collections.abc import Callable
from functools import lru_cache, partial, wraps
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from array_api_compat import is_jax_namespace

from xpnn.arrays.typing import Namespace

_CONSTANT: tuple[type, ...] = (str, bytes, int, float, complex, bool, type(None))
_CONSTANT += (type, ModuleType, BuiltinFunctionType)


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

    What a program is compiled from must not have changed since: the state of the user's objects
    and closures among the arguments is compared, and where it cannot be, the work is done again.
    """
    cached = lru_cache(maxsize=64)(lambda state, *args: function(*args))

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            state = tuple(_state(a, set()) for a in args)
            hash((state, args))
        except TypeError:
            return function(*args)
        return cached(state, *args)

    return call


def _state(value: Any, seen: set[int]) -> Any:
    """What a compiled program may have taken in of a value, hashable; a TypeError if it is not."""
    if id(value) in seen or isinstance(value, _CONSTANT):
        return None
    seen.add(id(value))
    if isinstance(value, tuple):
        return tuple(_state(v, seen) for v in value)
    if isinstance(value, FunctionType):
        cells = [c.cell_contents for c in value.__closure__ or ()]
        given = (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *cells)
        return tuple(_entry(v, seen) for v in given)
    if isinstance(value, MethodType):
        return _entry(value.__self__, seen), _state(value.__func__, seen)
    if isinstance(value, partial):
        return _state(value.func, seen), *(_entry(v, seen) for v in value.args)
    attributes = getattr(value, "__dict__", {})
    fields = getattr(type(value), "__dataclass_fields__", attributes)
    frozen = getattr(getattr(type(value), "__dataclass_params__", None), "frozen", False)
    names = sorted(fields if frozen else attributes)  # cached properties of frozen ones are none
    return tuple((name, _entry(attributes.get(name), seen)) for name in names)


def _entry(value: Any, seen: set[int]) -> Any:
    """A value and its state; a TypeError for one that cannot be hashed, such as an array."""
    hash(value)
    return value, _state(value, seen)


@remembered
def compiled_method(owner: Any, name: str, xp: Namespace) -> Callable[..., Any]:
    """The method ``owner.name(theta, buffers, x, xp)``, compiled where the library can."""
    method = getattr(owner, name)

    # JAX takes methods of equal owners for the same function, and would find an earlier program.
    def call(theta: Any, buffers: Any, x: Any, xp: Namespace) -> Any:
        return method(theta, buffers, x, xp)

    return compiled(call, xp, static=(3,))


def host_words(keys: np.ndarray, xp: Namespace) -> Any:
    """Dropout keys as a step takes them: words a compiler can trace, or Python ints.

    Parameters
    ----------
    keys : ndarray of uint32, shape (steps, layers, 2)
    """
    return keys if is_jax_namespace(xp) else keys.tolist()
