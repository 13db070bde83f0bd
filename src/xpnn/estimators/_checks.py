"""What a parameter may be: a table of checks, and one error with scikit-learn's words."""

import operator
from collections.abc import Callable, Collection
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn import get_config

from xpnn.arrays.backend import DeviceError, dtype_name
from xpnn.arrays.libraries import device_name

OF_A_RUN = ("callbacks", "verbose", "device")
"""Parameters that say how and where a fit runs, and not what is learned."""


class InvalidParameterError(ValueError, TypeError):
    """A parameter has a type or a value that it cannot have; both, as in scikit-learn."""


class Check(NamedTuple):
    """One thing that a parameter may be."""

    words: str
    holds: Callable[[Any], bool]


def number(kind: Any, low: float, high: float = np.inf, *, closed: str = "") -> Check:
    """A number between two bounds, of which those named in `closed` ("low", "high") count."""
    name, bound = ("an int", int) if kind is Integral else ("a float", float)
    left, above = ("[", operator.ge) if "low" in closed else ("(", operator.gt)
    right, below = ("]", operator.le) if "high" in closed else (")", operator.lt)
    top = bound(high) if high < np.inf else "inf"
    return Check(
        f"{name} in the range {left}{bound(low)}, {top}{right}",
        lambda v: isinstance(v, kind) and bool(above(v, low) and below(v, high)),  # NaN is neither
    )


def among(names: Collection[str]) -> Check:
    """One of some strings."""
    words = ", ".join(map(repr, sorted(names)))
    return Check(f"a str among {{{words}}}", lambda v: isinstance(v, str) and v in names)


def instance(kind: type) -> Check:
    """An object of a class."""
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"xpnn.{kind.__qualname__}"
    return Check(f"an instance of {name!r}", lambda v: isinstance(v, kind))


def methods(*names: str) -> Check:
    """An object with some methods."""
    words = f"{', '.join(map(repr, names[:-1]))} and {names[-1]!r}"
    return Check(
        f"an object implementing {words}",
        lambda v: all(callable(getattr(v, name, None)) for name in names),
    )


NONE = Check("None", lambda v: v is None)
CALLABLE = Check("a callable", callable)
BOOL = Check(
    "an instance of 'bool' or an instance of 'numpy.bool'", lambda v: isinstance(v, bool | np.bool_)
)
INFINITY = Check("infinity", lambda v: isinstance(v, Real) and bool(v == np.inf))
INTEGER = Check("an instance of 'int'", lambda v: isinstance(v, Integral))
ARRAY_LIKE = Check(
    "an array-like",
    lambda v: not np.isscalar(v) and any(hasattr(v, a) for a in ("__len__", "shape", "__array__")),
)
RANDOM_STATE = (
    number(Integral, 0, 2**32 - 1, closed="low high"),
    Check(
        "an instance of 'numpy.random.RandomState'", lambda v: isinstance(v, np.random.RandomState)
    ),
    NONE,
)


def _names_device(value: Any) -> bool:
    try:
        return bool(device_name(value))
    except DeviceError:
        return False


def _names_dtype(value: Any) -> bool:
    try:
        return not isinstance(value, str) and dtype_name(value) in ("float32", "float64")
    except TypeError:
        return False


DEVICE = (
    instance(str),
    Check("a device of an array library", _names_device),  # a Backend too
    NONE,
)
DTYPE = (among({"float32", "float64"}), Check("a dtype of that name", _names_dtype))
CLASS_WEIGHT = (among({"balanced"}), instance(dict), NONE)
LABEL_WEIGHT = (*CLASS_WEIGHT[:-1], instance(list), NONE)
VERBOSE = (number(Integral, 0, closed="low"), BOOL)

Checks = dict[str, tuple[Check, ...]]
"""For each parameter all that it may be."""


def check_parameters(estimator: Any) -> None:
    """Raise an InvalidParameterError for the first parameter that is nothing that it may be.

    scikit-learn's setting `skip_parameter_validation` turns it off.
    """
    if get_config()["skip_parameter_validation"]:
        return
    for name, checks in estimator._checks.items():
        value = getattr(estimator, name)
        for check in checks:
            if check.holds(value):
                break
        else:
            *others, last = (check.words for check in checks)
            words = f"{', '.join(others)} or {last}" if others else last
            meant = ""
            if name == "learning_rate" and isinstance(value, Real):
                meant = (
                    f" It says how the rate moves; the rate itself is learning_rate_init={value}."
                )
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {words}. "
                f"Got {value!r} instead.{meant}"
            )
