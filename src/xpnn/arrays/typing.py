"""Names for the types that the array API leaves to each library."""

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of any library that array-api-compat knows."""

Namespace: TypeAlias = Any
"""An array API namespace, as `array_api_compat.array_namespace` returns it."""

Device: TypeAlias = Any
"""What a library takes as `device=`."""

DType: TypeAlias = Any
"""A dtype object of a namespace."""
