"""Whether what a model file says of a table's columns can be: told when it is opened."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from xpnn.tables.dates import ORDERS
from xpnn.tables.kinds import DATE_PARTS

_STYLE: dict[str, Callable[[Any], bool]] = {
    "decimal": lambda v: v in (".", ","),
    "marks": lambda v: _all_are(str, v),
    "unit": lambda v: isinstance(v, str),
    "grouped": lambda v: isinstance(v, bool),
    "multiples": lambda v: isinstance(v, bool),
    "gaps": lambda v: _all_are(str, v),
    "strays": lambda v: isinstance(v, bool),
    "sentinels": lambda v: _all_are(float, v),
    "form": lambda v: v in ("time", "lap"),
    "months": lambda v: v in ("", "mM"),
    "order": lambda v: v in ORDERS,
    "zone": lambda v: isinstance(v, bool),
}


def check_style(style: Any) -> None:
    """Raise a ValueError unless this is a style of `xpnn.tables.values.parse_as`."""
    if not isinstance(style, dict):
        raise ValueError(f"the style of a column is {style!r}")
    for name, value in style.items():
        if name not in _STYLE or not _STYLE[name](value):
            raise ValueError(f"the style of a column has {name!r}: {value!r}")


def check_column(values: dict[str, Any]) -> None:
    """Raise a ValueError unless these are the fields of Numbers, Dates or Words."""
    name = values["name"]
    if not isinstance(name, str) or not isinstance(values["flag"], bool):
        raise ValueError(f"a column is named {name!r}, its flag is {values['flag']!r}")
    check_style(values["style"])
    edges, counts = values.get("edges", ()), values.get("counts", {})
    rising = _all_are(float, edges) and all(a < b for a, b in pairwise(edges))
    if not rising or not all(map(math.isfinite, edges)):
        raise ValueError(f"the column {name!r} has the edges {edges!r}")
    for low, high, members in values.get("steps", ()):
        there = isinstance(members, tuple) and all(type(m) is int and m >= 0 for m in members)
        if not (there and members and _all_are(float, (low, high)) and 0 < high - low < math.inf):
            raise ValueError(f"the column {name!r} has the step {(low, high, members)!r}")
    words = values.get("categories", ())
    if not _all_are(str, words) or len(set(words)) < len(words):
        raise ValueError(f"the column {name!r} has the words {words!r}")
    if not isinstance(counts, dict) or not _all_are(str, list(counts)):
        raise ValueError(f"the column {name!r} has the counts {counts!r}")
    if not all(type(n) is int and 0 <= n < 2**53 for n in counts.values()):
        raise ValueError(f"the column {name!r} has the counts {counts!r}")
    if not set(values.get("parts", ())) <= set(DATE_PARTS):
        raise ValueError(f"the column {name!r} has the parts {list(values['parts'])}")


def _all_are(kind: type, values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(v, kind) for v in values)
