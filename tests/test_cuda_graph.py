"""Steps that a CUDA graph may hold: the same arguments from step to step, the same numbers."""

import importlib
import importlib.util

import numpy as np
import pytest
from options import OPTIONS, Option
from test_cuda_steps import rules_of, trained

from xpnn.layers import Dense
from xpnn.losses import get_loss
from xpnn.network import Network, PeriodicEmbedding, Scale
from xpnn.optimizers import get_optimizer

pytestmark = [pytest.mark.targets("cupy:0"), pytest.mark.dtypes("float32")]


def both(target, captures=True):
    """The ordinary steps and the graph's, both with products in tiles."""
    from xpnn.steps.cuda.graph import GraphOps, GraphSteps
    from xpnn.steps.cuda.steps import CupySteps

    made = []

    def of(kind):
        def make(rules):
            made.append(kind(rules, GraphOps(target.xp), target.backend, target.dtype))
            made[-1].captures = captures
            return made[-1]

        return make

    return of(CupySteps), of(GraphSteps), made


def everything(members=1, normalization="layer"):
    waves = PeriodicEmbedding(5, passed=2, frequencies=3, size=2)
    layers = (
        waves,
        Scale(waves.n_out, 0.25),
        Dense(waves.n_out, 9, "gelu", 0.5, normalization=normalization),
        Dense(9, 8, "relu", 0.25),
        Dense(8, 3),
    )
    return Network(layers, input_dropout=0.2, members=members)


CASES = {
    name: OPTIONS[name]
    for name in OPTIONS
    if name.startswith(("optimizer", "loss huber", "plain", "layer", "network", "config"))
}


@pytest.mark.parametrize("option", CASES.values(), ids=CASES)
def test_the_bits_are_those_of_the_ordinary_step(target, option):
    network, config = option.make()
    x, y, weight = option.rows()
    rules, (ordinary, graph, made) = rules_of(network, config), both(target)
    given = (target, ordinary, rules, x, y, weight, config.own_rows)
    expected = trained(*given, stream=option.stream)
    found = trained(target, graph, *given[2:], stream=option.stream)
    assert made[-1].suits()
    if captures_on_the_double() and not option.stream:
        assert made[-1].captures
        assert sorted(made[-1].graphs) == [2, 4]
        assert all(made[-1].graphs.values())
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def captures_on_the_double():
    """Whether this is the host double, of a build that has CUDA graphs."""
    double = importlib.util.find_spec("cupy_on_cpu") and importlib.import_module("cupy_on_cpu")
    return bool(double and getattr(double, "GRAPHS", False) and double._library is not None)


def arguments_of(target, monkeypatch, network, rules, weight):
    """Names and arguments of the launches of two epochs' steps."""
    from xpnn.steps.cuda import kernels

    module, launches = kernels._module, []

    def recorded(file, dtype):
        class Module:
            def get_function(self, name):
                launch = module(file, dtype).get_function(name)

                def call(grid, block, arguments):
                    values = [getattr(getattr(a, "data", a), "ptr", a) for a in arguments]
                    launches.append((name, grid, block, values))
                    launch(grid, block, arguments)

                return call

        return Module()

    monkeypatch.setattr(kernels, "_module", recorded)
    kernels.kernel.cache_clear()
    try:
        option = Option(loss="huber")
        x, y, _ = option.rows()
        _, graph, _ = both(target, captures=False)
        trained(target, graph, rules, x, y, weight, network.members > 1)
    finally:
        kernels.kernel.cache_clear()
    return launches


@pytest.mark.parametrize("normalization", ["layer", "batch"])
@pytest.mark.parametrize("members", [1, 2])
def test_launches_of_a_step_have_the_arguments_of_the_one_before(
    target, monkeypatch, members, normalization
):
    network = everything(members, normalization)
    rules = {"l1": 0.1, "l2": 0.1, "clip_norm": 0.1, "max_norm": 0.5}
    option = Option(config={"optimizer": get_optimizer("adamw"), **rules})
    _, config = option.make(get_loss("huber"))
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 14)
    launches = arguments_of(target, monkeypatch, network, rules_of(network, config), weight)
    starts = [i for i, (name, *_) in enumerate(launches) if name == "advance"]
    steps = [launches[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    assert len(steps) == 8  # of 4, 4, 4 and 2 rows in each epoch
    assert len(steps[0]) > 20
    assert steps[0] == steps[1] == steps[2] == steps[4] == steps[5]
    assert steps[3] == steps[7] != steps[0]


def test_a_product_of_millions_of_rows_fits_the_grid(target, monkeypatch):
    """A grid has 2**31 blocks along its first axis and 65,535 along the others."""
    from xpnn.steps.cuda import graph

    grids = []
    monkeypatch.setattr(graph, "kernel", lambda *_: lambda grid, *_: grids.append(grid))
    one, many = (target.xp.empty((n, 2), dtype=target.dtype) for n in (1, 2**21))
    graph.GraphOps(target.xp).product(many, one.T, target.xp.empty((2**21, 1), dtype=target.dtype))
    assert all(along < 2**16 for along in grids[0][1:])
