"""What a table asks: features, target and task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from xpnn._text import in_a_line
from xpnn.tables.columns import Columns, TableError
from xpnn.tables.foot import total_below
from xpnn.tables.frames import Frame
from xpnn.tables.ids import is_row_name, numbers_the_rows
from xpnn.tables.numerals import decimal_of
from xpnn.tables.read import Table
from xpnn.tables.targets import read_target, word_among_numbers
from xpnn.tables.values import Parsed, parse_as, parse_column

TARGETS = ("target", "label", "class", "y")
"""Names that are taken for the target when none is given; else it is the last column."""

_MANY = 30  # different words from which on numbers among them are told


class Target(NamedTuple):
    """What is predicted."""

    name: str
    task: str


@dataclass(frozen=True)
class Problem:
    """A table taken apart: what is known, what is to be predicted, and what was left out."""

    parsed: Mapping[str, Parsed]  # the features as they were read, with what `parse_as` needs
    y: np.ndarray
    """Float64, of shape (n, n_targets) where several were named; for classification the labels as
    written: str, or int64 where that is the same."""
    target: Target  # its name is that of the first of several
    notices: tuple[str, ...]  # what was decided, to be shown
    present: np.ndarray = field(default_factory=lambda: np.ones(0, dtype=bool), repr=False)
    """Of all rows of the table those that have a target, and so are here."""
    targets: tuple[str, ...] = ()
    """The names of several targets; empty where there is one."""

    @property
    def target_names(self) -> tuple[str, ...]:
        """Of the one target, or of several."""
        return self.targets or (self.target.name,)

    @property
    def columns(self) -> Columns:
        """The features: float64, datetime64[us], or objects that are str or None."""
        return {name: parsed.values for name, parsed in self.parsed.items()}

    def frame(self, rows: np.ndarray) -> Frame:
        """Some rows of the features, for a tabular estimator."""
        parsed = {n: replace(p, values=p.values[rows]) for n, p in self.parsed.items()}
        return Frame({n: p.values for n, p in parsed.items()}, parsed=parsed)


def make_problem(
    table: Table,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    drop: Sequence[str] = (),
) -> Problem:
    """Tell features, target and task of a table.

    Without `task`, words are classification; whole numbers are so where they are few and look
    like labels, and a notice says why. Rows without a target are left out.

    Parameters
    ----------
    target : str or sequence of str, default=None
        Its name; None takes the table's own, else the first of `TARGETS`, else the last column.
        Several are numbers, learned by one network.
    task : {"classification", "regression"}, default=None
    drop : sequence of str
        Columns to leave out.

    Examples
    --------
    >>> from xpnn.tables.read import read_table
    >>> problem = make_problem(read_table("diabetes"))
    >>> problem.target.task, problem.y.dtype, len(problem.columns)
    ('regression', dtype('float64'), 10)
    """
    targets = [target] if isinstance(target, str) else list(dict.fromkeys(target or ()))
    for name in (*targets, *drop):
        if name not in table.columns:
            raise table.lacking(name)
    if len(table.columns) == 1:
        only = in_a_line(next(iter(table.columns)), 60)
        raise TableError(
            f"{table.name} has one column, {only!r}, and nothing to predict it from; if values "
            "stand in it side by side, name with --sep what is between them."
        )
    notices = list(table.notes)
    targets = targets or [default_target(table, drop)]
    if dropped := [name for name in targets if name in drop]:
        raise TableError(f"The target {dropped[0]!r} cannot be dropped; name another --target.")
    y, present, task, told = _read_targets(table, targets, task)
    notices += told
    target = targets[0]
    if not present.all():
        left = int((~present).sum())
        rows = "row" if left == 1 else "rows"
        notices.append(f"left out {left:,} {rows} without {' or '.join(map(repr, targets))}")
    features = [n for n in table.columns if n not in targets and n not in drop]
    read = _parse_all(table, features)
    total, told = total_below(table.columns, read)
    notices += told
    if total:
        present = present & (np.arange(table.n_rows) < table.n_rows - 1)
    parsed = _useful(read, notices)
    if not parsed:
        why = "; ".join(notices)
        raise TableError(
            f"{table.name} has no columns to predict {target!r} from"
            + (f": {why}." if why else ".")
        )
    notices += [] if table.target else _always_the_same(parsed)  # of bundled data none
    if not present.all():
        parsed = {n: Parsed(p.values[present], p.kind, p.style, p.notes) for n, p in parsed.items()}
    about = Target(target, task), tuple(notices), present
    return Problem(parsed, y[present], *about, tuple(targets) if len(targets) > 1 else ())


def read_alike(problem: Problem, table: Table) -> Problem:
    """Another table's rows, read as those of a problem were.

    Parameters
    ----------
    table : Table
        Rows without a target are left out.

    Examples
    --------
    >>> from xpnn.tables.read import read_table
    >>> iris = read_table("iris")
    >>> read_alike(make_problem(iris), iris).y.shape
    (150,)
    """
    name, task = problem.target.name, problem.target.task
    for column in (*problem.target_names, *problem.parsed):
        if column not in table.columns:
            raise table.lacking(column)
    y, present, _, _ = _read_targets(table, problem.target_names, task, learned=False)
    spelled = [n for n, p in problem.parsed.items() if p.kind == "words" or p.style]
    given, parsed = table.with_text(spelled), {}
    for column, as_before in problem.parsed.items():
        style = table.as_named(as_before.style)
        values = parse_as(given[column], as_before.kind, style, column)
        parsed[column] = replace(as_before, values=values[present])
    y = y[present]
    if y.dtype.kind != problem.y.dtype.kind:  # labels are text in one of the tables
        y = y.astype(str)
        if problem.y.dtype.kind == "i":
            raise TableError(
                f"The target {name!r} of {table.name} has labels such as {y[0]!r}, and in training "
                "they were whole numbers; write them as there."
            )
    return replace(problem, parsed=parsed, y=y, present=present)


def _read_targets(
    table: Table, names: Sequence[str], task: str | None, learned: bool = True
) -> tuple[np.ndarray, np.ndarray, str, list[str]]:
    """As `read_target`; several are numbers, and a row has all of them or is left out."""
    if len(names) == 1:
        known = table.task if names[0] == table.target else None
        return read_target(table, names[0], task or known, learned=learned)
    if task == "classification":
        raise TableError("Several targets are learned as numbers; name one --target for classes.")
    read = [read_target(table, name, "regression", alone=False, learned=learned) for name in names]
    y = np.stack([values for values, *_ in read], axis=1)
    present = np.logical_and.reduce([there for _, there, *_ in read])
    if not present.any():
        listed = ", ".join(map(repr, names))
        raise TableError(f"No row has all of the targets {listed}; name fewer by --target.")
    return y, present, "regression", [note for *_, notes in read for note in notes]


def default_target(table: Table, drop: Sequence[str]) -> str:
    """The table's own, else one of a known name, an exact one first, else the last of use."""
    if table.target is not None:
        return table.target
    names = list(table.columns)
    for known in TARGETS:
        found = [n for n in names if n.lower() == known]
        if found:
            return known if known in found else found[0]
    useful = (n for n in reversed(names) if n not in drop and not is_row_name(n))
    return next(useful, names[-1])


def _parse_all(table: Table, names: Sequence[str]) -> dict[str, Parsed]:
    """Columns as read; beside a decimal comma, 1.234 is 1234, and 1,234 is little more than 1."""
    parsed = {
        n: table.parsed(n)
        if n not in table.categories
        else Parsed(parse_as(table.text(n), "words", {}, n), "words")
        for n in names
    }
    styles = [p.style.get("decimal") for p in parsed.values()]
    if table.decimal is None and "," in styles:
        for name, found in parsed.items():
            if found.kind == "numeric" and "decimal" not in found.style and name in table.texts:
                again = parse_column(table.text(name), decimal=",")
                texts = [v or "" for v in table.text(name)]
                points, several = any("." in v for v in texts), any(v.count(",") > 1 for v in texts)
                commas = found.style.get("grouped") and not (points or several)
                sure = decimal_of(texts, ",") == "."  # 0.123 groups nothing
                if commas or (points and again.style.get("grouped") and not sure):
                    parsed[name] = again
    return parsed


def _useful(parsed: Mapping[str, Parsed], notices: list[str]) -> dict[str, Parsed]:
    """Without row numbers, ids and empty columns; what was decided in reading is told."""
    kept = {}
    for name, column in parsed.items():
        values = column.values
        if column.kind == "words":
            known = [v for v in values if v is not None]
            different = len(set(known))
            if not known:
                notices.append(f"left out {name!r}: it is empty")
                continue
            if different > max(10, len(known) / 2):
                notices.append(f"left out {name!r}: {_too_many(known, different)}")
                continue
            if different > _MANY and (told := word_among_numbers(list(dict.fromkeys(known)))):
                notices.append(f"{name!r}: {told}; until then they are words")
        elif np.isnan(values).all():
            notices.append(f"left out {name!r}: it is empty")
            continue
        elif column.kind == "numeric" and numbers_the_rows(values, name):
            notices.append(f"left out {name!r}: it numbers the rows")
            continue
        notices += [f"{name!r}: {note}" for note in column.notes]
        kept[name] = column
    return kept


def _always_the_same(parsed: Mapping[str, Parsed]) -> list[str]:
    """A note on columns of one value, which an estimator leaves out."""
    names = [name for name, p in parsed.items() if len(p.values) > 1 and _is_one(p.values)]
    if not names:
        return []
    shown = ", ".join(map(repr, names[:5])) + (" and others" if len(names) > 5 else "")
    return [f"left out {shown}: always the same"]


def _is_one(values: np.ndarray) -> bool:
    return values[0] is not None and bool((values == values[0]).all())


def _too_many(known: Sequence[str], different: int) -> str:
    """Why words are left out; of what are numbers in the main, what is none."""
    some = f"{different:,} different texts, such as {in_a_line(known[0])!r} (an id?)"
    return word_among_numbers(known) or some
