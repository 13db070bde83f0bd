"""What is predicted: labels as they were written, or numbers; and which of the two."""

import re
from collections.abc import Sequence

import numpy as np

from xpnn._text import in_a_line
from xpnn.arrays.numeric import places
from xpnn.tables.columns import TableError
from xpnn.tables.gaps import GAPS
from xpnn.tables.numerals import find_style, read_numbers
from xpnn.tables.read import Table
from xpnn.tables.values import Parsed, differ_in_capitals, different_texts, parse_column

_MOST_LABELS = 10
_AMOUNTS = frozenset((
    *("age", "amount", "cost", "count", "counts", "days", "duration", "hours", "income"),
    *("minutes", "months", "number", "num", "population", "price", "quantity", "qty", "salary"),
    *("sales", "sold", "sum", "time", "total", "units", "visits", "weeks", "year", "years"),
))  # fmt: skip
_LABELS = frozenset((
    *("category", "class", "cluster", "code", "color", "colour", "group", "kind", "label"),
    *("segment", "species", "status", "type"),
))  # fmt: skip
_BINS = frozenset(("range", "band", "bracket", "tier"))  # numbered, where their names are amounts'


def read_target(
    table: Table, name: str, task: str | None = None, *, alone: bool = True, learned: bool = True
) -> tuple[np.ndarray, np.ndarray, str, list[str]]:
    """Read a table's target.

    Parameters
    ----------
    task : {"classification", "regression"}, default=None
        None tells it by the values.
    alone : bool, default=True
        Whether it is the only target; several are numbers.
    learned : bool, default=True
        Whether it is to be learned, for which it must differ; of rows to test it need not.

    Returns
    -------
    y : ndarray of shape (n,)
        float64; for classification labels as written: str, or int64 where that is the same.
    present : ndarray of bool, shape (n,)
        Which rows have a target; `y` means nothing in the others.
    task : str
    notes : list of str
        What was decided.

    Examples
    --------
    >>> table = Table("t", {"code": np.array(["01", "02", "01"], dtype=object)})
    >>> y, present, task, notes = read_target(table, "code")
    >>> y.tolist(), task
    (['01', '02', '01'], 'classification')
    """
    parsed = table.parsed(name)
    if parsed.kind == "datetime" and task != "classification":
        raise TableError(
            f"The target {name!r} holds dates; write it as a number, such as days from a first "
            f"one, or name another --target."
        )
    numeric = parsed.kind == "numeric" and not _is_truth(table, name)
    if task == "regression" and not numeric and parsed.kind != "numeric":
        raise TableError(_no_numbers(table, name, alone))
    if numeric and task is None and name not in table.categories:
        task, why = _tell_task(parsed, name)
        notes = [why] if why else []
    else:
        task, notes = task or "classification", []
    if task == "regression":
        notes = [f"{name!r}: {note}" for note in parsed.notes] + notes
        present = ~np.isnan(parsed.values)
        if not present.any():
            raise TableError(f"The target {name!r} has no values; name another --target.")
        known = parsed.values[present]
        if learned and len(known) > 1 and (known == known[0]).all():
            raise _nothing_to_learn(name, f"{known[0]:.7g}")
        return parsed.values, present, task, notes
    y, present, more = _labels(table, name, parsed, learned)
    return y, present, task, notes + more


def _is_truth(table: Table, name: str) -> bool:
    """Whether a target is written as true and false."""
    column = table.columns[name]
    if column.dtype != object and len(np.unique(column[~np.isnan(column)])) > 2:
        return False
    texts, _ = different_texts(table.text(name))
    known = {t.lower() for t in texts} - GAPS
    return bool(known) and known <= {"true", "false"}


def _no_numbers(table: Table, name: str, alone: bool) -> str:
    texts, codes = different_texts(table.text(name))
    numbers = parse_column(np.array(texts, dtype=object))
    words = [t for t in texts if parse_column(np.array([t], dtype=object)).kind != "numeric"]
    row = int(np.flatnonzero(codes == texts.index(words[0]))[0]) + 1 if words else 1
    few = len(texts) <= max(10, len(codes) / 2) and numbers.kind == "words"
    cure = "Try --task classification or another --target" if few else "Name another --target"
    if not alone:
        cure = "Several targets are numbers; name another --target" + (", or this alone" * few)
    shown = f"({words[0]!r} in row {row:,})" if words else ""
    return f"The target {name!r} is not numeric {shown}; regression needs numbers. {cure}."


def _tell_task(parsed: Parsed, name: str) -> tuple[str, str]:
    """Classification or regression for a target of numbers, and why where it is a judgement."""
    values = parsed.values[~np.isnan(parsed.values)]
    whole = bool((values == np.round(values)).all())
    different = np.unique(values)
    n = len(different)
    if not whole or n > 20:
        return "regression", ""
    if n <= 2:
        return "classification", ""
    if {"marks", "grouped", "unit", "multiples", "form"} & set(parsed.style):
        why = f"target {name!r} has {n} different amounts, as they are written"
        return "regression", f"{why}; --task classification takes them as classes"
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    many = f"target {name!r} has {n} different whole numbers"
    as_classes = f"{many}, taken as classes; --task regression takes them as amounts"
    if n * 5 > len(values):
        why = f"{many} in {len(values):,} rows"
    elif words & _LABELS or (words & _BINS and different[-1] - different[0] < n):
        return "classification", as_classes
    elif different[0] >= 1800 and different[-1] <= 2100:
        why = f"{many} that look like years"
    elif words & _AMOUNTS:
        why = f"{many}, and by its name it is an amount"
    elif n > _MOST_LABELS:
        why = f"{many}, more than {_MOST_LABELS}"
    else:
        return "classification", as_classes
    return "regression", f"{why}: taken as amounts; --task classification takes them as classes"


def _labels(
    table: Table, name: str, parsed: Parsed, learned: bool
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels as written; whole numbers as such where their spelling is that of int."""
    texts, codes = different_texts(table.text(name))
    counts = np.bincount(places(codes[codes >= 0]), minlength=len(texts))
    if parsed.kind == "words":
        gap, notes = _gaps_among_words(texts, counts, name)
        present = (codes >= 0) & ~np.append(gap, True)[codes]
        if len(texts) > _MOST_LABELS and (stray := word_among_numbers(texts)):
            notes.append(f"{name!r}: {stray}; until then they are classes")
    else:
        present = (codes >= 0) & ~np.isnan(parsed.values)
        notes = [f"{name!r}: {note}" for note in parsed.notes if "missing" in note]
    used = np.bincount(places(codes[present]), minlength=len(texts)) > 0
    known = [t for t, u in zip(texts, used, strict=True) if u]
    if learned or not known:
        _check_classes(name, known, int(present.sum()), parsed)
    if alike := differ_in_capitals(known):
        notes.append(f"labels of {name!r} differ in capitals alone: {alike}")
    if all(_is_int(t) for t in known):
        whole = [int(t) if u else 0 for t, u in zip(texts, used, strict=True)]
        return np.array([*whole, 0])[codes], present, notes
    return np.array([*texts, ""], dtype=str)[codes], present, notes


def word_among_numbers(texts: Sequence[str]) -> str:
    """What to do with the words of a column whose values are numbers in the main, for people.

    Returns
    -------
    str
        Empty where most are words.

    Examples
    --------
    >>> word_among_numbers(["12", "13", "about 7"])
    "it holds numbers, and texts such as 'about 7': write these as numbers, or say that they are \
gaps with --na"
    """
    some = texts[:: max(1, len(texts) // 1000)]
    values = read_numbers(some, find_style(some))  # 12 Main Street and 7 High Street are none
    strays = [t for t, value in zip(some, values, strict=True) if np.isnan(value)]
    if not strays or 2 * len(strays) > len(some):
        return ""
    return (
        f"it holds numbers, and texts such as {in_a_line(strays[0])!r}: write these as "
        "numbers, or say that they are gaps with --na"
    )


def _nothing_to_learn(name: str, value: str) -> TableError:
    return TableError(
        f"The target {name!r} is always {value}; there is nothing to learn. Name another --target."
    )


def _is_int(text: str) -> bool:
    if not re.fullmatch(r"-?[0-9]{1,19}", text):
        return False
    return abs(int(text)) < 2**63 and str(int(text)) == text


def _gaps_among_words(
    texts: list[str], counts: np.ndarray, name: str
) -> tuple[np.ndarray, list[str]]:
    """NA may be Namibia: a gap's word is a label where it is as common as the others are."""
    gap = np.array([t.lower() in GAPS for t in texts], dtype=bool)
    notes = []
    if gap.any() and not gap.all():
        least = counts[~gap].min()
        for i in np.flatnonzero(gap & (counts >= 2) & (counts >= least / 2)).tolist():
            gap[i] = False
            notes.append(
                f"{texts[i]!r} counts as a class of {name!r}, in {counts[i]:,} rows; "
                f"--na {texts[i]} leaves them out"
            )
    return gap, notes


def _check_classes(name: str, known: list[str], rows: int, parsed: Parsed) -> None:
    if not known:
        raise TableError(f"The target {name!r} has no values; name another --target.")
    if len(known) < 2:
        raise _nothing_to_learn(name, known[0])
    if 2 * len(known) > rows and len(known) > 10:
        cure = "Try --task regression or another" if parsed.kind == "numeric" else "Name another"
        raise TableError(
            f"The target {name!r} has {len(known)} different values in {rows} rows, too many for "
            f"classes. {cure} --target."
        )
