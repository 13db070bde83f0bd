"""Layers that have kernels of their own: normalized ones, factors, waves."""

from typing import Any

import cupy

from xpnn.arrays.typing import Array
from xpnn.model.dense import Dense
from xpnn.model.embedding import PeriodicEmbedding
from xpnn.model.layer import Drop
from xpnn.model.scale import Scale
from xpnn.steps.cuda.kernels import (
    ACTIVATION,
    COLUMNS,
    LANES,
    ROWWISE,
    THREADS,
    blocks,
    chunks,
    drop_arguments,
    kernel,
)
from xpnn.steps.cupy import CupyOps, of_members
from xpnn.steps.inplace import PlainLayer, ReferenceLayer, Views, is_plain
from xpnn.steps.numpy import builtin_name

WARP = (32, 8)
ALONE = 256  # rows of a batch that one block normalizes: a launch more takes longer


def make_layer(layer: Any, ops: CupyOps, members: int, i: int) -> Any:
    """The passes of a layer, of which `i` are before it."""
    if is_plain(layer):
        return PlainLayer(layer, ops, members)
    if type(layer) is Dense:
        name = builtin_name(layer.activation)
        if name in ACTIVATION and name not in ROWWISE:
            return NormalizedLayer(layer, ops, members)
    if type(layer) is Scale:
        return ScaleLayer(layer, ops, members)
    if type(layer) is PeriodicEmbedding and i == 0:
        return EmbeddingLayer(layer, ops, members)
    return ReferenceLayer(layer, ops)


class NormalizedLayer(PlainLayer):
    """A `Dense` layer with batch or layer normalization: one launch on each way, or two."""

    ops: CupyOps
    linear = False

    def __init__(self, layer: Dense, ops: CupyOps, members: int) -> None:
        super().__init__(layer, ops, members)
        self.linear, self.rooms = False, ops.rooms
        self.code = ACTIVATION[builtin_name(layer.activation)]

    def bind(self, p: Views, d: Views) -> None:
        """Take the views of the parameters and of their gradient."""
        super().bind(p, d)
        self.factor, self.dfactor = p["scale"], d["scale"]

    def forward(self, x: Array, drop: Drop | None, state: Views) -> Array:
        """Outputs of some inputs; running statistics move."""
        self.x, (u, _) = x, self.room(x.shape[-2])
        self.ops.product(x, self.w, u)
        members, n, units = of_members(u.shape)
        self.drop, self.unit, self.y = drop, u, self.rooms.empty(u.shape, u.dtype)
        kind, how = self.layer.normalization, (self.code, *drop_arguments(drop))
        self.inverse = self.rooms.empty((members * (n if kind == "layer" else units),), u.dtype)
        pointers = (u, self.y, self.inverse, self.factor, self.b)
        if kind == "batch":
            self._normalize_batch(u, (state["mean"], state["variance"]), how)
        else:
            launch = kernel("layer_norm", "layer_norm", u.dtype)
            sizes = (members, n, units)
            launch((-(-members * n // WARP[1]),), WARP, (*pointers, *sizes, *how))
        return self.y

    def _normalize_batch(self, u: Array, moving: tuple[Array, Array], how: tuple[Any, ...]) -> None:
        """By the columns of a batch: a launch, or two where rows are shared among blocks."""
        members, n, units = of_members(u.shape)
        grid, partial, rows = self.ops.columns(members, n, units, u.dtype, 2, ALONE)
        given = (self.inverse, self.factor, self.b)
        if grid[1] == 1:
            launch = kernel("batch_norm", "batch_norm", u.dtype)
            arguments = (u, self.y, *given, *moving, n, units, *how)
            launch((grid[0], members), (COLUMNS, LANES), arguments)
            return
        center = self.rooms.empty(self.inverse.shape, u.dtype)
        arguments = (u, center, self.inverse, *moving, *partial, n, units, rows)
        kernel("batch_chunks", "batch_statistics", u.dtype)(grid, (COLUMNS, LANES), arguments)
        arguments = (u, self.y, center, *given, members, n, units, *how)
        launch = kernel("batch_chunks", "batch_normalized", u.dtype)
        launch(blocks(u.size), (THREADS,), arguments)

    def backward(self, g: Array, need_dx: bool) -> Array | None:
        """The gradient with respect to the inputs; that of the parameters goes to its place."""
        members, n, units = of_members(g.shape)
        how = (self.code, int(self.drop is not None), drop_arguments(self.drop)[1])
        if self.layer.normalization == "batch":
            self._batch_back(g, how)
            return self.products(g, need_dx)
        pointers = (g, self.y, self.unit, self.inverse, self.factor, self.b, self.dfactor, self.db)
        count, rows = chunks(n, members, 4 * WARP[1])
        partial = self.rooms.partial(members * count * units * 2, g.dtype)
        arguments = (*pointers, partial, self.rooms.arrived(members), n, units, rows, *how)
        kernel("layer_norm", "layer_norm_back", g.dtype)((count, members), WARP, arguments)
        return self.products(g, need_dx)

    def _batch_back(self, g: Array, how: tuple[Any, ...]) -> None:
        """The way back of `_normalize_batch`, in place."""
        members, n, units = of_members(g.shape)
        grid, partial, rows = self.ops.columns(members, n, units, g.dtype, 2, ALONE)
        if grid[1] == 1:
            pointers = (g, self.y, self.unit, self.inverse, self.factor, self.b)
            launch = kernel("batch_norm", "batch_norm_back", g.dtype)
            arguments = (*pointers, self.dfactor, self.db, n, units, *how)
            launch((grid[0], members), (COLUMNS, LANES), arguments)
            return
        db = self.rooms.empty(self.inverse.shape, g.dtype) if self.db is None else self.db
        sums = (self.dfactor, db)
        arguments = (g, self.y, self.unit, self.factor, self.b, *sums, *partial, n, units, rows)
        launch = kernel("batch_chunks", "batch_sums_back", g.dtype)
        launch(grid, (COLUMNS, LANES), (*arguments, *how))
        arguments = (g, self.unit, self.inverse, self.factor, *sums, members, n, units)
        launch = kernel("batch_chunks", "batch_back", g.dtype)
        launch(blocks(g.size), (THREADS,), arguments)


class ScaleLayer:
    """A factor for each feature: one launch on each way."""

    linear = False

    def __init__(self, layer: Scale, ops: CupyOps, members: int) -> None:
        self.ops, self.members = ops, members

    def bind(self, p: Views, d: Views) -> None:
        """Take the views of the parameters and of their gradient."""
        self.factor, self.dfactor = p["scale"], d["scale"]

    def forward(self, x: Array, drop: Drop | None, state: Views) -> Array:
        """Outputs of some inputs, which may be the same for all members."""
        n, units = x.shape[-2:]
        self.x, self.drop, self.own = cupy.ascontiguousarray(x), drop, int(x.ndim > 2)
        shape = (n, units) if self.members == 1 else (self.members, n, units)
        self.y = self.ops.rooms.empty(shape, x.dtype)
        arguments = (self.x, self.factor, self.y, self.members, n, units, self.own)
        grid = blocks(self.members * n * -(-units // 4))
        launch = kernel("scale", "scale_forward", x.dtype)
        launch(grid, (THREADS,), (*arguments, *drop_arguments(drop)))
        return self.y

    def backward(self, g: Array, need_dx: bool) -> Array | None:
        """The gradient with respect to the inputs; that of the factors goes to its place."""
        members, n, units = of_members(g.shape)
        drops, scale = int(self.drop is not None), drop_arguments(self.drop)[1]
        grid, partial, rows = self.ops.columns(members, n, units, g.dtype)
        pointers = (g, self.y, self.x, self.factor, self.dfactor, *partial)
        arguments = (*pointers, n, units, rows, self.own, drops, scale)
        kernel("scale", "scale_backward", g.dtype)(grid, (COLUMNS, LANES), arguments)
        return g if need_dx else None


class EmbeddingLayer:
    """Waves of the inputs, as a first layer: one launch on each way."""

    linear = False

    def __init__(self, layer: PeriodicEmbedding, ops: CupyOps, members: int) -> None:
        self.layer, self.members, self.rooms = layer, members, ops.rooms

    def bind(self, p: Views, d: Views) -> None:
        """Take the views of the parameters and of their gradient."""
        names = ("frequency", "phase", "weight", "bias")
        self.p, self.d = [p[name] for name in names], [d[name] for name in names]

    def forward(self, x: Array, drop: Drop | None, state: Views) -> Array:
        """Outputs of some inputs, which may be the same for all members."""
        layer, n = self.layer, x.shape[-2]
        self.x, own = cupy.ascontiguousarray(x), int(x.ndim > 2)
        first = () if self.members == 1 else (self.members,)
        y = self.rooms.empty((*first, n, layer.n_out), x.dtype)
        waves = (self.members, n, layer.embedded, layer.frequencies)
        self.cosine, self.sine = (self.rooms.empty(waves, x.dtype) for _ in range(2))
        self.sizes = (n, layer.embedded, layer.passed, layer.frequencies, layer.size, own)
        pointers = (self.x, y, self.cosine, self.sine, *self.p)
        launch = kernel("embedding", "embed", x.dtype)
        grid = blocks(self.members * n * layer.n_in)
        launch(grid, (THREADS,), (*pointers, self.members, *self.sizes))
        return y

    def backward(self, g: Array, need_dx: bool) -> Array | None:
        """The parameters' gradient goes to its place; a first layer's inputs need none."""
        pointers = (g, self.x, self.cosine, self.sine, self.p[2], *self.d)
        grid = (self.layer.embedded, self.members)
        launch = kernel("embedding", "embed_back", g.dtype)
        launch(grid, (COLUMNS, LANES), (*pointers, *self.sizes))
        return None
