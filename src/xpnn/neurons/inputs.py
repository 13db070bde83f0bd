"""What a lesson passes in: arrays of any library, lists, tables and single numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj, is_numpy_array

from xpnn.arrays.backend import Backend, backend_of, dtype_name, get_backend
from xpnn.arrays.typing import Array
from xpnn.tables.frames import read_frame


def place(device: Any, *given: Any) -> Backend:
    """The device that is named, else that of the arrays; lists and tables are NumPy's."""
    return backend_of(*given) if device is None else get_backend(device)


def floating(x: Any, backend: Backend) -> Array:
    """Inputs as floating numbers: whole numbers and truth values become the widest float."""
    x = backend.asarray(_numeric(host_values(x)))
    if dtype_name(x.dtype) in ("float32", "float64"):
        return x
    return backend.asarray(x, widest(backend))


def _numeric(x: Any) -> Any:
    """Numbers as they are; a ValueError for text, for rows of different lengths, for nothing."""
    if is_array_api_obj(x) and not is_numpy_array(x):
        return x
    try:
        host = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{_short(x)} has rows of different lengths: make them equal") from error
    if host.dtype.kind not in "biuf":
        raise ValueError(f"{_short(x)} is not made of real numbers: pass numbers")
    return host


def _short(x: Any) -> str:
    text = repr(x)
    return text if len(text) < 60 else f"{text[:56]} ..."


def widest(backend: Backend) -> str:
    """The name of the widest float that the device has."""
    return "float64" if "float64" in backend.dtypes else "float32"


def host_values(x: Any) -> Any:
    """A table or a mapping of columns as one host array; anything else as it is."""
    if is_array_api_obj(x) or isinstance(x, Real | Sequence) or not _is_table(x):
        return x
    found, words = [], []
    for name, column in read_frame(x).columns.items():
        try:
            found.append(np.asarray(column, dtype=np.float64))
        except (TypeError, ValueError):
            words.append(name)
    if words:
        raise ValueError(
            f"columns {words} of the table are not numbers: leave them out or encode them"
        )
    return np.stack(found, axis=1)


def _is_table(x: Any) -> bool:
    return isinstance(x, Mapping) or hasattr(x, "columns")


@dataclass(frozen=True)
class Rows:
    """Inputs as rows of numbers, and how they were given."""

    x: Array
    backend: Backend
    given: str  # "numbers", "row" or "rows"

    def shaped(self, out: Array) -> Any:
        """Outputs of shape (n, ...) in the form of the inputs: a number, a row's output, or all."""
        if self.given == "rows":
            return out
        if self.given == "row":
            return out[0, ...]
        found = self.backend.to_numpy(out)[0]
        return float(found) if found.ndim == 0 else tuple(found.tolist())


def read_rows(
    inputs: tuple[Any, ...], n_inputs: int, device: Any = None, *, more: bool = False
) -> Rows:
    """Inputs of a neuron, as it is called.

    Parameters
    ----------
    inputs : tuple
        One table of rows (n, n_inputs); one row (n_inputs,), which for a neuron of one input is a
        number a row; or one argument an input, each a number or (n,).
    device : str or Backend, default=None
        None is where the inputs are.
    more : bool, default=False
        Whether more inputs than `n_inputs` are welcome.

    Examples
    --------
    >>> read_rows((1, 0), 2).x, read_rows(([1, 0],), 2).given
    (array([[1., 0.]]), 'row')
    """
    if not inputs:
        raise ValueError(f"no inputs: pass {n_inputs} numbers, or rows of shape (n, {n_inputs})")
    backend = place(device, *inputs)
    with backend.device_context():
        parts = [floating(x, backend) for x in inputs]
        xp = backend.xp
        if len(parts) > 1 or parts[0].ndim == 0:
            given = "numbers" if all(p.ndim == 0 for p in parts) else "rows"
            real = xp.result_type(*([p for p in parts if p.ndim] or parts))
            parts = xp.broadcast_arrays(*(xp.astype(p, real) for p in parts))
            x = xp.stack([xp.reshape(p, (-1,)) for p in parts], axis=1)
        elif parts[0].ndim == 1:
            alone = n_inputs == 1
            given = "rows" if alone else "row"
            x = xp.reshape(parts[0], (-1, 1) if alone else (1, -1))
        else:
            given, x = "rows", parts[0]
    return Rows(_checked(x, n_inputs, more), backend, given)


def _checked(x: Array, n_inputs: int, more: bool) -> Array:
    if x.ndim == 2 and (int(x.shape[1]) == n_inputs or (more and int(x.shape[1]) > n_inputs)):
        return x
    least = "at least " if more else ""
    raise ValueError(
        f"inputs must have the shape (n, {least}{n_inputs}), one column for each weight, got "
        f"{tuple(x.shape)}"
    )
