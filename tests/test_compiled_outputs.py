"""Compiled predictions against the network's own methods."""

import ctypes
import math

import numpy as np
import pytest
from steps_alike import CUBE, network

from xpnn.activations import ACTIVATIONS
from xpnn.losses import get_loss
from xpnn.network import Dense, Network, PeriodicEmbedding, Scale
from xpnn.parts.losses import SUMS
from xpnn.steps import threads
from xpnn.steps.compiled import library, outputs, plan, steps, sums
from xpnn.steps.compiled.outputs import compiled_outputs
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.compiled.sums import CompiledSums

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled steps are not there")


def parameters(net, dtype):
    """Parameters and running statistics that training might have left."""
    rng, (theta, buffers) = np.random.default_rng(0), net.init(1)
    theta += rng.normal(size=theta.size) / 10
    return theta.astype(dtype), (buffers + rng.uniform(size=buffers.size)).astype(dtype)


def check(net, rows, x=None):
    for dtype, tol in ((np.float32, 1e-4), (np.float64, 1e-11)):
        theta, buffers = parameters(net, dtype)
        given = np.random.default_rng(2).normal(size=(rows, net.n_in)) if x is None else x
        for link in (False, True):
            found = compiled_outputs(net, theta, buffers, given.astype(dtype), link)
            method = net.predict if link else net.forward
            with np.errstate(all="ignore"):
                expected = method(theta, buffers, given.astype(dtype), np)
            assert found.dtype == dtype
            scale = np.abs(expected).max(initial=1e-30)
            np.testing.assert_allclose(found, expected, rtol=tol, atol=tol * scale)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("rows", [0, 1, 2, 65, 3000])
@pytest.mark.parametrize("sizes", [(4, 3), (7, 130, 5), (64, 100, 1), (1, 1, 1), (3, 5000, 2)])
def test_any_number_of_rows_and_units(sizes, rows):
    check(network("tanh", sizes=sizes), rows)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_and_link(name):
    check(Network((Dense(7, 33, name), Dense(33, 5)), link=name), 70)


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_normalization_and_layers_without_biases(kind):
    layers = Dense(7, 33, "gelu", normalization=kind), Dense(33, 9, "relu", bias=False)
    last = Dense(9, 5, "tanh", normalization=kind, bias=False)
    check(Network((*layers, last), link="softmax"), 70)


@pytest.mark.parametrize("rows", [1, 70])
def test_layers_of_the_tabular_model(rows):
    layers = (
        Scale(7),
        PeriodicEmbedding(7, 50, 2, passed=2),
        Dense(17, 13, "silu"),
        Scale(13),
        Dense(13, 5),
    )
    check(Network(layers, link="softmax"), rows)


@pytest.mark.parametrize("turns", [1e3, 1e5, 1e7, np.inf])
def test_an_embedding_of_large_numbers(turns):
    """What a turn of so many loses in digits is in the tolerance."""
    net = Network((PeriodicEmbedding(3),))
    theta, buffers = parameters(net, np.float64)
    x = np.random.default_rng(0).normal(size=(20, 3)) * turns
    found = compiled_outputs(net, theta, buffers, x, False)
    with np.errstate(all="ignore"):
        expected = net.forward(theta, buffers, x, np)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=min(1e-15 * turns, 1.0))


@pytest.fixture
def products(monkeypatch):
    """The multiplications of each product that BLAS is given."""
    monkeypatch.setenv("XPNN_PRODUCTS", "blas")
    seen, real = [], plan.product_address
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)

    def watched(dtype):
        def gemm(*arguments):
            seen.append(math.prod(ctypes.c_int.from_address(a).value for a in arguments[2:5]))
            kind(real(dtype))(*arguments)

        kept.append(kind(gemm))
        return ctypes.cast(kept[-1], ctypes.c_void_p).value

    kept = []
    for module in (outputs, steps):
        monkeypatch.setattr(module, "product_address", watched)
    return seen


@pytest.mark.parametrize(("rows", "expected"), [(1, 0), (10, 0), (600, 0), (5000, 1)])
def test_a_product_that_blas_would_share_stays_in_one_thread(monkeypatch, products, rows, expected):
    """BLAS's threads would look for work beside the next fit's, which took twice as long.

    So short products are cut, which lets fits predict side by side; for long ones BLAS is limited.
    """
    calls, limit = [], threads.one_blas_thread
    monkeypatch.setattr(threads, "one_blas_thread", lambda: calls.append(rows) or limit())
    check(network("tanh", sizes=(64, 64, 10)), rows)
    assert len(calls) == expected * 4  # two dtypes, with and without the link
    assert rows == 1 or (max(products) <= 65_536 * 4) == (not expected)


@pytest.mark.parametrize("blas", [1, 2])
def test_a_step_in_one_thread_cuts_products_that_blas_would_share(monkeypatch, products, blas):
    """Fits in threads of one process have a thread each, and no limit of BLAS's to wait for."""
    monkeypatch.setattr(threads, "most_blas_threads", lambda: blas)
    monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows: 1)
    check_sums(network("tanh", sizes=(90, 70, 10)), "softmax_cross_entropy", 200)
    shares = max(products) > 65_536 * 4
    assert shares == (blas == 1)
    assert sum(products) == 2 * 2 * 200 * (90 * 70 * 2 + 70 * 10 * 3)  # two dtypes, twice


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_threads_share_the_rows(monkeypatch, parts):
    monkeypatch.setattr(outputs, "_FEWEST_PRODUCTS", 1)
    monkeypatch.setattr(threads, "blas_threads", lambda: parts)
    for rows in (1, 2, 5, 3000):
        check(network("relu"), rows)


@pytest.mark.parametrize("parts", [1, 2])
def test_ctrl_c_acts_within_a_prediction_of_many_rows(monkeypatch, parts):
    calls, real = [], outputs.function

    def press(name, dtype):
        def call(*given):
            calls.append(given)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(name, dtype)(*given)

        return call

    monkeypatch.setattr(outputs, "_APART", 1e6)
    monkeypatch.setattr(outputs, "_FEWEST_PRODUCTS", 1_000_000 if parts > 1 else 1 << 40)
    net = network("relu", sizes=(7, 130, 5))
    check(net, 3000)
    monkeypatch.setattr(outputs, "function", press)
    with pytest.raises(KeyboardInterrupt):
        check(net, 3000)
    assert len(calls) == 2


@pytest.mark.parametrize("order", ["C", "F"])
def test_many_rows_of_another_type_are_converted_some_at_a_time(monkeypatch, order):
    """All at once is half a second in which Ctrl-C is not seen, and memory of its own."""
    calls, real = [], outputs.function

    def counted(name, dtype):
        return lambda *given: calls.append(given[5]) or real(name, dtype)(*given)

    net = network("tanh", sizes=(7, 130, 5))
    theta, buffers = parameters(net, np.float64)
    x = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32, order=order)
    expected = net.predict(theta, buffers, x.astype(np.float64), np)
    monkeypatch.setattr(outputs, "_SHORT", 0)
    monkeypatch.setattr(outputs, "_COPIED", 7 * 300)
    monkeypatch.setattr(outputs, "function", counted)
    found = compiled_outputs(net, theta, buffers, x, True)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert calls == [300, 300, 300, 100]


def test_any_memory_layout_and_number_type():
    net = network("relu")
    theta, buffers = parameters(net, np.float64)
    x = np.random.default_rng(0).normal(size=(40, 7))
    expected = net.forward(theta, buffers, x, np)
    frozen = x.copy()
    frozen.flags.writeable = False
    layouts = [np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1][::-1], frozen]
    for given in (*layouts, np.repeat(x, 2, axis=1)[:, ::2]):
        found = compiled_outputs(net, theta, buffers, given, False)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    found = compiled_outputs(net, theta, buffers, x.astype(np.float32), False)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_is_not_built_in_is_left_to_the_network():
    net = network(CUBE)
    theta, buffers = parameters(net, np.float64)
    assert compiled_outputs(net, theta, buffers, np.ones((2, 7)), True) is None
    plain = network("relu")
    theta, buffers = parameters(plain, np.float64)
    assert compiled_outputs(plain, theta, buffers, np.ones((2, 6)), True) is None
    assert compiled_outputs(plain, theta.astype(np.float16), buffers, np.ones((2, 7)), True) is None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize(
    "name", ["softmax_cross_entropy", "squared_error", "sum_squared_error", "poisson"]
)
def test_sums_of_losses_and_gradients(name, parts, normalization, weighted, monkeypatch):
    """What L-BFGS asks for, in blocks of rows, on any number of threads."""
    monkeypatch.setattr(sums, "_BLOCK", 30)
    monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows: parts)
    net = Network((Dense(7, 33, "tanh", normalization=normalization), Dense(33, 5)))
    check_sums(net, name, 100, weighted)


def check_sums(net, name, n, weighted=False):
    loss, rng = get_loss(name), np.random.default_rng(0)
    shape = n, net.layers[-1].n_out
    for dtype, tol in ((np.float32, 1e-4), (np.float64, 1e-11)):
        theta, buffers = parameters(net, dtype)
        x, labels = rng.normal(size=(n, net.n_in)).astype(dtype), rng.integers(0, shape[1], n)
        y = labels if name[:7] == "softmax" else rng.uniform(size=shape).astype(dtype)
        weight = rng.uniform(size=n).astype(dtype) if weighted else None
        compiled = CompiledSums(net, loss, None)
        for _ in range(2):
            vector, share, seen = compiled(theta, buffers, (x, y, weight))
            value, gradient, expected = net.loss_and_gradient(
                theta, buffers, x, y, weight, loss, np
            )
            total = n if weight is None else weight.sum()
            np.testing.assert_allclose(share, total, rtol=tol)
            rows = 1 if name in SUMS else total
            np.testing.assert_allclose(vector[0], value * rows, rtol=tol)
            scale = tol * np.abs(gradient * rows).max()
            np.testing.assert_allclose(vector[1:], gradient * rows, rtol=tol, atol=scale)
            np.testing.assert_allclose(seen, expected, rtol=tol, atol=tol)
            theta = theta + dtype(0.1)
