"""What each array library does in its own way: one small adapter per library.

Nothing is imported before it is asked for: `Library.load` imports the library. A new library is
one class and one entry in `LIBRARIES`; the rest of the package goes through `xpnn.backends`.
"""

import difflib
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import array_api_compat

from xpnn.arrays.libraries.base import DeviceError, DeviceInfo, Library
from xpnn.arrays.libraries.cupy import CuPy
from xpnn.arrays.libraries.foreign import Foreign, named
from xpnn.arrays.libraries.host import NumPy, Strict
from xpnn.arrays.libraries.jax import Jax
from xpnn.arrays.libraries.torch import Torch

NUMPY = NumPy()
LIBRARIES: dict[str, Library] = {
    library.name: library for library in (NUMPY, CuPy(), Torch(), Jax(), Strict())
}
_HABITS = {
    "cpu": "numpy",
    "gpu": "auto",
    "mps": "torch:mps",
    "np": "numpy",
    "pytorch": "torch",
    "strict": "array_api_strict",
}
# Weak: a program may make types without end, and each holds its module.
_types: WeakKeyDictionary[type, Library] = WeakKeyDictionary()
_foreign: WeakValueDictionary[str, Foreign] = WeakValueDictionary()


def library_of(x: Any) -> Library:
    """Return the library of an array; NumPy for all that is no array. Remembered by type."""
    known = _types.get(type(x))
    if known is not None:
        return known
    if array_api_compat.is_cupy_array(x):
        library = LIBRARIES["cupy"]
    elif array_api_compat.is_torch_array(x):
        library = LIBRARIES["torch"]
    elif array_api_compat.is_jax_array(x):
        library = LIBRARIES["jax"]
    elif array_api_compat.is_numpy_array(x) or not hasattr(x, "__array_namespace__"):
        library = NUMPY
    else:
        namespace = x.__array_namespace__()
        name = namespace.__name__
        library = LIBRARIES.get(name) or _foreign.setdefault(name, Foreign(namespace))
    _types[type(x)] = library
    return library


def devices() -> list[DeviceInfo]:
    """Return every library known and each of its devices, usable or not and why not.

    Imports the libraries that are installed, and tries each GPU with a small product.

    Returns
    -------
    list of DeviceInfo

    Examples
    --------
    >>> "numpy" in [row.spec for row in devices() if row.usable]
    True
    """
    return [row for library in LIBRARIES.values() for row in library.report()]


def library_named(name: str) -> Library | None:
    """The library that a spec begins with: a known one, or one that the program has imported."""
    library: Library | None = LIBRARIES.get(name.lower())
    for spelling in (name, name.lower()):
        library = library or _foreign.get(spelling)
        if library is None and (new := named(spelling)) is not None:
            library = _foreign.setdefault(spelling, new)
    return library


def device_name(spec: Any) -> str:
    """The name of a device that a library's own object stands for, such as ``torch.device("cpu")``.

    A name stays as it is, and a backend has one.
    """
    if isinstance(spec, str):
        return spec
    if isinstance(getattr(spec, "library", None), Library):
        return str(spec.name)
    module, kind = type(spec).__module__.partition(".")[0], type(spec).__name__
    library = LIBRARIES.get({"jaxlib": "jax"}.get(module, module))
    if library is None or not kind.lower().endswith("device"):
        raise DeviceError(f"a device is named by a string such as 'cupy:0', not by {spec!r}")
    return library.spec(library.canonical(library.suffix(spec)))


def no_such_device(library: Library, suffix: str, found: Iterable[str]) -> str:
    """Say what there is instead of a device that there is not, also at other libraries."""
    text, kind = library.no_such_device(suffix, found), suffix.partition(":")[0]
    others = () if kind in library.kinds else LIBRARIES.values()
    specs = sorted(repr(other.spec(suffix)) for other in others if kind in other.kinds)
    return f"{text}; {kind} is a device of other libraries: {' or '.join(specs)}" if specs else text


def nearest_spec(text: str) -> str:
    """Return a question for a spec that is not known, and what is."""
    head, colon, rest = text.partition(":")
    known = (
        f"Known are auto, {', '.join(LIBRARIES)}, with a device as in 'torch:cuda:0'; of any other "
        "library, import it first, or pass its arrays and no device"
    )
    if head == "cuda":  # more than one library; those installed first
        index = rest if rest.isdecimal() else "0"
        meant = {"cupy": f"cupy:{index}", "torch": f"torch:cuda:{index}"}
        first, second = sorted(meant, key=lambda name: LIBRARIES[name].version() is None)
        return f"did you mean {meant[first]!r} or {meant[second]!r}? {known}"
    near = _HABITS.get(head, "")
    if not near:
        specs = [library.spec(kind) for library in LIBRARIES.values() for kind in library.kinds]
        alike = difflib.get_close_matches(text, ["auto", *LIBRARIES, *specs], 1, 0.7)
        near = alike[0] if alike else ""
    if near in LIBRARIES and near != "numpy":
        near += colon + rest
    question = f"did you mean {near!r}? " if near else ""
    return question + known
