"""What each array library does in its own way: one small adapter per library.

Nothing is imported before it is asked for: `Library.load` imports the library. A new library is
one class and one entry in `LIBRARIES`; the rest of the package goes through `xpnn.backends`.
"""

from typing import Any

import array_api_compat

from ._base import REAL_DTYPES, DeviceError, DeviceInfo, Library, apple_gpu, gpu_driver
from ._cupy import CuPy
from ._host import Foreign, NumPy, Strict
from ._jax import Jax
from ._torch import Torch

__all__ = [
    "LIBRARIES",
    "NUMPY",
    "REAL_DTYPES",
    "DeviceError",
    "DeviceInfo",
    "Library",
    "apple_gpu",
    "gpu_driver",
    "library_of",
]

NUMPY = NumPy()
LIBRARIES: dict[str, Library] = {
    library.name: library for library in (NUMPY, CuPy(), Torch(), Jax(), Strict())
}
_types: dict[type, Library] = {}


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
        library = LIBRARIES.get(namespace.__name__) or Foreign(namespace)
    _types[type(x)] = library
    return library
