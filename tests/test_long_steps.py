"""Steps that take long by themselves: Ctrl-C ends one, and then it was never begun."""

import os
import signal
import threading
import warnings
from itertools import count, pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from small_training import network, run
from test_member_threads import RULES as MEMBERS
from test_member_threads import learned

from xpnn import MLPRegressor
from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import get_optimizer
from xpnn.schedules import get_schedule
from xpnn.steps import rules as _rules
from xpnn.steps.compiled import library, watch
from xpnn.steps.compiled.members import CompiledMembers
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.compiled.sums import CompiledSums
from xpnn.steps.compiled.watch import Watch
from xpnn.steps.rules import Batch, Carry, Rows, Rules, StepInterrupted

pytestmark = [
    pytest.mark.skipif(library() is None, reason="the compiled steps are not there"),
    pytest.mark.own_context,
]
LOSS = get_loss("softmax_cross_entropy")
ROWS = 700


@pytest.fixture(autouse=True)
def _any_step_is_long(monkeypatch):
    monkeypatch.setattr(_rules, "_MULTIPLICATIONS_APART", 1.0)


def one_step(steps, carry, sparse, rows=ROWS):
    """A step on some rows; its carry is made anew."""
    rng, net = np.random.default_rng(0), steps.rules.network
    x = rng.normal(size=(rows, net.n_in)).astype(carry.theta.dtype)
    data = Batch(sp.csr_array(x) if sparse else x, rng.integers(0, 3, rows), None)
    keys = np.arange(2 * len(net.layers) + 2, dtype=np.uint32).reshape(1, -1, 2)
    return steps.on_rows(carry, Rows(data, None, 0, rows), keys, [(0.1, 0.1)])


def begin(rules, dtype=np.float32):
    theta, buffers = (a.astype(dtype) for a in rules.network.init(1))
    return Carry(theta, buffers, rules.optimizer.init(theta, np), dtype(0))


def arrays(carry):
    """Copies of all that a step may change."""
    return [np.array(a) for a in (carry.theta, carry.buffers, carry.total, *carry.moments)]


def assert_same(found, expected):
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def layers(*sizes, **about):
    hidden = [Dense(a, b, "tanh", 0.2, **about) for a, b in pairwise(sizes)]
    return (*hidden, Dense(sizes[-1], 3))


KINDS = {
    "many rows": (layers(20, 64, 64), {}),
    "batch": (layers(20, 64, 64, normalization="batch"), {}),
    "layer": (layers(20, 64, 64, normalization="layer"), {"clip_norm": 0.1}),
    "limits": (layers(20, 64, 64), {"l1": 0.1, "limit": 0.5}),
}


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_ended_was_never_begun(kind, sparse, parts, monkeypatch):
    """Wherever in it that happens; the next one is what it would have been."""
    monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows: parts)
    net, about = KINDS[kind]
    check(Rules(Network(net), LOSS, get_optimizer("adam"), **about), sparse, monkeypatch)


def test_many_weights_learn_after_the_last_look(monkeypatch):
    """Their gradient is made at once, where it takes long, and not in pieces that learn."""
    monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows: 2)
    check(Rules(Network(layers(20, 1500, 1500)), LOSS, get_optimizer("sgd")), False, monkeypatch, 2)


def check(rules, sparse, monkeypatch, looks_at_most=5):
    monkeypatch.setattr(watch, "_APART", 0.0)
    expected = arrays(one_step(CompiledSteps(rules, None, sparse), begin(rules), sparse))
    before, looks = arrays(begin(rules)), []
    steps = CompiledSteps(rules, None, sparse, lambda: next(looks[-1]) >= len(looks) - 1)
    for _ in range(looks_at_most):  # at the first look, the second, ...
        looks.append(count())
        carry = begin(rules)
        try:
            carry = one_step(steps, carry, sparse)
        except StepInterrupted:
            assert_same(arrays(carry), before)
        else:
            assert len(looks) > 1
            assert_same(arrays(carry), expected)
    steps.watch.interrupted = None
    assert_same(arrays(one_step(steps, carry := begin(rules), sparse)), expected)
    assert steps.plan.stop == steps.watch.address


@pytest.mark.parametrize("workers", [1, 3, 5])
def test_members_have_learned_all_or_none(workers, monkeypatch):
    """Those that were done when it was ended, too."""
    expected, _ = learned(workers)
    calls, real, before = [], CompiledMembers.on_rows, []

    def on_rows(self, carry, *rest):
        """The second call is ended, after one member or more, and made once more."""
        calls.append(1)
        if len(calls) == 2:
            before[:] = arrays(carry)
            for looks in range(4):
                ends = count()
                self.watch.interrupted = lambda e=ends, n=looks: next(e) >= n
                try:
                    done = real(self, carry, *rest)
                except StepInterrupted:
                    assert_same(arrays(carry), before)
                else:
                    return done
            self.watch.interrupted = None
        return real(self, carry, *rest)

    monkeypatch.setattr(watch, "_APART", 0.0)
    monkeypatch.setattr(CompiledMembers, "on_rows", on_rows)
    found, _ = learned(workers)
    assert before
    assert_same(found, expected)
    assert MEMBERS.network.members == 5


def test_a_handler_that_raises_is_told_once_nobody_works(monkeypatch):
    """A second Ctrl-C does, and a time limit by SIGALRM."""
    threads = threading.active_count()

    asked = count()

    def raises():
        if next(asked):
            raise TimeoutError("too long")
        return False

    rules = Rules(Network(layers(20, 64)), LOSS, get_optimizer("sgd"))
    steps = CompiledSteps(rules, None, False, raises)
    monkeypatch.setattr(watch, "_APART", 0.0)
    with pytest.raises(TimeoutError, match="too long"):
        one_step(steps, begin(rules), False, rows=20_000)
    assert threading.active_count() == threads


def test_outside_the_main_thread_nobody_asks():
    found = []
    thread = threading.Thread(target=lambda: found.append(Watch(lambda: True).run(lambda: 7)))
    thread.start()
    thread.join()
    assert found == [7]


def presses(monkeypatch, at):
    """Ctrl-C in the `at`-th call of compiled code."""
    calls, real = [], CompiledSteps._call

    def call(self):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self)

    monkeypatch.setattr(CompiledSteps, "_call", call)


@pytest.mark.parametrize("at", [2, 5, 9])
def test_training_stands_where_it_was_before_the_step(at, monkeypatch):
    """The numbers of steps, the rate and the statistics; a batch may be an epoch's last."""
    net = network(dropout=0.2) if at == 2 else network(normalization="batch")
    about = {"schedule": get_schedule("cosine"), "epochs": 3}
    steps, real = [], CompiledSteps.on_rows

    def on_rows(self, carry, *rest):
        steps.append(arrays(carry))
        return real(self, carry, *rest)

    monkeypatch.setattr(CompiledSteps, "on_rows", on_rows)
    whole = run(net=net, **about)
    expected, steps[:] = steps[at - 1], []
    assert whole.step > at
    presses(monkeypatch, at)
    with pytest.warns(UserWarning, match="interrupted by user"):
        state = run(net=net, **about)
    assert (state.outcome, state.step, state.t) == ("interrupted", at - 1, at - 1)
    assert_same([state.theta, state.buffers, *state.moments], [*expected[:2], *expected[3:]])
    assert state.epoch == (at - 1) // 5


def test_a_real_ctrl_c_ends_a_step():
    """In the middle of one, as far as the clock goes; the weights are those of whole steps."""
    rng, shape = np.random.default_rng(0), {"random_state": 0, "batch_size": 2048}
    x, y = rng.normal(size=(2048, 30)).astype(np.float32), rng.normal(size=2048)

    def press(end):
        if end.epoch == 2:
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()

    model = MLPRegressor(hidden_layer_sizes=(300, 300), max_iter=200, callbacks=[press], **shape)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(x, y)
    assert 2 <= model.n_iter_ < 200
    whole = MLPRegressor(
        hidden_layer_sizes=(300, 300), max_iter=model.n_iter_, callbacks=[], **shape
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        whole.fit(x, y)
    assert_same(model.coefs_ + model.intercepts_, whole.coefs_ + whole.intercepts_)


def test_a_fit_goes_on_with_the_step_that_was_ended(tmp_path, monkeypatch):
    """A checkpoint is of what was before it."""
    rng = np.random.default_rng(0)
    x, y, about = rng.normal(size=(90, 5)), rng.normal(size=90), {"batch_size": 20, "max_iter": 4}
    about |= {"normalization": "batch", "dropout": 0.2, "random_state": 0, "tol": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = MLPRegressor(hidden_layer_sizes=(8,), **about).fit(x, y)
        with monkeypatch.context() as patch:
            presses(patch, 8)
            cut = MLPRegressor(hidden_layer_sizes=(8,), **about).fit(
                x, y, checkpoint=tmp_path / "run"
            )
        assert cut.t_ < whole.t_
        cut = MLPRegressor(hidden_layer_sizes=(8,), **about).fit(
            x, y, checkpoint=tmp_path / "run", resume=True
        )
    assert_same(cut.coefs_ + cut.intercepts_, whole.coefs_ + whole.intercepts_)
    np.testing.assert_array_equal(cut.predict(x), whole.predict(x))


def test_an_evaluation_is_ended_within_a_block(monkeypatch):
    net = Network(layers(20, 64))
    theta, buffers = net.init(1)
    x, ends = np.random.default_rng(0).normal(size=(90, 20)), []
    found = CompiledSums(net, LOSS, None, lambda: bool(ends))
    expected = found(theta, buffers, (x, np.zeros(90, dtype=np.int64), None))
    ends.append(1)
    with pytest.raises(StepInterrupted):
        found(theta, buffers, (x, np.zeros(90, dtype=np.int64), None))
    ends.clear()
    again = found(theta, buffers, (x, np.zeros(90, dtype=np.int64), None))
    assert_same(again, expected)


@pytest.mark.parametrize("products", ["BLAS", "AVX512"])
def test_products_in_pieces_are_those_in_one(products, monkeypatch):
    """BLAS's have no end of their own: they are cut where one takes milliseconds."""
    monkeypatch.setenv("XPNN_PRODUCTS", products)
    rules = Rules(Network(layers(301, 700, 300)), LOSS, get_optimizer("sgd"))
    found = arrays(one_step(CompiledSteps(rules, None), begin(rules, np.float64), False))
    monkeypatch.setattr(_rules, "_MULTIPLICATIONS_APART", 1e15)
    expected = arrays(one_step(CompiledSteps(rules, None), begin(rules, np.float64), False))
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12)
