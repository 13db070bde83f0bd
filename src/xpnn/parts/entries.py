"""Look a name up, check a number, bind parameters: what every registry of the package shares."""

import dataclasses
import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Self, TypeVar, cast

T = TypeVar("T")

_ALIKE = 0.6  # of SequenceMatcher.ratio: as difflib's own close matches

Params = tuple[tuple[str, float], ...]
Interval = tuple[float, float, str]
"""Its ends, and which of them belong to it: as `check_number` takes them."""


def nearest_first(name: str, names: Iterable[str]) -> list[str]:
    """Return `names` sorted by likeness to `name`, the most alike first."""
    return sorted(names, key=lambda known: (-_likeness(name, known), known))


def _likeness(name: str, known: str) -> float:
    return difflib.SequenceMatcher(None, name.lower(), known.lower()).ratio()


def meant(name: str, names: list[str]) -> str:
    """A question after the first of names that are sorted by likeness; a stop, if none is alike.

    Examples
    --------
    >>> meant("rellu", ["relu", "tanh"]), meant("size", ["kind"])
    ("; did you mean 'relu'?", '.')
    """
    alike = names and _likeness(name, names[0]) >= _ALIKE
    return f"; did you mean {names[0]!r}?" if alike else "."


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return ``table[name]``; an unknown name raises a ValueError that lists the known ones.

    Examples
    --------
    >>> lookup({"relu": 1, "tanh": 2}, "rellu", "activation")
    Traceback (most recent call last):
        ...
    ValueError: unknown activation 'rellu'; did you mean 'relu'? Known, nearest first: relu, tanh
    """
    if name in table:
        return table[name]
    names = nearest_first(name, table)
    raise ValueError(
        f"unknown {kind} {name!r}{meant(name, names)} Known, nearest first: {', '.join(names)}"
    )


def check_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    closed: str = "both",
) -> float:
    """Return `value` as a Python float if it is a finite real number between `low` and `high`.

    Parameters
    ----------
    name : str
        What the number is called, for the message.
    value : real number
        NumPy scalars are welcome; they become Python floats, which never promote float32 arrays.
    low, high : float
        The ends of the allowed interval.
    closed : {"both", "left", "right", "neither"}
        Which ends belong to the interval. An infinite end never does.

    Raises
    ------
    ValueError
        For a value that is not a number, not finite, or outside the interval.
    """
    left = "[" if closed in ("both", "left") and low > -math.inf else "("
    right = "]" if closed in ("both", "right") and high < math.inf else ")"
    expected = f"a finite number in {left}{low:g}, {high:g}{right}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} is {value!r}, expected {expected}: pass such a number")
    number = float(value)
    above = number >= low if left == "[" else number > low
    below = number <= high if right == "]" else number < high
    if not (math.isfinite(number) and above and below):
        raise ValueError(f"{name} is {number!r}, expected {expected}: choose a value in that range")
    return number


def bind_params(
    owner: str,
    function: Callable[..., Any],
    given: Mapping[str, Any],
    ranges: Mapping[str, Interval],
) -> Params:
    """Fill in and check the keyword-only parameters of `function`; a hashable tuple of pairs.

    Parameters
    ----------
    owner : str
        What has the parameters, for messages, such as ``"loss 'huber'"``.
    function : callable
        Its keyword-only arguments and their defaults are the parameters that exist.
    given : mapping of str to float
        The values asked for.
    ranges : mapping of str to (low, high, closed)
        Allowed interval by parameter name, as for `check_number`; any finite number if absent.
    """
    known = _keyword_only(function)
    for name in given:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ValueError(f"{owner} has no parameter {name!r}: {takes}")
    bound = []
    for name, default in known.items():
        value = given.get(name, default)
        if value is inspect.Parameter.empty:
            raise ValueError(f"{owner} needs a value for its parameter {name!r}: pass {name}=...")
        low, high, closed = ranges.get(name, (-math.inf, math.inf, "both"))
        bound.append((name, check_number(f"{name} of {owner}", value, low, high, closed=closed)))
    return tuple(bound)


def _keyword_only(function: Callable[..., Any]) -> dict[str, Any]:
    """Names and defaults of the keyword-only arguments of a function."""
    try:
        arguments = inspect.signature(function).parameters.values()
    except ValueError:
        return {}  # a compiled function that does not say what it takes
    return {p.name: p.default for p in arguments if p.kind is p.KEYWORD_ONLY}


def name_of(function: Callable[..., Any]) -> str:
    """Return a readable name for a user's callable."""
    return str(getattr(function, "__name__", type(function).__name__))


def check_arguments(
    function: Any, arguments: tuple[str, ...], role: str, named: Iterable[str] = ()
) -> None:
    """Refuse a function that cannot be called with some arguments; None is none.

    Parameters
    ----------
    function : callable or None
    arguments : tuple of str
        The positional ones.
    role : str
        What the function is, for the message.
    named : iterable of str
        Keyword-only arguments that it gets too.
    """
    if function is None:
        return
    takes_others = type(function).__name__ == "ufunc"  # NumPy's second argument is its result
    try:
        _signature(function).bind(*arguments, **dict.fromkeys(named))
    except TypeError:
        takes_others = True
    except ValueError:
        pass  # a compiled function that does not say what it takes
    if takes_others:
        where = ", where xp is the namespace of the arrays" if "xp" in arguments else ""
        raise ValueError(
            f"{role} cannot be called with ({', '.join(arguments)}): pass a function that takes "
            f"these{where}"
        )


def _signature(function: Any) -> inspect.Signature:
    """What a function takes; of a module of PyTorch, what its forward does."""
    told = inspect.signature(function)
    anything = any(p.kind is p.VAR_POSITIONAL for p in told.parameters.values())
    return (
        inspect.signature(function.forward) if anything and hasattr(function, "forward") else told
    )


@dataclass(frozen=True)
class TableEntry:
    """What losses, initializers and schedules share: a named function with checked parameters.

    A subclass says what it is called, which arguments its functions take first, and in which
    interval each parameter lies; it declares the field `params`, a tuple of (name, value).
    """

    kind: ClassVar[str]
    signature: ClassVar[str]
    ranges: ClassVar[Mapping[str, Interval]]

    name: str
    function: Callable[..., Any] = dataclasses.field(repr=False)  # its address says nothing

    def __post_init__(self) -> None:
        """Check name and function, and fill in the parameters."""
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(
                f"the name of a {self.kind} is {self.name!r}, expected a string: give it one"
            )
        if not callable(self.function):
            raise ValueError(
                f"the function of {self.kind} {self.name!r} is {self.function!r}, expected a "
                f"function {self.signature}: pass one"
            )
        owner, params = f"{self.kind} {self.name!r}", dict(getattr(self, "params", ()))
        arguments = tuple(self.signature.partition("(")[2].partition(")")[0].split(", "))
        check_arguments(self.function, arguments, owner, _keyword_only(self.function))
        object.__setattr__(self, "params", bind_params(owner, self.function, params, self.ranges))

    @classmethod
    def resolve(cls, table: Mapping[str, Self], spec: Any, given: Mapping[str, Any]) -> Self:
        """Return what a name, an entry or a user's function stands for, with parameters `given`."""
        if isinstance(spec, str):
            entry: Any = lookup(table, spec, cls.kind)
        elif isinstance(spec, cls):
            entry = spec
        elif callable(spec) and not isinstance(spec, type):
            own: Any = cls
            return cast(Self, own(name_of(spec), spec, params=tuple(given.items())))
        else:
            raise ValueError(
                f"{cls.kind} is {spec!r}, expected a name ({', '.join(table)}), a {cls.__name__} "
                f"or a function {cls.signature}: pass one of them"
            )
        known = dict(entry.params)
        if all(type(v) is float and known.get(name) == v for name, v in given.items()):
            return cast(Self, entry)
        merged = {**known, **given}
        return cast(Self, dataclasses.replace(entry, params=tuple(merged.items())))
