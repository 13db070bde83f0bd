"""JSON as columns of text: records in a list or in lines, or an object of columns."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xpnn.tables.columns import TableError

_NAMES = (".json", ".jsonl", ".ndjson")
_BEGINS = re.compile(r'\s*+(\[\s*+)?\{\s*+"')
_TRUTH = {True: "true", False: "false"}
# Numbers stay as they are written: 1.10 may be a class.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def read_json(text: str, source: str, suffix: str) -> tuple[dict[str, list[str]], list[str]] | None:
    r"""Columns of text, empty where a record has no value, and notes on what was decided.

    Parameters
    ----------
    suffix : str
        The file's, such as ``.jsonl``.

    Returns
    -------
    (dict of str to list of str, list of str) or None
        None for other text.

    Examples
    --------
    >>> read_json('{"size": 1.50, "kind": "x"}\n{"size": null, "new": true}\n', "t.jsonl", "")
    ({'size': ['1.50', ''], 'kind': ['x', ''], 'new': ['', 'true']}, [])
    """
    named = suffix in _NAMES and text.lstrip()[:1] in ("[", "{")
    if not named and not _BEGINS.match(text):
        return None
    found, notes = list(_values(text, source)), list[str]()
    content = found[0] if len(found) == 1 else found
    if isinstance(content, dict):
        content, notes = _of_object(content)
    if not (isinstance(content, list) and all(isinstance(row, dict) for row in content)):
        raise TableError(
            f"{source} is JSON, but no table: write a list of objects, one for each row, such as "
            '[{"size": 1.5, "kind": "x"}], or an object in each line.'
        )
    names = dict.fromkeys(name for row in content for name in row)
    return _columns({name: [row.get(name) for row in content] for name in names}, notes, source)


def _values(text: str, source: str) -> Iterator[Any]:
    """The values that stand one behind the other: one, or one in each line."""
    place, space = 0, re.compile(r"\s*")
    while (place := space.match(text, place).end()) < len(text):  # type: ignore[union-attr]
        try:
            value, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            at = getattr(error, "pos", place)
            line, what = text.count("\n", 0, at) + 1, getattr(error, "msg", "too deep")
            raise TableError(
                f"{source} is damaged JSON, line {line}: {what}; write it anew."
            ) from error
        yield value


def _of_object(content: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The records of one object: those in it, its columns side by side, or itself."""
    lists = {name: v for name, v in content.items() if isinstance(v, list) and v}
    inner = [n for n, v in lists.items() if all(isinstance(row, dict) for row in v)]
    if len(inner) == 1:
        return content[inner[0]], [f"JSON: the rows stand in {inner[0]!r}"]
    columns = list(content.values())
    if len(lists) == len(content) and len({*map(len, columns)}) == 1:
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)], []
    if columns and all(isinstance(c, dict) and list(c) == list(columns[0]) for c in columns):
        rows = zip(*(c.values() for c in columns), strict=True)  # as pandas writes a frame
        return [dict(zip(content, row, strict=True)) for row in rows], []
    return [content], []


def _columns(
    given: Mapping[str, Sequence[Any]], notes: list[str], source: str
) -> tuple[dict[str, list[str]], list[str]]:
    """Values as text; columns of lists and objects are left out."""
    columns = dict[str, list[str]]()
    for name, values in given.items():
        nested = next((v for v in values if isinstance(v, list | dict)), None)
        if nested is None:
            columns[name] = list(map(_text, values))
            continue
        what = "lists" if isinstance(nested, list) else "objects"
        notes.append(f"left out {name!r}: it holds {what}; take their values apart into columns")
    if given and not columns:
        raise TableError(f"{source} has no column of plain values: {'; '.join(notes)}.")
    return columns, notes


def _text(value: Any) -> str:
    return "" if value is None else _TRUTH[value] if isinstance(value, bool) else value
