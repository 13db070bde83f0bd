"""What a fit is, as the compiled steps take it: the structures of plan.h, filled in once a fit."""

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from xpnn.arrays.random import keep_count
from xpnn.model.dense import Dense
from xpnn.model.embedding import PeriodicEmbedding
from xpnn.model.scale import Scale
from xpnn.parts.activations import ACTIVATIONS
from xpnn.parts.losses import built_in
from xpnn.parts.optimizers import OPTIMIZERS
from xpnn.steps.compiled import library

# In the order of the enumerations in activations.h, losses.h and optimizers.h.
ACTIVATION_CODES = {
    name: code
    for code, name in enumerate(
        [
            "identity",
            "step",
            "sigmoid",
            "tanh",
            "relu",
            "leaky_relu",
            "elu",
            "selu",
            "gelu",
            "silu",
            "mish",
            "softplus",
            "softsign",
            "hard_sigmoid",
            "exp",
            "softmax",
            "log_softmax",
        ]
    )
}
LOSS_CODES = {
    name: code
    for code, name in enumerate(
        [
            "half_squared_error",
            "squared_error",
            "sum_squared_error",
            "absolute_error",
            "huber",
            "log_cosh",
            "pinball",
            "poisson",
            "binary_cross_entropy",
            "softmax_cross_entropy",
            "hinge",
            "perceptron",
        ]
    )
}
OPTIMIZER_CODES = {
    name: code
    for code, name in enumerate(
        ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
    )
}
_KINDS = (Dense, Scale, PeriodicEmbedding)  # in the order of plan.h
_NORMALIZATIONS = {None: 0, "batch": 1, "layer": 2}
# Products of more multiplications are cut in pieces of so many columns or more; see products.h.
_BLAS_ALONE, _FEWEST_COLUMNS = 4 * 65_536 - 1, 16
SUFFIXES = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}


class Plan(ctypes.Structure):
    """The `plan` of plan.h; all of it numbers of 64 bits and addresses."""

    _fields_ = [  # ctypes wants a list
        *((name, ctypes.c_int64) for name in ("layers", "input_kept", "parameters", "weights")),
        ("layer", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("loss", "labels")),
        ("loss_parameter", ctypes.c_double),
        ("optimizer", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("beta_1", "beta_2", "epsilon")),
        *((name, ctypes.c_double) for name in ("l1", "l2", "clip")),
        *((name, ctypes.c_int64) for name in ("limits", "segments")),
        *((name, ctypes.c_void_p) for name in ("segment", "product")),
        ("tiles", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("theta", "buffers")),
        ("moments", ctypes.c_void_p * 2),
        *((name, ctypes.c_int64) for name in ("rows", "batch")),
        ("x", ctypes.c_void_p),
        ("x_stride", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("row_starts", "columns", "y", "weight")),
        *((name, ctypes.c_void_p) for name in ("room", "pool")),
        *((name, ctypes.c_int64) for name in ("parts", "alone")),
        *((name, ctypes.c_void_p) for name in ("stop", "order")),
        *((n, ctypes.c_int64) for n in ("order_stride", "start", "steps", "coefficients_of_step")),
        *((name, ctypes.c_int64) for name in ("first_row", "member")),
        *((name, ctypes.c_void_p) for name in ("coefficients", "keys", "gradient")),
        *((name, ctypes.c_double) for name in ("over", "total")),
        ("totals", ctypes.c_void_p),
    ]


@cache
def product_address(dtype: np.dtype) -> int:
    """Where SciPy's ``sgemm`` or ``dgemm`` is, with Fortran's arguments."""
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__["sgemm" if dtype == np.float32 else "dgemm"]
    api = ctypes.pythonapi
    name, pointer = api.PyCapsule_GetName, api.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(capsule, name(capsule)))


_WHOLE = "kind n_in n_out row frequencies passed weight bias scale phase activation kept"
_NUMBERS = [*_WHOLE.split(), "normalization", "statistics"]
_LAYER = np.dtype([*((name, np.int64) for name in _NUMBERS), ("limit", np.float64)])


def layer_table(network: Any, limits: Mapping[str, float]) -> np.ndarray:
    """A row a layer, as the structure `layer` of plan.h has them."""
    place = {e.name: e.offset for e in network.layout.entries}
    statistics = {e.name: e.offset for e in network.buffer_layout.entries}
    rows = []
    for i, layer in enumerate(network.layers):
        waves, passed = getattr(layer, "frequencies", 0), getattr(layer, "passed", 0)
        activation = getattr(layer, "activation", None)
        rows.append(
            (
                _KINDS.index(type(layer)),
                layer.n_in,
                layer.n_out,
                sum(e.size for e in network.layout.entries if e.name == f"weight_{i}")
                // (layer.n_in - passed),
                waves,
                passed,
                place.get(f"weight_{i}", -1),
                place.get(f"bias_{i}", -1),
                place.get(f"frequency_{i}" if waves else f"scale_{i}", -1),
                place.get(f"phase_{i}", -1),
                0 if activation is None else ACTIVATION_CODES[activation.name],
                kept(layer.dropout),
                _NORMALIZATIONS[getattr(layer, "normalization", None)],
                statistics.get(f"mean_{i}", -1),
                limits.get(f"weight_{i}", 0.0),
            )
        )
    return np.asarray(rows, dtype=_LAYER)


def kept(rate: float) -> int:
    """Draws of 65,536 that keep a unit: all without dropout."""
    return keep_count(rate) if rate else 65536


def known_network(network: Any, training: bool = True) -> bool:
    """Whether all layers and activations are built in (and can be trained)."""
    if not all(type(layer) in _KINDS for layer in network.layers):
        return False
    used = [layer.activation for layer in network.layers if type(layer) is Dense]
    return all(ACTIVATIONS.get(a.name) == a and (a.differentiable or not training) for a in used)


def known_rules(rules: Any) -> bool:
    """Whether the compiled steps have the layers, the loss and the optimizer of a fit."""
    loss = rules.loss.name
    return (
        known_network(rules.network)
        and built_in(rules.loss) == loss
        and type(rules.optimizer) in OPTIMIZERS.values()
    )


def fill_network(plan: Plan, network: Any, limits: Mapping[str, float]) -> np.ndarray:
    """Say what the network is; the table has to be kept as long as the plan."""
    table = layer_table(network, limits)
    plan.layers, plan.layer, plan.limits = len(table), table.ctypes.data, len(limits)
    plan.input_kept = kept(network.input_dropout)
    plan.parameters = network.layout.size
    plan.weights = sum(e.size for e in network.layout.entries if e.role == "weight")
    return table


def fill_loss(plan: Plan, loss: Any) -> None:
    """Say what the loss is, and its one parameter."""
    plan.loss = LOSS_CODES[loss.name]
    plan.loss_parameter = float(loss.params[0][1]) if loss.params else 0.0


def fill_optimizer(plan: Plan, optimizer: Any) -> None:
    """Say what the optimizer is."""
    plan.optimizer = OPTIMIZER_CODES[optimizer.name]
    plan.beta_1 = getattr(optimizer, "beta_1", getattr(optimizer, "momentum", 0.0))
    plan.beta_2 = getattr(optimizer, "beta_2", getattr(optimizer, "rho", 0.0))
    plan.epsilon = getattr(optimizer, "epsilon", 0.0)


def address(a: np.ndarray | None) -> int | None:
    """Where an array's numbers are; None for none."""
    if a is None or not a.size:
        return None
    try:
        found = ctypes.c_char.from_buffer(a)  # type: ignore[arg-type]  # quicker than the other
        return ctypes.addressof(found)
    except (TypeError, BufferError):  # read-only, or rows apart
        return int(a.__array_interface__["data"][0])


_ARGUMENTS = {
    "steps": "p",
    "members": "p",
    "room": "p",
    "outputs": "ppppiiip",
    "function": "ipi",
    "finite": "ppii",
    "product": "iiiiipipipi",  # of the tests
}


@cache
def function(name: str, dtype: np.dtype) -> Any:
    """One of the library's functions of a number type, with the types of its arguments."""
    found = getattr(library(), f"xpnn_{name}_{SUFFIXES[dtype]}")
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int64}
    found.argtypes, found.restype = [kinds[k] for k in _ARGUMENTS[name]], ctypes.c_int64
    return found


def keeps_to_thread(wide: int, rows: int, back: int = 0) -> bool:
    """Whether BLAS shares no product of so many rows among its threads, cut as they are.

    Parameters
    ----------
    wide : int
        Multiplications of a row in the largest product.
    back : int, default=0
        Those of an input in the largest product of a gradient of weights.
    """
    return wide * rows <= _BLAS_ALONE or max(wide, back) * _FEWEST_COLUMNS <= _BLAS_ALONE


def place_rows(plan: Plan, x: Any, dtype: np.dtype) -> Any:
    """Say where features are, a matrix or SciPy's CSR; what is returned has to be kept."""
    if isinstance(x, np.ndarray):
        x = rows_in_one_piece(x, dtype)
        plan.x, plan.x_stride = address(x), x.strides[0] // x.itemsize
        return x
    kinds = (("data", dtype), ("indices", np.int32), ("indptr", np.int64))
    parts = [np.ascontiguousarray(getattr(x, name), dtype=kind) for name, kind in kinds]
    # a row without numbers has an address, too
    parts[:2] = [a if a.size else np.zeros(1, dtype=a.dtype) for a in parts[:2]]
    plan.x, plan.columns, plan.row_starts = (address(a) for a in parts)
    return parts


def is_sound_csr(x: Any, n_in: int) -> bool:
    """Whether a sparse matrix is CSR of columns that there are: compiled code does not look."""
    if x.format != "csr" or x.shape[1] != n_in or (np.diff(x.indptr) < 0).any():
        return False
    return not x.nnz or bool(0 <= x.indices.min() <= x.indices.max() < n_in)


def rows_in_one_piece(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Features whose rows are contiguous, wherever each of them begins; a copy if they are not."""
    return x if has_whole_rows(x, dtype) else np.ascontiguousarray(x, dtype=dtype)


def has_whole_rows(x: np.ndarray, dtype: np.dtype) -> bool:
    """Whether compiled code can read features where they lie: rows in one piece, of its type."""
    if x.dtype != dtype:
        return False
    if x.flags.c_contiguous and x.shape[1]:
        return True
    straight = x.shape[1] <= 1 or x.strides[1] == x.itemsize
    whole = x.shape[0] <= 1 or (x.strides[0] > 0 and x.strides[0] % x.itemsize == 0)
    return bool(straight and whole and x.strides[0] >= x.shape[1] * x.itemsize)
