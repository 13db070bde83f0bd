"""What a file holds, told by its header alone."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xpnn._text import table
from xpnn.files.record import CHECKPOINT, MALFORMED, Contents, damaged, read_contents
from xpnn.model.network import Network

_SHOWN = 12  # columns, classes and parameters


def describe(path: Path) -> str:
    """Lines on a model file or a checkpoint, whose arrays are not read.

    Raises
    ------
    ModelFileError
        When it is neither, or its header is damaged.
    """
    contents = read_contents(path)
    try:
        of = _checkpoint if contents.kind is CHECKPOINT else _model
        lines = [*_file(path, contents), *of(contents.header)]
        size = sum(math.prod(shape) for _, shape in contents.arrays.values())
        lines.append(("arrays", f"{len(contents.arrays)} with {size:,} numbers; not looked at"))
        text = table(lines)
        network = _network(contents.header)
    except MALFORMED as error:
        raise damaged(path, error) from error
    return text if network is None else f"{text}\n\n{network.summary()}"


def _file(path: Path, contents: Contents) -> Iterator[tuple[str, str]]:
    size, kind = path.stat().st_size, contents.kind
    yield "file", f"{path}, {size / 1000:,.1f} kB"
    written = f"xpnn {contents.header.get('xpnn', 'of an unknown version')}"
    yield "format", f"{kind.what}, version {contents.version}, written by {written}"


def _model(header: dict[str, Any]) -> Iterator[tuple[str, str]]:
    record = header["estimator"]
    known = record["attributes"]
    yield "model", f"{header['class']}, {record.get('dtype', 'of its weights')}"
    names = known.get("feature_names_in_", known.get("_columns"))
    named = "" if names is None else f": {_few(list(names))}"
    yield "inputs", f"{known['n_features_in_']}{named}"
    if "labels" in record:
        classes = list(record["labels"]["classes"])
        yield "classes", f"{len(classes)}: {_few(classes)}"
    if "target_name_" in known:
        yield "target", str(known["target_name_"])
    history = record.get("state", {}).get("history") or known.get("history_") or {}
    if history.get("loss"):
        yield "learned", f"{len(history['loss'])} epochs, loss {history['loss'][-1]:.4g}"
    if "validation_score_" in known:
        yield "score", f"{known['validation_score_']:.4g} out of fold"
    given = [f"{k}={v!r}" for k, v in record["params"].items() if v is not None]
    yield "given", _few(given)


def _checkpoint(header: dict[str, Any]) -> Iterator[tuple[str, str]]:
    about = header["about"]
    yield "of", f"the training of a {about['estimator']}"
    if "state" in header and "run" in header:
        state, run = header["state"], header["run"]
        done = state["epoch"] - run["first"][1]
        yield "at", f"{done} whole epochs and {run['at']} steps of the next"
        yield "how", {"finished": "goes on"}.get(run["settled"], run["settled"])
    for name in ("X", "y", "sample_weight"):
        if isinstance(about.get(name), dict):
            yield name, f"{about[name]['shape']}, sha256 {about[name]['sha256'][:16]}"


def _network(header: dict[str, Any]) -> Network | None:
    found = header.get("estimator", {}).get("network")
    return None if found is None else Network.from_dict(found)


def _few(values: list[Any]) -> str:
    shown = ", ".join(str(v) for v in values[:_SHOWN])
    left = len(values) - _SHOWN
    return f"{shown} and {left:,} more" if left > 0 else shown
