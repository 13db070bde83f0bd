"""Tables of text for a terminal."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xpnn._text import in_a_line, table
from xpnn.command.scores import shown
from xpnn.command.train import Report

_MOST_CLASSES, _MOST_COLUMNS = 12, 60


def result(report: Report, model: Path | None = None) -> str:
    """What came of a training: scores beside those of knowing nothing, and the run.

    Parameters
    ----------
    model : Path, default=None
        The file that was written.
    """
    scores: list[tuple[str, ...]] = [("", "test", "out of fold", "baseline")]
    for name, value in report.test.items():
        others = (report.validation.get(name), report.baseline.get(name))
        known = ("" if v is None else shown(name, v) for v in others)
        scores.append((name, shown(name, value), *known))
    size = f"{report.parameters:,} parameters"
    if model is not None:
        size += f", {model.stat().st_size / 1000:,.0f} kB"
    about = [
        ("rows", ", ".join(f"{n:,} {part}" for part, n in report.rows.items())),
        ("epochs", str(report.epochs)),
        ("time", f"{report.seconds:.1f} s"),
        ("model", size),
    ]
    parts = [table(scores, ruled=True), *confusion(report), table(about)]
    return "\n\n".join([*parts, *(f"note    {note}" for note in report.notes)])


def confusion(report: Report) -> Iterator[str]:
    """True classes as rows, predicted ones as columns, where these are few."""
    if report.confusion is None or report.classes is None or len(report.classes) > _MOST_CLASSES:
        return
    names = [in_a_line(str(c)) for c in report.classes]
    rows = [("true / predicted", *names)]
    for name, counts in zip(names, report.confusion, strict=True):
        rows.append((name, *(str(n) if n else "." for n in counts)))
    yield table(rows, ruled=True)


def importances(found: Mapping[str, tuple[float, float]]) -> str:
    """Columns with what the loss rises by without them, and what that is."""
    rows = [("column", "importance", "spread")]
    for name, pair in list(found.items())[:_MOST_COLUMNS]:
        mean, spread = (f"{v:.4f}".replace("-0.0000", "0.0000") for v in pair)
        rows.append((name, mean, spread))
    left = len(found) - _MOST_COLUMNS
    more = f"\nand {left:,} more" if left > 0 else ""
    told = "importance: how much the loss rises when a column's values are mixed among the rows"
    return f"{table(rows, ruled=True)}{more}\n\n{told}"


def importances_csv(found: Mapping[str, tuple[float, float]]) -> str:
    """The same of all columns, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("column", "importance", "spread"))
    writer.writerows((name, *(f"{v:.7g}" for v in pair)) for name, pair in found.items())
    return text.getvalue()


def comparison(results: Mapping[str, tuple[Mapping[str, float], float]]) -> str:
    """Contestants with their scores and times."""
    first: Any = next(iter(results.values()))[0]
    rows = [("", *first, "seconds")]
    for name, (scores, seconds) in results.items():
        rows.append((name, *(shown(k, scores[k]) if k in scores else "" for k in first),
                     f"{seconds:.1f}"))  # fmt: skip
    return table(rows, ruled=True)
