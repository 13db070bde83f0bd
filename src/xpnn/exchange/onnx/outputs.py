"""What raw outputs mean, as nodes of ONNX: labels with probabilities or scores, or numbers."""

import numpy as np

from xpnn.exchange.description import ClassOutput, NumberOutput
from xpnn.exchange.labels import label_type
from xpnn.exchange.onnx.graph import Graph
from xpnn.exchange.onnx.layers import ACTIVATIONS

NAMES = ("label", "probabilities", "scores", "variable", "quantiles")
"""All outputs that there are."""

_LEAST = 1e-12  # probability whose logarithm is taken, as in `tempered`


def add_output(
    g: Graph, raw: str, output: ClassOutput | NumberOutput, shares: np.ndarray, n_out: int
) -> None:
    """Nodes from raw outputs to the graph's outputs.

    Parameters
    ----------
    raw : str
        (batch, n_out), or (k, batch, n_out) of k networks.
    shares : ndarray of shape (k,)
    """
    if isinstance(output, NumberOutput):
        _numbers(g, _mean(g, ACTIVATIONS[output.link](g, raw), shares), output, n_out)
    elif output.margins:
        scores = _logits(g, raw, output, shares) if output.logits else _mean(g, raw, shares)
        codes = _codes(g, scores, output)
        flat = output.kind == "binary"
        g.output(g.add("Reshape", scores, np.array([-1])) if flat else scores, "scores",
                 "float32", (None,) if flat else (None, n_out))  # fmt: skip
        _label(g, codes, output)
    elif output.kind == "multiclass":
        _probabilities(g, _mean(g, g.add("Softmax", raw, axis=-1), shares), output)
    else:
        _pairs(g, raw, output, shares)


def _mean(g: Graph, values: str, shares: np.ndarray) -> str:
    """Of several networks, by their shares."""
    if len(shares) == 1:
        return values
    weighed = g.add("Mul", values, shares.astype(np.float32)[:, None, None])
    return g.add("ReduceSum", weighed, np.array([0]), keepdims=0)


def _probabilities(g: Graph, mean: str, output: ClassOutput) -> None:
    codes = g.add("ArgMax", mean, axis=1, keepdims=0)
    if output.temperature is not None:
        logs = g.add("Log", g.add("Max", mean, _LEAST))
        mean = g.add("Softmax", g.add("Div", logs, output.temperature), axis=-1)
    g.output(mean, "probabilities", "float32", (None, len(output.classes)))
    _label(g, codes, output)


def _pairs(g: Graph, raw: str, output: ClassOutput, shares: np.ndarray) -> None:
    """Labels that are there or not, each with an output of its own; one alone is two classes."""
    there = _mean(g, g.add("Sigmoid", raw), shares)
    lacking = _mean(g, g.add("Sigmoid", g.add("Neg", raw)), shares)
    over = g.add("Greater", raw, 0.0) if len(shares) == 1 else g.add("Greater", there, lacking)
    codes, n = g.cast(over, "int64"), len(output.classes)
    if output.kind == "multilabel":
        g.output(there, "probabilities", "float32", (None, n))
        g.output(codes, "label", "int64", (None, n))
        return
    codes = g.add("Reshape", codes, np.array([-1]))
    if n == 1:  # one class was seen: there is no other to predict
        codes = g.add("Mul", codes, np.array(0))
        found = g.add("Add", g.add("Mul", there, 0.0), 1.0)
    else:
        found = g.add("Concat", lacking, there, axis=1)
    g.output(found, "probabilities", "float32", (None, n))
    _label(g, codes, output)


def _logits(g: Graph, raw: str, output: ClassOutput, shares: np.ndarray) -> str:
    """Those of the mean probability of several networks; raw outputs are those of one."""
    if len(shares) == 1:
        return raw
    if output.kind == "multiclass":
        return _log(g, _mean(g, g.add("Softmax", raw, axis=-1), shares))
    there, lacking = (_mean(g, g.add("Sigmoid", z), shares) for z in (raw, g.add("Neg", raw)))
    return g.add("Sub", _log(g, there), _log(g, lacking))


def _log(g: Graph, probability: str) -> str:
    return g.add("Log", g.add("Max", probability, float(np.finfo(np.float32).tiny)))


def _codes(g: Graph, scores: str, output: ClassOutput) -> str:
    """Class numbers of scores: the largest, or those above zero."""
    if output.kind == "multiclass":
        return g.add("ArgMax", scores, axis=1, keepdims=0)
    codes = g.cast(g.add("Greater", scores, 0.0), "int64")
    return codes if output.kind == "multilabel" else g.add("Reshape", codes, np.array([-1]))


def _label(g: Graph, codes: str, output: ClassOutput) -> None:
    if output.kind == "multilabel":
        g.output(codes, "label", "int64", (None, len(output.classes)))
        return
    values, dtype = label_type(output.classes)
    if len(values) == 1:
        codes = g.add("Mul", codes, np.array(0))
    g.output(g.add("Gather", values, codes, axis=0), "label", dtype, (None,))


def _numbers(g: Graph, mean: str, output: NumberOutput, n_out: int) -> None:
    if output.spread is None:
        g.output(mean, "variable", "float32", (None, n_out))
        return
    wide = g.add("Add", g.add("Mul", g.cast(mean, "float64"), output.spread), output.center)
    value = g.add("Min", g.add("Max", wide, output.low), output.high)
    if output.log_share is not None:
        _with_logarithm(g, (wide, value), output, output.log_share)
        return
    if output.middle is None:
        g.output(value, "variable", "float64", (None, n_out))
        return
    middle = g.add("Gather", value, np.array([output.middle]), axis=1)
    g.output(middle, "variable", "float64", (None, 1))
    g.output(_rising(g, value, n_out), "quantiles", "float64", (None, n_out))


def _with_logarithm(g: Graph, pair: tuple[str, str], output: NumberOutput, share: float) -> None:
    """One number, of an output as it is, and of one that is its logarithm."""
    assert output.low is not None
    assert output.high is not None
    plain = g.add("Mul", g.add("Gather", pair[0], np.array([0]), axis=1), np.float64(1.0 - share))
    exponential = g.add("Exp", g.add("Gather", pair[1], np.array([1]), axis=1))
    both = g.add("Add", plain, g.add("Mul", exponential, np.float64(share)))
    value = g.add("Min", g.add("Max", both, output.low[:1]), output.high[:1])
    g.output(value, "variable", "float64", (None, 1))


def _rising(g: Graph, value: str, n: int) -> str:
    return g.add("TopK", value, np.array([n]), axis=1, largest=0, sorted=1, outputs=2)
