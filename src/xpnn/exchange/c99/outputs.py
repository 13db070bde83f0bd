"""What raw outputs mean, as the functions in C that users call."""

import numpy as np

from xpnn.exchange.c99.layers import add_network
from xpnn.exchange.c99.source import Source, number
from xpnn.exchange.description import ClassOutput, Description, NumberOutput
from xpnn.exchange.labels import label_type


def add_outputs(source: Source, found: Description, name: str, row: str) -> int:
    """The public functions of a model.

    Parameters
    ----------
    name : str
        What their names begin with.
    row : str
        The parameter that a row is.

    Returns
    -------
    int
        Length of `out`.
    """
    what = "x" if found.columns is None else "row"
    lines = []
    if found.columns is not None:
        lines += [f"float x[{found.n_in}];", "inputs(row, x);"]
    if isinstance(found.output, NumberOutput):
        return _numbers(source, found, name, row, lines)
    return _classes(source, found, found.output, name, (row, what), lines)


def _function(source: Source, head: str, lines: list[str], about: str) -> None:
    body = "\n    ".join(lines)
    source.functions.append(f"/* {about} */\n{head}\n{{\n    {body}\n}}\n")


def _numbers(source: Source, found: Description, name: str, row: str, lines: list[str]) -> int:
    output, n = found.output, found.n_out
    assert isinstance(output, NumberOutput)
    add_network(source, found, link=output.link)
    if output.spread is None:
        head = f"void {name}_predict({row}, float *out)"
        _function(source, head, [*lines, "outputs(x, out);"], f"{n} numbers of a row")
        return n
    about = {"spread": output.spread, "center": output.center}
    about |= {"low": output.low, "high": output.high}
    for key, values in about.items():
        source.array(f"target_{key}", np.broadcast_to(np.asarray(values), (n,)), "double")
    if output.log_share is not None:
        lines = [*lines[:1], "float raw[2];", "double value, logarithm;", *lines[1:]]
        lines += ["outputs(x, raw);", *_with_logarithm(output.log_share)]
        _function(source, f"void {name}_predict({row}, double *out)", lines, "1 number of a row")
        return 1
    chosen = range(n) if output.middle is None else [output.middle]
    lines = [*lines[:1], f"float raw[{n}];", "double value;", *lines[1:], "outputs(x, raw);"]
    for to, j in enumerate(chosen):
        lines.append(f"value = raw[{j}] * target_spread[{j}] + target_center[{j}];")
        lines.append(f"value = value < target_low[{j}] ? target_low[{j}] : value;")
        lines.append(f"out[{to}] = value > target_high[{j}] ? target_high[{j}] : value;")
    head = f"void {name}_predict({row}, double *out)"
    _function(source, head, lines, f"{len(chosen)} numbers of a row")
    return len(chosen)


def _with_logarithm(share: float) -> list[str]:
    """One number, of an output as it is, and of one that is its logarithm."""
    within = (
        "{0} = {0} < target_low[{1}] ? target_low[{1}] : {0};",
        ("{0} = {0} > target_high[{1}] ? target_high[{1}] : {0};"),
    )
    return [
        "value = raw[0] * target_spread[0] + target_center[0];",
        "logarithm = raw[1] * target_spread[1] + target_center[1];",
        *(line.format("logarithm", 1) for line in within),
        f"value = {1.0 - share!r} * value + {share!r} * exp(logarithm);",
        *(line.format("value", 0) for line in within),
        "out[0] = value;",
    ]


def _classes(
    source: Source,
    found: Description,
    output: ClassOutput,
    name: str,
    row: tuple[str, str],
    lines: list[str],
) -> int:
    n, n_classes = found.n_out, len(output.classes)
    pairs = not output.margins and output.kind != "multiclass"
    link = "identity" if output.margins else "pairs" if pairs else "softmax"
    add_network(source, found, link=link)
    width = n if output.margins or output.kind == "multilabel" else n_classes
    head, about = f"void {name}_predict({row[0]}, float *out)", "probabilities"
    if output.margins:
        lines, about = [*lines, "outputs(x, out);"], "scores"
    elif pairs:
        first = n if output.kind == "multilabel" else 0
        fill = "1.0f" if n_classes == 1 and output.kind == "binary" else f"both[{first} + j]"
        lines = [*lines[:1], f"float both[{2 * n}];", "int j;", *lines[1:], "outputs(x, both);"]
        lines.append(f"for (j = 0; j < {width}; j++) out[j] = {fill};")
    else:
        lines = [*lines, "outputs(x, out);", *_tempered(source, output, width)]
    _function(source, head, lines, f"{width} {about} of a row")
    _labels(source, output, name, row, width)
    return width


def _tempered(source: Source, output: ClassOutput, n: int) -> list[str]:
    if output.temperature is None:
        return []
    source.use("act_softmax")
    log = f"logf(fmaxf(out[j], 1e-12f)) / {number(output.temperature)}"
    return [f"{{ int j; for (j = 0; j < {n}; j++) out[j] = {log}; }}", f"act_softmax(out, {n});"]


def _labels(
    source: Source, output: ClassOutput, name: str, row: tuple[str, str], width: int
) -> None:
    """The function that tells the label, and the labels themselves."""
    begin = [f"float out[{width}];", f"{name}_predict({row[1]}, out);"]
    least = "0.0f" if output.margins else "0.5f"
    if output.kind == "multilabel":
        head = f"void {name}_labels({row[0]}, int *labels)"
        body = [begin[0], "int j;", begin[1]]
        body.append(f"for (j = 0; j < {width}; j++) labels[j] = out[j] > {least};")
        _function(source, head, body, "which labels a row has")
        return
    values, dtype = label_type(output.classes)
    if dtype == "str":
        source.texts(f"{name}_classes", values.tolist(), public=True)
    else:
        kind = "double" if dtype == "float64" else "long long"
        source.array(f"{name}_classes", values, kind, public=True)
    if width == 1:  # one score, or one class
        body = [*begin, f"return {'out[0] > 0.0f' if len(values) > 1 else '0 * (out[0] > 0.0f)'};"]
    else:
        body = [begin[0], "int j, best = 0;", begin[1]]
        body.append(f"for (j = 1; j < {width}; j++) if (out[j] > out[best]) best = j;")
        body.append("return best;")
    head = f"int {name}_class({row[0]})"
    _function(source, head, body, f"the place of a row's label in {name}_classes")
