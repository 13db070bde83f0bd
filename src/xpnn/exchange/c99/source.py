"""A file of C as it grows: constants, helpers that are used, functions."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

_KEYWORDS = frozenset((
    *("auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else"),
    *("enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register"),
    *("restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef"),
    *("union", "unsigned", "void", "volatile", "while", "bool", "true", "false", "class", "new"),
    *("delete", "this", "template", "typename", "public", "private", "protected", "operator"),
    *("namespace", "using", "virtual", "friend", "try", "catch", "throw"),
))  # fmt: skip
_NUMBERS_A_LINE, _TEXTS_A_LINE = 8, 6


class Source:
    """Collects the parts of a file.

    Parameters
    ----------
    helpers : dict of str to str
        Functions that may be used, by name; each may name others that stand before it.
    """

    def __init__(self, helpers: dict[str, str]) -> None:
        self._helpers, self._used = helpers, set[str]()
        self.constants: list[str] = []
        self.functions: list[str] = []

    def use(self, name: str) -> str:
        """A helper's name, which from now on is part of the file, as are those that it calls."""
        if name not in self._used:
            self._used.add(name)
            for other in self._helpers:
                if other != name and re.search(rf"\b{other}\(", self._helpers[name]):
                    self.use(other)
        return name

    def array(self, name: str, values: Any, kind: str = "float", *, public: bool = False) -> str:
        """A constant array of numbers."""
        flat = np.asarray(values).ravel()
        texts = [number(v, kind) for v in flat.tolist()]
        how = "" if public else "static "
        return self._constant(f"{kind} {name}[{len(texts)}]", texts, _NUMBERS_A_LINE, how)

    def texts(self, name: str, values: Iterable[str], *, public: bool = False) -> str:
        """A constant array of texts, in UTF-8."""
        quoted = [quote(v) for v in values]
        of = f"char *const {name}[{len(quoted)}]"
        return self._constant(of, quoted, _TEXTS_A_LINE, "" if public else "static ")

    def _constant(self, of: str, items: list[str], width: int, how: str = "static ") -> str:
        rows = [", ".join(items[i : i + width]) for i in range(0, len(items), width)]
        body = ",\n    ".join(rows)
        self.constants.append(f"{how}const {of} = {{\n    {body}}};\n")
        return of.partition("[")[0].rpartition(" ")[2]

    def text(self, head: str) -> str:
        """The whole file."""
        helpers = [text for name, text in self._helpers.items() if name in self._used]
        return "\n".join([head, *self.constants, *helpers, *self.functions])


def number(value: float, kind: str = "float") -> str:
    """A number as C writes it, exact.

    Examples
    --------
    >>> number(0.1), number(1.0, "double"), number(3, "long long")
    ('0.1f', '1.0', '3')
    """
    if kind == "long long":
        return str(int(value))
    text = str(np.float32(value)) if kind == "float" else repr(float(value))
    text = text if re.search(r"[.e]", text) else f"{text}.0"
    return f"{text}f" if kind == "float" else text


def quote(text: str) -> str:
    r"""A text as C writes it: UTF-8, all but plain letters as octal numbers.

    Examples
    --------
    >>> print(quote('a"b'), quote("ä"))
    "a\042b" "\303\244"
    """
    plain = (
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()
    )
    return '"' + "".join(plain) + '"'


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Names that C takes, each one different.

    Examples
    --------
    >>> identifiers(["age", "2nd", "a b", "a_b", "int"])
    {'age': 'age', '2nd': 'c_2nd', 'a b': 'a_b', 'a_b': 'a_b_2', 'int': 'c_int'}
    """
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        plain = (
            f"c_{plain}" if plain[0].isdigit() or plain[0] == "_" or plain in _KEYWORDS else plain
        )
        free, count = plain, 1
        while free in found.values():
            count += 1
            free = f"{plain}_{count}"
        found[name] = free
    return found


def comment(text: str) -> str:
    """A text that is safe inside of a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\n", " ")
