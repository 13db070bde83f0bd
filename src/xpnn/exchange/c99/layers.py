"""A network, or several of one shape, as functions in C."""

import numpy as np

from xpnn.exchange.c99.source import Source, number
from xpnn.exchange.description import Affine, Description, Factors, Waves


def add_network(source: Source, found: Description, *, link: str) -> None:
    """`outputs(x, out)`: the mean over all networks of their linked outputs.

    Parameters
    ----------
    link : str
        The activation of the last outputs, before the mean; "logits" keeps pairs of
        sigmoid(-z) and sigmoid(z).
    """
    k, width = len(found.shares), max(found.n_in, *(_n_out(layer) for layer in found.layers))
    room = f"a[{width}], b[{width}]" if len(found.layers) > 1 else f"a[{width}]"
    lines = ["const float *from = x;", f"float {room};"]
    for i, layer in enumerate(found.layers):
        target = "ab"[i % 2]
        lines += [*_layer(source, i, layer, target), f"from = {target};"]
    last, n = "ab"[(len(found.layers) - 1) % 2], found.n_out
    if link not in ("identity", "pairs"):
        lines.append(f"{source.use(f'act_{link}')}({last}, {n});")
    if link == "pairs":
        source.use("act_sigmoid")
        lines += [f"for (j = 0; j < {n}; j++) pair[j] = -{last}[j];", f"act_sigmoid({last}, {n});"]
        lines += [f"act_sigmoid(pair, {n});"]
        lines += [f"for (j = 0; j < {n}; j++) out[{n} + j] += share[k] * {last}[j];"]
        lines += [f"for (j = 0; j < {n}; j++) out[j] += share[k] * pair[j];"]
    else:
        lines += [f"for (j = 0; j < {n}; j++) out[j] += share[k] * {last}[j];"]
    source.array("share", found.shares)
    total = 2 * n if link == "pairs" else n
    pair = f"    float pair[{n}];\n" if link == "pairs" else ""
    body = "\n        ".join(lines)
    source.functions.append(
        f"""/* the mean outputs of {k} network{"s" * (k > 1)} */
static void outputs(const float *x, float *out)
{{
{pair}    int j, k;
    for (j = 0; j < {total}; j++) out[j] = 0.0f;
    for (k = 0; k < {k}; k++) {{
        {body}
    }}
}}
"""
    )


def _n_out(layer: Affine | Factors | Waves) -> int:
    if isinstance(layer, Affine):
        return int(layer.weight.shape[2])
    if isinstance(layer, Factors):
        return int(layer.factor.shape[1])
    _, n, _, d = layer.weight.shape
    return int(n * (1 + d) + layer.passed)


def _arrays(source: Source, i: int, **arrays: np.ndarray) -> list[str]:
    """Constants of all networks, and where the k-th one's begins."""
    return [
        f"{source.array(f'{name}_{i}', a)} + k * {int(a[0].size)}" for name, a in arrays.items()
    ]


def _layer(source: Source, i: int, layer: Affine | Factors | Waves, to: str) -> list[str]:
    if isinstance(layer, Factors):
        (s,) = _arrays(source, i, scale=layer.factor)
        return [f"{source.use('factors')}(from, {layer.factor.shape[1]}, {s}, {to});"]
    if isinstance(layer, Waves):
        _, n, m, d = layer.weight.shape
        parts = {"frequency": layer.frequency, "phase": layer.phase}
        parts |= {"weight": layer.weight, "bias": layer.bias}
        arrays = ", ".join(_arrays(source, i, **parts))
        return [f"{source.use('waves')}(from, {n}, {m}, {d}, {layer.passed}, {arrays}, {to});"]
    _, n_in, n_out = layer.weight.shape
    given = ", ".join(_arrays(source, i, weight=layer.weight, bias=layer.bias))
    name = source.use("affine")
    if layer.scale is not None:
        (s,) = _arrays(source, i, scale=layer.scale)
        name, given = source.use("normalized"), f"{given}, {s}, {number(layer.epsilon)}"
    lines = [f"{name}(from, {n_in}, {n_out}, {given}, {to});"]
    if layer.activation != "identity":
        lines.append(f"{source.use(f'act_{layer.activation}')}({to}, {n_out});")
    return lines
