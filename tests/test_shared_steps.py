"""Compiled steps that threads share; and what a fit holds in memory."""

import ctypes
import gc
import os
import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from steps_alike import LOSS, network, train_steps

from xpnn import MLPClassifier, MLPRegressor, get_backend
from xpnn.losses import get_loss
from xpnn.optimizers import get_optimizer
from xpnn.steps import threads
from xpnn.steps.compiled import library
from xpnn.steps.compiled import steps as compiled_steps
from xpnn.steps.compiled.pool import Pool
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules

NUMPY = get_backend("numpy")
pytestmark = pytest.mark.skipif(library() is None, reason="the compiled steps are not there")


def compiled(rules):
    return CompiledSteps(rules, lambda: ReferenceSteps(rules, NUMPY, np.float32))


@pytest.mark.sampled(3)
@pytest.mark.targets("numpy")
@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("hidden", [(9, 8), (33, 150)])  # fewer weights than activations, and more
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "name", ["softmax_cross_entropy", "binary_cross_entropy", "half_squared_error"]
)
def test_steps_shared_among_threads(target, name, weighted, hidden, parts, monkeypatch):
    """A loss of each kind, in one to three threads; a helper that fell asleep is woken."""
    monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows: parts)
    net = network(dropout=0.4, input_dropout=0.1, sizes=(7, *hidden, 5))
    rules = Rules(net, get_loss(name), get_optimizer("adamw"), 0.0, 0.1)
    weight = np.random.default_rng(3).uniform(size=50) if weighted else None
    if weighted:
        weight[:20] = 0.0
    reference = ReferenceSteps(rules, target.backend, target.dtype)
    expected = train_steps(target, reference, rules, weight=weight)
    steps = compiled(rules)
    for wait in (0.0, 0.05):
        time.sleep(wait)
        found = train_steps(target, steps, rules, weight=weight)
        assert steps.plan.parts == parts
        assert steps.suits, "the compiled steps were not taken"
        tol = 1e-4 if target.dtype_name == "float32" else 1e-11
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=tol, atol=tol * max(np.abs(e).max(), 1e-30))


def some_steps(parts=2, dtype=np.float32):
    """Compiled steps in so many threads, what they start from, and what they are called with."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)).astype(dtype), rng.integers(0, 5, 400)
    steps = compiled(Rules(network(sizes=(20, 30, 5)), LOSS, get_optimizer("sgd")))
    steps.threads = lambda rows: parts
    theta = steps.rules.network.init(0)[0].astype(dtype)
    return steps, (theta, np.zeros(0), (), dtype(0)), [x, y, None]


def run_steps(steps, carry, data):
    theta = carry[0].copy()
    rows = Rows(Batch(*data), None, 0, 100)
    return steps.on_rows(Carry(theta, *carry[1:]), rows, None, [(0.1,)] * 4).theta


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="the system lists no threads")
def test_threads_end_with_their_fit_and_blas_has_its_own_back():
    gc.collect()
    before, earlier = threads.blas_threads(), set(os.listdir("/proc/self/task"))
    steps, carry, data = some_steps(3)
    run_steps(steps, carry, data)
    assert len(set(os.listdir("/proc/self/task")) - earlier) == 2
    assert threads.blas_threads() == before
    del steps
    gc.collect()
    assert not set(os.listdir("/proc/self/task")) - earlier


def test_estimators_use_the_compiled_steps_for_each_kind_of_target(monkeypatch):
    calls = []
    real = CompiledSteps._call
    monkeypatch.setattr(
        CompiledSteps, "_call", lambda self: calls.append(self.plan.steps) or real(self)
    )
    monkeypatch.setenv("XPNN_COMPILED", "1")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    options = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [
            (MLPClassifier, rng.integers(0, 2, 60), {}),
            (MLPClassifier, rng.integers(0, 3, 60), {"class_weight": "balanced"}),
            (MLPClassifier, rng.integers(0, 2, (60, 3)), {}),
            (MLPRegressor, rng.normal(size=60), {}),
            (MLPRegressor, rng.normal(size=(60, 2)), {}),
        ]
        for cls, y, more in fits:
            model = cls(**options, **more)
            calls.clear()
            fast = model.fit(X, y)
            assert sum(calls) == 3, (cls, y.shape)
            monkeypatch.setenv("XPNN_COMPILED", "0")
            slow = cls(**options, **more).fit(X, y)
            monkeypatch.setenv("XPNN_COMPILED", "1")
            np.testing.assert_allclose(fast.coefs_[0], slow.coefs_[0], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(fast.loss_curve_, slow.loss_curve_, rtol=1e-10)


@pytest.mark.parametrize(
    ("sizes", "rows", "threads_of_blas", "expected"),
    [
        ((4, 16, 3), 32, 8, 1),  # would only wait
        ((64, 100, 10), 200, 8, 4),
        ((784, 256, 128, 10), 128, 8, 4),
        ((784, 256, 128, 10), 128, 2, 2),
        ((784, 256, 128, 10), 20, 8, 1),
    ],
)
def test_number_of_threads(monkeypatch, sizes, rows, threads_of_blas, expected):
    monkeypatch.setattr(threads, "blas_threads", lambda: threads_of_blas)
    rules = Rules(network(sizes=sizes), LOSS, get_optimizer("adam"))
    assert compiled(rules).threads(rows) == expected


@pytest.mark.parametrize(
    ("sizes", "rows", "limited"),
    [
        ((784, 256, 10), 32, True),
        ((784, 256, 10), 8, True),
        ((784, 256, 10), 1, False),  # all of it fewer than BLAS would share
        ((64, 100, 10), 50, False),  # cut
        ((64, 100, 10), 20, False),
    ],
)
def test_a_step_of_one_thread_keeps_blas_to_it(monkeypatch, sizes, rows, limited):
    """BLAS's threads wait for each other: beside other work a step took four times as long."""
    monkeypatch.setattr(threads, "most_blas_threads", lambda: 2)
    calls, limit = [], threads.one_blas_thread
    monkeypatch.setattr(threads, "one_blas_thread", lambda: calls.append(rows) or limit())
    steps = compiled(Rules(network(sizes=sizes), LOSS, get_optimizer("sgd")))
    rng, theta = np.random.default_rng(0), steps.rules.network.init(0)[0]
    data = Batch(rng.normal(size=(64, sizes[0])), rng.integers(0, 10, 64), None)
    carry = Carry(theta, np.zeros(0), (), np.float64(0))
    steps.on_rows(carry, Rows(data, None, 0, rows), None, [(0.1,)])
    assert steps.plan.parts == 1
    assert bool(calls) == limited


def test_fits_in_several_threads_at_a_time_do_not_meet(monkeypatch):
    monkeypatch.setenv("XPNN_COMPILED", "1")
    monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows: 2)
    before = threads.blas_threads()
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 12)), rng.integers(0, 3, 300)

    def fitted(seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MLPClassifier((20,), max_iter=6, dropout=0.3, random_state=seed)
            return model.fit(X, y).coefs_[0]

    expected = [fitted(seed) for seed in range(4)]
    found = [None] * 4

    def work(seed):
        found[seed] = fitted(seed)

    with warnings.catch_warnings():  # entered here, as filters are the process's
        warnings.simplefilter("ignore")
        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, e)
    assert threads.blas_threads() == before


@pytest.mark.parametrize("said", ["0", "1"])
def test_a_fit_holds_little_more_than_weights_moments_and_a_copy(monkeypatch, said):
    """PyTorch holds weights, gradient and two moments; the copy is of the last good epoch."""
    monkeypatch.setenv("XPNN_COMPILED", said)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 64)).astype(np.float32), rng.integers(0, 3, 200)
    options = {"batch_size": 50, "max_iter": 3, "random_state": 0, "alpha": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MLPClassifier((10,), **options).fit(X, y)  # imports
        model = MLPClassifier((700, 700), **options)
        tracemalloc.start()
        model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    weights = 4 * sum(a.size for a in (*model.coefs_, *model.intercepts_))
    assert peak < 7 * weights


def test_without_another_thread_one_does_the_work(monkeypatch):
    class NoThreads(Pool):
        def __init__(self, lib, parts):
            super().__init__(lib, 1)

    expected = run_steps(*some_steps(1))
    monkeypatch.setattr(compiled_steps, "Pool", NoThreads)
    steps, carry, data = some_steps(3)
    np.testing.assert_array_equal(run_steps(steps, carry, data), expected)
    assert steps.plan.parts == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_stored_past_the_caches_are_the_same(dtype):
    found = {}
    for said in (0, 1, 1_000_000):  # as measured, near, and far apart
        steps, carry, data = some_steps(3, dtype)
        run_steps(steps, carry, data)
        trip = library().xpnn_pool_trip
        assert trip(ctypes.c_void_p(steps.pool.handle), ctypes.c_int64(said)) > 0
        found[said] = run_steps(steps, carry, data)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[1_000_000])


@pytest.fixture
def in_a_process(processes):
    """What a new process prints whose fits take two threads; `X` and `y` are data."""
    head = (
        "CompiledSteps.threads = lambda self, rows: 2\n"
        "rng = np.random.default_rng(0)\n"
        "X, y = rng.normal(size=(300, 5)), rng.integers(0, 3, 300)\n"
    )
    return lambda body: processes.run(head + body).split()


@pytest.mark.slow
def test_threads_that_have_nothing_to_do_take_no_processor(in_a_process):
    found = in_a_process(
        "model = MLPClassifier((50,), max_iter=3, shuffle=False)  # a call an epoch\n"
        "fits = []\n"
        "real = CompiledSteps._call\n"
        "def call(self):\n"
        "    done = real(self)\n"
        "    fits.append(self.plan.parts)\n"
        "    before = time.process_time()\n"
        "    time.sleep(0.3)\n"
        "    fits.append(time.process_time() - before < 0.1)\n"
        "    return done\n"
        "CompiledSteps._call = call\n"
        "model.fit(X, y)\n"
        "print(*fits)\n"
    )
    assert found[::2] == ["2"] * 3
    assert found[3::2] == ["True"] * 2  # of the first, BLAS may be waking threads of its own


def test_a_process_may_end_during_a_fit(in_a_process):
    found = in_a_process(
        "begun = threading.Event()\n"
        "options = {'max_iter': 10**6, 'tol': 0.0, 'n_iter_no_change': 10**6}\n"
        "fit = lambda: MLPClassifier((300,), **options, callbacks=[\n"
        "    lambda end: begun.set() or False]).fit(X, y)\n"
        "threading.Thread(target=fit, daemon=True).start()\n"
        "print(begun.wait(60))\n"
    )
    assert found == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_child_forked_during_a_fit_goes_on_with_threads_of_its_own(in_a_process):
    found = in_a_process(
        "class Fork:\n"
        "    child = None\n"
        "    def __call__(self, end):\n"
        "        if end.epoch == 2:\n"
        "            self.child = os.fork()\n"
        "fork = Fork()\n"
        "model = MLPClassifier((9,), max_iter=6, random_state=0, callbacks=[fork]).fit(X, y)\n"
        "again = MLPClassifier((9,), max_iter=6, random_state=0).fit(X, y)\n"
        "same = all(np.array_equal(a, b) for a, b in zip(model.coefs_, again.coefs_))\n"
        "if fork.child == 0:\n"
        "    os._exit(0 if same else 1)\n"
        "print(same, os.waitpid(fork.child, 0)[1])\n"
    )
    assert found == ["True", "0"]


def test_a_fit_goes_on_in_a_thread_that_outlives_the_main_one(in_a_process):
    found = in_a_process(
        "def work():\n"
        "    threading.main_thread().join()\n"
        "    print(MLPClassifier((9,), max_iter=4, random_state=0).fit(X, y).n_iter_)\n"
        "threading.Thread(target=work).start()\n"
    )
    assert found == ["4"]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("softmax_cross_entropy", np.full(400, 5)),
        ("softmax_cross_entropy", np.full(400, -1)),
        ("half_squared_error", np.zeros((400, 1))),
        ("half_squared_error", np.zeros(400)),
    ],
)
def test_targets_that_do_not_fit_go_to_the_reference(loss, y):
    """Which tells, or counts them as no class; nothing is read or written outside of arrays."""
    steps, carry, data = some_steps()
    rules = Rules(steps.rules.network, get_loss(loss), get_optimizer("sgd"))
    results = []
    for each in (compiled(rules), ReferenceSteps(rules, NUMPY, np.float32)):
        try:
            results.append(run_steps(each, carry, [data[0], y.astype(y.dtype), None]))
        except ValueError as error:
            results.append(str(error))
    assert type(results[0]) is type(results[1])
    if isinstance(results[0], str):
        assert results[0] == results[1]


def test_data_in_any_memory_layout_run_compiled(monkeypatch):
    called = []
    real = CompiledSteps._call
    monkeypatch.setattr(CompiledSteps, "_call", lambda self: called.append(1) or real(self))
    steps, carry, (x, y, _) = some_steps()
    expected = run_steps(steps, carry, [x, y, None])
    fixed = x.copy()
    fixed.flags.writeable = False
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], fixed):
        called.clear()
        np.testing.assert_array_equal(run_steps(some_steps()[0], carry, [other, y, None]), expected)
        assert called
