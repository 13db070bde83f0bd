"""What users pass in: checked, and told apart by library and device.

NumPy, pandas, polars, lists and SciPy matrices go through scikit-learn's own checks. Arrays of
other libraries stay where they are and are checked there, with the same messages.
"""

import math
from contextvars import ContextVar
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj, is_dask_array
from scipy.sparse import issparse
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend, backend_of, dtype_name, get_backend, to_numpy
from xpnn.arrays.libraries import NUMPY as LIBRARY_OF_NUMPY
from xpnn.arrays.libraries import library_of
from xpnn.arrays.libraries.base import TRACED, check_some, check_whole, widened
from xpnn.arrays.libraries.foreign import Foreign, by_dlpack
from xpnn.arrays.numeric import FEW
from xpnn.arrays.typing import Array
from xpnn.blocks import Blocks
from xpnn.estimators._rows import check_labels, naming_rows
from xpnn.steps.compiled.finite import all_finite
from xpnn.training.data import dense, is_sparse

NUMPY = get_backend("numpy")


class OfAll(NamedTuple):
    """What is known of the rows of all processes while those of one are read."""

    counts: dict[Any, int] | None  # of each label; None where a row has several


A_PART: ContextVar[OfAll | None] = ContextVar("A_PART", default=None)
"""Whether the rows that are read are a part of a fit's, and other processes have the rest."""

NO_WEIGHT = "sample_weight is zero in all rows: give at least one a weight above 0, or pass none."
TOO_FEW_HELD = (
    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
)
_FLOATS = ("float64", "float32")
_HOST_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))

# Their arrays lack what the standard asks for, and what `numpy.asarray` makes of some is no number.
_NOT_THE_STANDARD = {"mlx": "numpy.asarray({0})", "tinygrad": "{0}.numpy()"}


def is_foreign(x: Any) -> bool:
    """Whether `x` is an array of a library other than NumPy."""
    return library_of(x) is not LIBRARY_OF_NUMPY and not is_sparse(x)


def readable(x: Any, name: str) -> Any:
    """An input whose values can be looked at, each computed once.

    A Dask array becomes NumPy's, as does what speaks DLPack and is no array of a library that
    follows the standard; a sparse matrix that SciPy does not know becomes its CSR, and numbers of
    ml_dtypes those of NumPy.
    """
    if isinstance(x, Blocks):
        raise ValueError(
            f"{name} is Blocks, which estimators take as X, and nothing else does: pass an array."
        )
    kind = type(x).__module__.partition(".")[0]
    if kind in _NOT_THE_STANDARD:
        cure = _NOT_THE_STANDARD[kind].format(name)
        raise ValueError(
            f"{name} is an array of {kind}, which does not follow the array API standard: pass "
            f"{cure}."
        )
    if is_dask_array(x):
        return np.asarray(x)
    if is_sparse(x) or (kind == "sparse" and hasattr(x, "todense")):
        return x if issparse(x) else _of_scipy(x, name)
    if type(x) is np.ndarray:
        return widened(x)
    if hasattr(x, "todense"):
        raise ValueError(
            f"{name} is a sparse array of {kind} ({type(x).__name__}), and of {kind} xpnn takes "
            f"dense arrays: pass its todense()."
        )
    if hasattr(x, "__dlpack__") and not (is_array_api_obj(x) or hasattr(x, "__array__")):
        return by_dlpack(x)
    check_whole(x, name)
    if why := library_of(x).unreadable(x):
        raise ValueError(f"{name} {why}")
    return x


def _of_scipy(x: Any, name: str) -> Any:
    """A sparse array of another library as SciPy's CSR; of labels or weights, dense."""
    if x.ndim != 2:
        return x.todense()
    csr = x.tocsr() if hasattr(x, "tocsr") else x.asformat("coo").tocsr()
    if issparse(csr):
        return csr
    kind = type(x).__module__.partition(".")[0]
    raise ValueError(
        f"{name} is a sparse matrix of {kind}, on a device, and xpnn takes SciPy's on the host: "
        f"pass its get(), or for the device its toarray()."
    )


def on_host(x: Any) -> Any:
    """An array of another library as NumPy's; anything else as it is."""
    return to_numpy(x) if is_foreign(x) else x


def read_features(estimator: Any, x: Any, *, reset: bool, look: bool = True) -> tuple[Any, Backend]:
    """Check `X`; make it floating, two-dimensional and finite.

    Parameters
    ----------
    estimator : estimator
        Whose number and names of features are set (`reset`) or compared.
    x : array-like of shape (n_samples, n_features)
    reset, look : bool
        ``look=False`` leaves it to the caller whether NumPy's own matrix is finite.

    Returns
    -------
    x : array of float32 or float64, or CSR matrix
    backend : Backend
        The library and device of `x`.
    """
    x = readable(x, "X")
    if reset and is_matrix(x) and (not look or _adds_up(x, x.dtype)):  # in a tenth of the time
        estimator.n_features_in_ = x.shape[1]
        estimator.__dict__.pop("feature_names_in_", None)
        return x, NUMPY
    if not is_foreign(x):
        if getattr(x, "dtype", None) == np.float16:
            x = x.astype(np.float32)  # computed in float32; scikit-learn would take float64
        x = validate_data(
            estimator, x, accept_sparse="csr", dtype=(np.float64, np.float32), reset=reset
        )
        return x, NUMPY
    backend = backend_of(x)
    with backend.device_context():
        x = _floating(_check_shape(estimator, x), backend)
        _check_finite(x, backend, "X")
    if reset:
        estimator.n_features_in_ = int(x.shape[1])
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    else:
        check_width(estimator, x.shape[1])
    return x, backend


def check_width(estimator: Any, n: int) -> None:
    """Refuse another number of features than that of fit."""
    if n != estimator.n_features_in_:
        raise ValueError(
            f"X has {n} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )


def is_ready(estimator: Any, x: Any) -> bool:
    """Whether `read_features` of a fitted estimator would return `x` as it is: a fast check."""
    return (
        is_matrix(x)
        and x.shape[1] == estimator.n_features_in_
        and "feature_names_in_" not in estimator.__dict__
        and _adds_up(x, estimator._state.theta.dtype)
    )


def is_matrix(x: Any) -> bool:
    """Whether it is NumPy's own, floating, of two dimensions and of at least one entry."""
    return type(x) is np.ndarray and x.dtype in _HOST_FLOATS and x.ndim == 2 and x.size > 0


def _adds_up(x: np.ndarray, dtype: np.dtype) -> bool:
    """Whether all entries are known to be finite in `dtype`: at once, or as a sum of theirs is."""
    if x.size <= FEW and x.dtype == dtype:  # of squares, which warns of nothing and is had sooner
        return math.isfinite(np.vdot(x, x))
    found = all_finite(x) if x.dtype == dtype else None
    if found is not None:
        return found
    with np.errstate(all="ignore"):
        return math.isfinite(np.add.reduce(x, axis=None, dtype=dtype))


def _check_shape(estimator: Any, x: Array) -> Array:
    if x.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {x.ndim}D array instead. Reshape your data either using "
            "xp.reshape(x, (-1, 1)) if it has a single feature or xp.reshape(x, (1, -1)) if it "
            "contains a single sample."
        )
    check_some(x.shape, type(estimator).__name__)
    return x


def _floating(x: Array, backend: Backend) -> Array:
    """`x` in a floating dtype that its device computes in."""
    name = dtype_name(x.dtype)
    if name.startswith("complex"):
        raise ValueError(f"Complex data not supported, got {name}.")
    if name in _FLOATS:
        return x
    narrow = "float" in name or "float64" not in backend.dtypes  # narrower than float32
    return backend.xp.astype(x, backend.float_dtype("float32" if narrow else "float64"))


def _check_finite(x: Array, backend: Backend, name: str) -> None:
    xp = backend.xp
    with backend.device_context():
        finite = _truth(xp.all(xp.isfinite(x)), backend, name)
        nan = not finite and bool(xp.any(xp.isnan(x)))
    if not finite:
        what = "NaN" if nan else f"infinity or a value too large for dtype('{dtype_name(x.dtype)}')"
        raise ValueError(f"Input {name} contains {what}.")


def _truth(value: Array, backend: Backend, name: str) -> bool:
    """A truth value, on the host; a ValueError where an unknown library has none."""
    if not isinstance(backend.library, Foreign):
        return bool(value)
    try:
        return bool(value)
    except Exception as error:
        raise ValueError(
            f"{name} is a lazy or symbolic array of {backend} and {TRACED}."
        ) from error


def check_range(x: Any, dtype: str, name: str = "X") -> None:
    """Raise a ValueError for a value that is infinite in `dtype`, the one that is computed in."""
    if dtype != "float32" or dtype_name(x.dtype) != "float64":
        return
    data = x.data if is_sparse(x) else x
    backend = backend_of(data)
    with backend.device_context():
        xp, largest = backend.xp, float(np.finfo(np.float32).max)
        fits = not math.prod(data.shape) or bool(xp.max(xp.abs(data)) <= largest)
    if not fits:
        raise ValueError(
            f"Input {name} contains infinity or a value too large for dtype('float32'), which is "
            f"computed in here: scale {name}, or fit with dtype='float64'."
        )


def read_weight(weight: Any, x: Any) -> np.ndarray | Array | None:
    """Check sample weights: one finite non-negative number a row, not all of them zero.

    Returns
    -------
    array of shape (n_samples,), or None for None
        Where it was.
    """
    if weight is None:
        return None
    n, weight = x.shape[0], readable(weight, "sample_weight")
    if isinstance(weight, Real):
        weight = np.full(n, float(weight))
    if not is_foreign(weight):
        weight = check_array(
            weight,
            ensure_2d=False,
            dtype=(np.float64, np.float32),
            order="C",
            ensure_all_finite=False,  # below, by row
            input_name="sample_weight",
        )
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weight.ndim}D array.")
    if weight.shape[0] != n:
        raise ValueError(
            f"sample_weight.shape == {tuple(weight.shape)}, expected {(n,)}: one weight a sample."
        )
    host = to_numpy(weight)
    wrong = ~(np.isfinite(host) & (host >= 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"sample_weight must be finite and not negative, got {host[row].item()!r} in row {row}."
        )
    if not (host.any() or A_PART.get()):
        raise ValueError(NO_WEIGHT)
    return weight


def check_weight_range(weight: Any, dtype: str, name: str = "sample_weight") -> None:
    """Raise a ValueError for weights whose sum overflows `dtype`, or that all underflow it."""
    if weight is None:
        return
    host = to_numpy(weight)
    least, most = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)
    with np.errstate(all="ignore"):
        largest, total = float(host.max()), float(host.sum(dtype=np.float64))
    if (largest < least and not A_PART.get()) or not total <= most:
        wide = ", or fit with dtype='float64'" if dtype == "float32" else ""
        raise ValueError(
            f"{name} goes up to {largest!r} and sums to {total!r}, which "
            f"{'under' if largest < least else 'over'}flows {dtype}, the dtype that is "
            "computed in here. Divide the weights by their mean (penalties are divided by their "
            f"sum, so alpha and l1 too){wide}."
        )


def readable_target(estimator: Any, y: Any) -> Any:
    """A y whose values can be looked at; a ValueError for None."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target "
            "y is None."
        )
    return readable(y, "y")


def read_target(
    estimator: Any, y: Any, x: Any, *, numeric: bool, warn: bool = True
) -> np.ndarray | Array:
    """Check `y`: as many finite entries as `x` has rows, one- or two-dimensional.

    A single column comes back as a vector.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    x : array
    numeric : bool
        Whether a number is needed (regression). Then an array of another library stays where
        it is; labels always come to the host, once.
    warn : bool, default=True
        Whether to warn of a single column, as scikit-learn does in `fit` and not in `score`.
    """
    y = readable_target(estimator, y)
    with naming_rows(y):
        y = _finite_target(estimator, y, numeric)
    if y.ndim not in (1, 2):
        raise ValueError(f"y should be a 1d or 2d array, got an array of shape {y.shape} instead.")
    check_consistent_length(x, y) if not is_foreign(x) else _check_length(x, y)
    if y.ndim == 1 or y.shape[1] != 1:
        return y
    if warn and not is_foreign(y):
        warn_user(
            "A column-vector y was passed when a 1d array was expected. Please change the shape "
            "of y to (n_samples,), for example using ravel().",
            DataConversionWarning,
        )
    return y[:, 0]


def _finite_target(estimator: Any, y: Any, numeric: bool) -> np.ndarray | Array:
    """A `y` without NaN and infinity: numbers where they are, labels on the host."""
    if numeric and is_foreign(y):
        backend = backend_of(y)
        y = _floating(y, backend)
        _check_finite(y, backend, "y")
        return y
    if not numeric:
        check_labels(y)
    y = _host_target(estimator, y)
    return _as_numbers(y) if numeric and y.dtype.name not in _FLOATS else y


def _host_target(estimator: Any, y: Any) -> np.ndarray:
    """A checked `y` on the host; labels of another library in the dtype that they have there."""
    if is_foreign(y):
        host = to_numpy(y)
        y = host.astype(library_of(y).label_dtype(host.dtype.name), copy=False)
    whole = type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "biu"
    if not whole:  # which are finite
        how = {"accept_sparse": "csr", "ensure_2d": False, "dtype": None, "ensure_min_samples": 0}
        y = check_array(y, input_name="y", estimator=estimator, **how)
    found: np.ndarray = dense(y)
    return found


def _as_numbers(y: np.ndarray) -> np.ndarray:
    if y.dtype.kind in "USMm":  # NumPy would count days, and read text
        raise ValueError(
            f"could not convert string to float: y holds {y.ravel()[0].item()!r}, and a "
            "regression needs numbers; make them of it, as by y.astype(float)."
        )
    numbers: np.ndarray = y.astype(np.float64)
    if y.dtype == object:  # None is NaN as a number
        check_array(numbers, ensure_2d=False, input_name="y", allow_nd=True, ensure_min_samples=0)
    return numbers


def _check_length(x: Array, y: Any) -> None:
    if x.shape[0] != y.shape[0]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: "
            f"{[int(x.shape[0]), int(y.shape[0])]}"
        )
