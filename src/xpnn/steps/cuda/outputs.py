"""Outputs of a network on CuPy, by the kernels that its training compiles."""

from typing import Any

import cupy

from xpnn.arrays.typing import Array, Namespace
from xpnn.model.dense import Dense
from xpnn.model.embedding import PeriodicEmbedding
from xpnn.model.layer import EVALUATE
from xpnn.model.scale import Scale
from xpnn.steps.cuda.kernels import ACTIVATION, ROWWISE, THREADS, blocks, drop_arguments, kernel
from xpnn.steps.cuda.layers import WARP, EmbeddingLayer, ScaleLayer
from xpnn.steps.cupy import CupyOps, activate_in_place, of_members
from xpnn.steps.inplace import Views
from xpnn.steps.numpy import builtin_name


def outputs(
    network: Any, method: str, theta: Array, buffers: Array, x: Array, xp: Namespace
) -> Array:
    """What the network's method `predict` or `forward` gives of rows, shape (n, n_in)."""
    if not x.size or x.dtype != theta.dtype:
        return getattr(network, method)(theta, buffers, x, xp)
    network.check_activations(theta, xp)
    ops, layers, members = CupyOps(xp), network.layers, network.members
    layouts = (network.layout, theta), (network.buffer_layout, buffers)
    parts, states = (layout.by_layer(vector, xp, len(layers)) for layout, vector in layouts)
    for i, (layer, p, state) in enumerate(zip(layers, parts, states, strict=True)):
        x = _layer_outputs(layer, i, p, state, x, ops, members)
    if method == "forward":
        return x
    name = builtin_name(network.link)
    if name not in ACTIVATION or not _has_kernels(layers[-1]):
        return network.linked(x, xp)
    y = x if name == "identity" else activate_in_place(x, None, name, None)
    return xp.mean(y, axis=0) if members > 1 else y


def _layer_outputs(
    layer: Any, i: int, p: Views, state: Views, x: Array, ops: CupyOps, members: int
) -> Array:
    """A layer's outputs, in memory of their own where it is a built-in one."""
    if _has_kernels(layer):
        return _dense(layer, p, state, x, ops, members)
    made: ScaleLayer | EmbeddingLayer
    if type(layer) is Scale:
        made = ScaleLayer(layer, ops, members)
    elif type(layer) is PeriodicEmbedding and i == 0:
        made = EmbeddingLayer(layer, ops, members)
    else:
        return layer.forward(p, state, x, EVALUATE, ops.xp)[0]
    made.bind(p, p)
    return made.forward(x, None, state)


def _has_kernels(layer: Any) -> bool:
    return type(layer) is Dense and builtin_name(layer.activation) in ACTIVATION


def _dense(layer: Dense, p: Views, state: Views, x: Array, ops: CupyOps, members: int) -> Array:
    first = () if members == 1 else (members,)
    u = cupy.empty((*first, x.shape[-2], layer.n_out), dtype=x.dtype)
    ops.product(x, p["weight"], u)
    name, b = builtin_name(layer.activation), p.get("bias")
    if layer.normalization is None:
        return activate_in_place(u, b, name, None)
    now = "identity" if name in ROWWISE else name
    if layer.normalization == "layer":
        _layer_norm(u, p["scale"], b, now)
    else:
        _running_norm(u, p["scale"], b, state, now)
    return u if name == now else activate_in_place(u, None, name, None)


def _layer_norm(u: Array, factor: Array, b: Array | None, name: str) -> None:
    """Normalize each row in place, then factors, biases and the activation."""
    sizes = members, n, _ = of_members(u.shape)
    inverse = cupy.empty(members * n, dtype=u.dtype)
    arguments = (u, u, inverse, factor, b, *sizes, ACTIVATION[name], *drop_arguments(None))
    grid = (-(-members * n // WARP[1]),)
    kernel("layer_norm", "layer_norm", u.dtype)(grid, WARP, arguments)


def _running_norm(u: Array, factor: Array, b: Array | None, state: Views, name: str) -> None:
    """The same by the running statistics of each column."""
    given = (u, factor, b, state["mean"], state["variance"])
    arguments = (*given, *of_members(u.shape), ACTIVATION[name])
    kernel("batch_norm", "running_norm", u.dtype)(blocks(u.size), (THREADS,), arguments)
