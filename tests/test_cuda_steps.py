"""Every option of training on the kernels for CuPy, beside the reference."""

import numpy as np
import pytest
from options import BATCH, N_IN, N_OUT, OPTIONS, N, Option

from xpnn.activations import ACTIVATIONS
from xpnn.backends import get_backend
from xpnn.layers import Dense
from xpnn.losses import LOSSES
from xpnn.network import Network, PeriodicEmbedding, Scale
from xpnn.optimizers import get_optimizer
from xpnn.random import step_keys
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules

pytestmark = pytest.mark.targets("cupy:0", "cupy:1")

NAMES = [name for name, activation in ACTIVATIONS.items() if activation.differentiable]
STEPS = -(-N // BATCH)


def rules_of(network, config):
    return Rules(
        network,
        config.loss,
        config.optimizer,
        config.l1,
        config.l2,
        config.clip_norm,
        config.max_norm,
        config.groups,
    )


def trained(target, kind, rules, x, y, weight, own_rows, order=True, stream=False, views=False):
    """Theta, buffers, total and moments after two epochs' steps by a kind of `Steps`."""
    t, network, rng = target, rules.network, np.random.default_rng(2)
    backend, wide = t.backend, (network.members,) if own_rows else ()
    theta, buffers = (t.asarray(a) for a in network.init(1))
    rows = np.stack([rng.permutation(N) for _ in range(network.members)], 1) if wide else None
    rows = rng.permutation(N) if rows is None else rows
    data = Batch(*(None if a is None else t.asarray(a) for a in (x, y, weight)))
    if views:  # the same rows, at other places
        data = Batch(*(apart(a, t) for a in data))
    total = t.xp.zeros((), dtype=t.dtype, device=t.device)
    carry = Carry(theta, buffers, rules.optimizer.init(theta, t.xp), total)
    steps = kind(rules)
    keys = None
    if network.draws:
        keys = steps.words(step_keys(5, 0, 2 * STEPS, len(network.layers) + 1))
    for epoch in range(2):
        coefficients = [rules.optimizer.coefficients(0.05, 4 * epoch + k + 1) for k in range(STEPS)]
        some = None if keys is None else keys[epoch * STEPS : (epoch + 1) * STEPS]
        if stream:
            for k, c in enumerate(coefficients):
                part = slice(k * BATCH, (k + 1) * BATCH)
                batch = Batch(*(None if a is None else a[part] for a in data))
                carry = steps.on_batch(carry, batch, None if some is None else some[k], c)
            continue
        placed = backend.asarray(rows) if order else None
        carry = steps.on_rows(carry, Rows(data, placed, 0, BATCH), some, coefficients)
    return [t.to_numpy(t.xp.asarray(a)) for a in (carry[0], carry[1], carry[3], *carry[2])]


def apart(a, t):
    """Equal to an array, a view of every second element of its last axis, from the end on."""
    wide = t.asarray(np.repeat(t.to_numpy(a)[..., ::-1], 2, -1))
    return wide[..., ::-2]


def kinds(target):
    from xpnn.steps.cuda.steps import CupySteps
    from xpnn.steps.cupy import CupyOps

    def fused(rules):
        return CupySteps(rules, CupyOps(target.xp), target.backend, target.dtype)

    return lambda rules: ReferenceSteps(rules, target.backend, target.dtype), fused


def assert_alike(target, rules, *data, **options):
    reference, fused = kinds(target)
    expected = trained(target, reference, rules, *data, **options)
    assert_near(target, trained(target, fused, rules, *data, **options), expected)


def assert_near(target, found, expected):
    tol = max(target.tol, 2e-4 if target.dtype_name == "float32" else 0.0)
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=tol, atol=tol * max(np.abs(e).max(initial=0), 1e-30))


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_option_is_the_reference(target, option):
    network, config = option.make()
    x, y, weight = option.rows()
    assert_alike(
        target, rules_of(network, config), x, y, weight, config.own_rows, stream=option.stream
    )


@pytest.mark.dtypes("float64")
@pytest.mark.parametrize("order", [True, False])
@pytest.mark.parametrize("members", [1, 2])
def test_rows_and_weights_that_lie_apart_in_memory(target, members, order):
    option = Option(network={"members": members}, weighted=True, loss="huber")
    network, config = option.make()
    x, y, weight = option.rows()
    rules = rules_of(network, config)
    assert_alike(target, rules, x, y, weight, False, order=order, views=True)


LOSS_CASES = [(name, 3, own) for name in LOSSES for own in (False, True)]


@pytest.mark.dtypes("float64")
@pytest.mark.parametrize(("loss", "members", "own"), LOSS_CASES)
def test_losses_of_members(target, loss, members, own):
    option = Option(loss=loss, weighted=own, network={"members": members})
    network, config = option.make()
    x, y, weight = option.rows()
    if own:
        weight = np.random.default_rng(1).uniform(0.0, 2.0, (N, members))
    assert_alike(target, rules_of(network, config), x, y, weight, own)


@pytest.mark.dtypes("float64")  # batches of two rows amplify rounding
@pytest.mark.parametrize("normalization", ["layer", "batch"])
@pytest.mark.parametrize(("name", "members"), [(name, 1 + i % 2) for i, name in enumerate(NAMES)])
def test_normalized_layers(target, name, members, normalization):
    layers = (
        Dense(N_IN, 41, name, 0.3, normalization=normalization),
        Dense(41, 6, name, bias=False, normalization=normalization),
        Dense(6, N_OUT, normalization=normalization),
    )
    option = Option(loss="squared_error", config={"optimizer": get_optimizer("momentum")})
    _, config = option.make()
    x, y, _ = option.rows()
    assert_alike(target, rules_of(Network(layers, members=members), config), x, y, None, False)


@pytest.mark.dtypes("float64")
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("n", [256, 257, 700])
def test_batches_whose_rows_are_shared_among_blocks(target, members, n):
    """A step of all rows, with means far from zero, beside the reference's; twice the same bits."""
    layers = (
        Dense(N_IN, 41, "gelu", 0.3, normalization="batch"),
        Dense(41, 70, "relu", bias=False, normalization="batch"),
        Dense(70, N_OUT),
    )
    network, rng = Network(layers, members=members), np.random.default_rng(0)
    _, config = Option(loss="huber", config={"optimizer": get_optimizer("sgd")}).make()
    rules, (theta, buffers) = rules_of(network, config), network.init(1)
    theta = theta + 0.5 * rng.normal(size=theta.size)
    x, y = 100.0 + rng.normal(size=(n, N_IN)), rng.normal(size=(n, N_OUT))
    found = []
    for kind in (*kinds(target), kinds(target)[1]):
        steps, total = kind(rules), target.asarray(np.asarray(0.0))
        key = steps.words(step_keys(5, 0, 1, 4))[0]
        carry = Carry(target.asarray(theta), target.asarray(buffers), (), total)
        batch = Batch(target.asarray(x), target.asarray(y), None)
        carry = steps.on_batch(carry, batch, key, (0.5,))
        found.append([target.to_numpy(a) for a in (carry[0], carry[1], carry[3])])
    assert_near(target, found[1], found[0])
    for a, b in zip(*found[1:], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("order", [True, False])
def test_embedding_and_factors(target, members, own, order):
    if own and (members == 1 or not order):
        pytest.skip("rows of each member's own need members and an order")
    waves = PeriodicEmbedding(N_IN, passed=2, frequencies=35, size=3)
    layers = (waves, Scale(waves.n_out, 0.25), Dense(waves.n_out, 37, "gelu", 0.5), Scale(37))
    layers += (PeriodicEmbedding(37, frequencies=2, size=1), Dense(74, N_OUT, "tanh"))
    network = Network(layers, input_dropout=0.2, members=members)
    option = Option(loss="huber", config={"l1": 0.1, "l2": 0.1, "clip_norm": 0.1, "max_norm": 0.5})
    _, config = option.make()
    x, y, _ = option.rows()
    assert_alike(target, rules_of(network, config), x, y, None, own, order=order)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (130, 33), (513, 5), (64, 300)])
@pytest.mark.parametrize("members", [1, 3])
def test_rows_shared_among_blocks_add_up(target, shape, members):
    """Also a second time: the counters of blocks are zero again."""
    from xpnn.steps.cupy import CupyOps

    ops, rng = CupyOps(target.xp), np.random.default_rng(0)
    shape = shape if members == 1 else (members, *shape)
    for name in ("relu", "softmax"):
        g, z = rng.normal(size=shape), rng.normal(size=shape)
        for _ in range(2):
            db = target.asarray(np.full((*shape[:-2], shape[-1]), np.nan))
            y, saved = ops.activate(target.asarray(z), None, ACTIVATIONS[name], None)
            dz = ops.pull_back(target.asarray(g), y, saved, ACTIVATIONS[name], None, db)
            a = ACTIVATIONS[name].value(z, np)
            expected = ACTIVATIONS[name].backward(z, a, g, np)
            target.assert_close(dz, expected)
            target.assert_close(db, expected.sum(axis=-2), rtol=10 * target.tol)


@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
@pytest.mark.parametrize("sizes", [(4, 5, 6), (1, 5, 6), (4, 1, 6), (4, 5, 1), (1, 1, 1)])
def test_products_of_members(target, sizes, turned):
    from xpnn.steps.cuda.products import product

    (rows, k, columns), rng = sizes, np.random.default_rng(0)
    for shared in (False, True):
        first = () if shared else (3,)
        a = rng.normal(size=(*first, k, rows) if "a" in turned else (*first, rows, k))
        b = rng.normal(size=(3, columns, k) if "b" in turned else (3, k, columns))
        x, y = (target.asarray(m) for m in (a, b))
        x, a = (x.swapaxes(-1, -2), a.swapaxes(-1, -2)) if "a" in turned else (x, a)
        y, b = (y.swapaxes(-1, -2), b.swapaxes(-1, -2)) if "b" in turned else (y, b)
        out = target.asarray(np.full((3, rows, columns), np.nan))
        product(x, y, out)
        target.assert_close(out, a @ b)


def test_a_gradient_that_is_not_finite_or_huge_is_clipped_as_the_reference_does(target):
    option = Option(config={"clip_norm": 0.5}, loss="squared_error")
    network, config = option.make()
    x, y, _ = option.rows()
    rules = rules_of(network, config)
    largest = 1e30 if target.dtype_name == "float32" else 1e290
    for scale in (1e-20, largest):
        assert_alike(target, rules, x, y * scale, None, False)


def test_the_other_device_is_left_alone(target):
    other = get_backend("cupy:1" if target.backend.name == "cupy:0" else "cupy:0")
    with other.device_context():
        from xpnn import MLPClassifier

        x = target.asarray(np.random.default_rng(0).normal(size=(30, 4)))
        model = MLPClassifier((5,), max_iter=300, tol=1.0, random_state=0).fit(x, np.arange(30) % 3)
        target.assert_here(model.predict_proba(x))


@pytest.mark.dtypes("float32")
@pytest.mark.parametrize("kind", [int, np.int32, np.float32, np.float16])
def test_numbers_of_any_kind_are_those_of_the_reference(target, kind):
    """A kernel reads eight bytes, which a NumPy float32 has not and an int has otherwise."""
    numbers = dict.fromkeys(("l1", "l2", "clip_norm", "max_norm", "learning_rate"), kind(1))
    option = Option(config={"optimizer": get_optimizer("adam"), **numbers})
    network, config = option.make()
    x, y, _ = option.rows()
    assert_alike(target, rules_of(network, config), x, y, None, False)


def test_one_kernel_draws_every_mask(target):
    cupy_on_cpu = pytest.importorskip("cupy_on_cpu")
    if cupy_on_cpu._library is None:
        pytest.skip("a GPU has no counters; the host double has")
    from xpnn.steps.cupy import CupyOps, FusedDrop

    ops, x = CupyOps(target.xp), target.asarray(np.ones((40, 7)))
    drop = FusedDrop(step_keys(5, 0, 1, 1)[0][0], 0, 0.5)
    with cupy_on_cpu.count() as counts:
        inputs = ops.drop_inputs(target.xp.asarray(x, copy=True), drop)
        mask = drop.mask((40, 7), x, target.xp)
        outputs, _ = ops.activate(target.xp.asarray(x, copy=True), None, ACTIVATIONS["relu"], drop)
    assert {name for name in counts["kernels"] if not name.startswith("cupy_copy")} == {"activate"}
    target.assert_close(inputs, target.to_numpy(mask))
    target.assert_close(outputs, target.to_numpy(mask))
    assert 0.2 < (target.to_numpy(mask) == 0).mean() < 0.8
