"""Members that learn in several threads: the bits are those of one thread."""

import contextlib

import numpy as np
import pytest

from xpnn import get_backend
from xpnn.losses import get_loss
from xpnn.network import Dense, Network, Scale
from xpnn.optimizers import get_optimizer
from xpnn.random import step_keys
from xpnn.steps.compiled import library, members
from xpnn.steps.compiled.members import CompiledMembers
from xpnn.steps.compiled.pool import Pool
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled steps are not there")
MEMBERS, ROWS, BATCH = 5, 70, 11
NET = Network((Dense(6, 9, "relu", 0.2, normalization="batch"), Dense(9, 3)), members=MEMBERS)
RULES = Rules(NET, get_loss("softmax_cross_entropy"), get_optimizer("adamw"))


def learned(workers, calls=(4, 3), dtype=np.float32, rules=RULES, times=1):
    """Everything that some calls leave, in so many threads; of `times` as many rows."""
    rng, net, n = np.random.default_rng(0), rules.network, times * ROWS
    data = Batch(rng.normal(size=(n, net.n_in)).astype(dtype), rng.integers(0, 3, n), None)
    order = np.stack([rng.permutation(n) for _ in range(net.members)], axis=1)
    steps = CompiledMembers(rules, lambda: ReferenceSteps(rules, get_backend("numpy"), dtype))
    steps.threads = lambda: min(workers, steps.most_threads)
    theta, buffers = (a.astype(dtype) for a in net.init(1))
    carry = Carry(theta, buffers, rules.optimizer.init(theta, np), dtype(0))
    keys, at = steps.words(step_keys(3, 0, sum(calls), len(net.layers) + 1)), 0
    for count in calls:
        rates = [rules.optimizer.coefficients(0.01, at + k + 1) for k in range(count)]
        rows = Rows(data, order, at * times * BATCH, times * BATCH)
        carry, at = steps.on_rows(carry, rows, keys[at : at + count], rates), at + count
    assert steps.others is None
    assert steps.suits
    return [carry.theta, carry.buffers, carry.total, *carry.moments], steps.crew.parts


@pytest.fixture(autouse=True)
def _any_work_is_shared(monkeypatch):
    monkeypatch.setattr(members, "_FEWEST_PRODUCTS", 0)


@pytest.mark.parametrize("workers", [2, 3, 5, 9])
def test_the_bits_do_not_depend_on_the_threads(workers):
    expected, _ = learned(1)
    found, parts = learned(workers)
    assert parts == min(workers, MEMBERS)
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_products_are_cut_alike_on_any_number_of_threads(monkeypatch):
    """Of more multiplications than BLAS keeps to a thread, and fewer than tiles are for."""
    layers = (Scale(64), Dense(64, 64, "relu"), Dense(64, 64, "relu"), Dense(64, 3))
    rules = Rules(Network(layers, members=3), RULES.loss, RULES.optimizer)
    found = []
    for workers, of_blas, few in ((1, 1, 0), (1, 2, 0), (2, 2, 0), (3, 2, 0), (2, 2, 1 << 60)):
        monkeypatch.setattr(members.threads, "most_blas_threads", lambda n=of_blas: n)
        monkeypatch.setattr(members, "_FEWEST_PRODUCTS", few)
        found.append(learned(workers, rules=rules, times=12)[0])
    for other in found[1:]:
        for a, e in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(a, e)


def test_without_threads_to_be_had_one_does_the_work(monkeypatch):
    expected, _ = learned(1)

    class NoThreads(Pool):
        def __init__(self, lib, parts):
            super().__init__(lib, 1)

    with monkeypatch.context() as alone:
        alone.setattr(members, "Pool", NoThreads)
        found, parts = learned(2)
    assert parts == 1
    np.testing.assert_array_equal(found[0], expected[0])

    @contextlib.contextmanager
    def refused():
        yield False

    monkeypatch.setattr(members.threads, "blas_turn", refused)
    found, parts = learned(2)
    assert parts == 1
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, e)
