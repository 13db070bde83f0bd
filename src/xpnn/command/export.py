"""Models for other programs and languages."""

from collections.abc import Iterator
from pathlib import Path

from xpnn.estimators import load
from xpnn.exchange import to_c, to_onnx


def write(model: Path, out: Path, name: str = "xpnn") -> Iterator[str]:
    """Write a model file as ONNX or as C.

    Parameters
    ----------
    model : Path
        A model file, or the folder that has it.
    out : Path
        Its suffix tells the form: ``.onnx`` or ``.c``.
    name : str, default="xpnn"
        What names in C begin with.

    Yields
    ------
    str
        Lines that say what was written and what it takes and gives.
    """
    if out.suffix not in (".onnx", ".c"):
        raise ValueError(f"{out} ends in {out.suffix or 'nothing'!r}, expected NAME.onnx or NAME.c")
    estimator = load(model)
    if out.suffix == ".c":
        to_c(estimator, out, name=name)
        yield f"wrote   {out}"
        return
    graph = to_onnx(estimator, out).graph
    for value in graph.input:
        yield f"input   {value.name}{': ' if value.doc_string else ''}{value.doc_string}"
    yield f"output  {', '.join(value.name for value in graph.output)}"
    yield f"wrote   {out}"
