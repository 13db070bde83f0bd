"""Steps that threads share, compiled by numba; and what a fit holds in memory."""

import gc
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from test_kernels import LOSS, network, train_steps

from xpnn import MLPClassifier, MLPRegressor
from xpnn.losses import get_loss
from xpnn.optimizers import get_optimizer
from xpnn.steps import threads
from xpnn.steps.rules import ReferenceSteps, Rules

numba = pytest.importorskip("numba", reason="numba is not installed")

from xpnn.steps import numba_epoch, numba_loops  # noqa: E402
from xpnn.steps.numba import NumbaOps  # noqa: E402


@pytest.mark.targets("numpy")
@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("hidden", [(9, 8), (33, 150)])  # fewer weights than activations, and more
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "name", ["softmax_cross_entropy", "binary_cross_entropy", "half_squared_error"]
)
def test_steps_shared_among_threads(target, name, weighted, hidden, parts, monkeypatch):
    """Every compiled loss, in one to three threads; a helper that went home is called again."""
    monkeypatch.setattr(numba_epoch.FusedEpoch, "threads", lambda self, rows: parts)
    net = network(dropout=0.4, input_dropout=0.1, sizes=(7, *hidden, 5))
    rules = Rules(net, get_loss(name), get_optimizer("adamw"), 0.0, 0.1)
    weight = np.random.default_rng(3).uniform(size=50) if weighted else None
    if weighted:
        weight[:20] = 0.0
    expected = train_steps(target, ReferenceSteps(rules, target.xp), rules, weight=weight)
    steps = numba_epoch.FusedEpoch(rules, NumbaOps(np))
    for wait in (0.0, 0.05):
        time.sleep(wait)
        found = train_steps(target, steps, rules, weight=weight)
        assert steps.parts == parts
        assert steps.known, "the compiled steps were not taken"
        tol = 1e-4 if target.dtype_name == "float32" else 1e-11
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=tol, atol=tol * max(np.abs(e).max(), 1e-30))


def test_threads_end_with_their_fit_and_blas_has_its_own_back():
    before = threads.blas_threads()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)).astype(np.float32), rng.integers(0, 5, 400)
    earlier = set(threading.enumerate())  # of other tests' fits, which may not be collected yet
    ours = lambda: [t for t in threading.enumerate() if t not in earlier]  # noqa: E731
    rules = Rules(network(sizes=(20, 30, 5)), LOSS, get_optimizer("sgd"))
    steps = numba_epoch.FusedEpoch(rules, NumbaOps(np))
    steps.threads = lambda rows: 2
    theta = rules.network.init(0)[0].astype(np.float32)
    carry = theta, np.zeros(0), (), np.float32(0)
    steps.on_steps(*carry, (x, y, None), None, 0, None, [(0.1,)] * 4, theta, 100)
    assert {t.name for t in ours()} <= {"xpnn-1"}
    assert threads.blas_threads() == before
    del steps
    gc.collect()
    until = time.monotonic() + 30
    while ours() and time.monotonic() < until:
        time.sleep(0.01)
    assert not ours()


def test_a_thread_that_fails_leaves_none_waiting(monkeypatch):
    """What is raised in the caller's share reaches the caller, and the next call works."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)).astype(np.float32), rng.integers(0, 5, 400)
    rules = Rules(network(sizes=(20, 30, 5)), LOSS, get_optimizer("sgd"))
    steps = numba_epoch.FusedEpoch(rules, NumbaOps(np))
    steps.threads = lambda rows: 2
    theta = rules.network.init(0)[0].astype(np.float32)
    carry = theta, np.zeros(0), (), np.float32(0)
    rest = (x, y, None), None, 0, None, [(0.1,)] * 4, theta, 100
    real = numba_epoch.take_part

    def failing(part, *args):
        if part == 0:
            raise MemoryError("no memory")
        return real(part, *args)

    with monkeypatch.context() as patch:
        patch.setattr(numba_epoch, "take_part", failing)
        with pytest.raises(MemoryError, match="no memory"):
            steps.on_steps(*carry, *rest)
    *_, total = steps.on_steps(*carry, *rest)
    assert np.isfinite(total)
    assert steps.parts == 2


def test_estimators_use_the_compiled_steps_for_each_kind_of_target(monkeypatch):
    calls = []
    real = numba_epoch.FusedEpoch._call
    monkeypatch.setattr(numba_epoch.FusedEpoch, "_call", lambda self: calls.append(1) or real(self))
    monkeypatch.setenv("XPNN_NUMBA", "1")
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
            assert len(calls) == 3, (cls, y.shape)
            monkeypatch.setenv("XPNN_NUMBA", "0")
            slow = cls(**options, **more).fit(X, y)
            monkeypatch.setenv("XPNN_NUMBA", "1")
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
    assert numba_epoch.FusedEpoch(rules, NumbaOps(np)).threads(rows) == expected


def test_fits_in_several_threads_at_a_time_do_not_meet(monkeypatch):
    monkeypatch.setenv("XPNN_NUMBA", "1")
    monkeypatch.setattr(numba_epoch.FusedEpoch, "threads", lambda self, rows: 2)
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


def test_without_a_folder_for_compiled_code_it_is_compiled_each_time(monkeypatch):
    """As in an installation that can only be read."""
    real = numba.njit

    def njit(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **options)

    monkeypatch.setattr(numba, "njit", njit)
    assert numba_loops.jit(lambda x: x + 1)(2) == 3


@pytest.mark.parametrize("said", ["0", "1"])
def test_a_fit_holds_little_more_than_weights_moments_and_a_copy(monkeypatch, said):
    """PyTorch holds weights, gradient and two moments; the copy is of the last good epoch."""
    monkeypatch.setenv("XPNN_NUMBA", said)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 64)).astype(np.float32), rng.integers(0, 3, 200)
    options = {"batch_size": 50, "max_iter": 3, "random_state": 0, "alpha": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MLPClassifier((10,), **options).fit(X, y)  # imports and compiles
        model = MLPClassifier((700, 700), **options)
        tracemalloc.start()
        model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    weights = 4 * sum(a.size for a in (*model.coefs_, *model.intercepts_))
    assert peak < 7 * weights


def some_steps(parts=2, dtype=np.float32):
    """Compiled steps in so many threads, what they start from, and what they are called with."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)).astype(dtype), rng.integers(0, 5, 400)
    rules = Rules(network(sizes=(20, 30, 5)), LOSS, get_optimizer("sgd"))
    steps = numba_epoch.FusedEpoch(rules, NumbaOps(np))
    steps.threads = lambda rows: parts
    theta = rules.network.init(0)[0].astype(dtype)
    return steps, (theta, np.zeros(0), (), dtype(0)), [x, y, None]


def run_steps(steps, carry, data):
    theta = carry[0].copy()
    rest = tuple(data), None, 0, None, [(0.1,)] * 4, theta, 100
    return steps.on_steps(theta, *carry[1:], *rest)[0]


def test_what_fails_in_a_helping_thread_reaches_the_caller(monkeypatch):
    steps, carry, data = some_steps()
    real = numba_epoch.take_part

    def failing(part, *args):
        if part == 1:
            raise MemoryError("no memory")
        return real(part, *args)

    with monkeypatch.context() as patch:
        patch.setattr(numba_epoch, "take_part", failing)
        with pytest.raises(MemoryError, match="no memory"):
            run_steps(steps, carry, data)
    np.testing.assert_array_equal(run_steps(steps, carry, data), run_steps(*some_steps()))


def test_without_another_thread_one_does_the_work(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    steps, carry, data = some_steps(3)
    found = run_steps(steps, carry, data)
    assert steps.parts == 1
    np.testing.assert_array_equal(found, run_steps(*some_steps(1)))


def test_a_fit_goes_on_in_a_thread_that_outlives_the_main_one():
    code = (
        "import os, threading, warnings; warnings.simplefilter('ignore')\n"
        "import numpy as np\n"
        "from xpnn import MLPClassifier\n"
        "from xpnn.steps import numba_epoch\n"
        "numba_epoch.FusedEpoch.threads = lambda self, rows: 2\n"
        "rng = np.random.default_rng(0)\n"
        "X, y = rng.normal(size=(300, 5)), rng.integers(0, 3, 300)\n"
        "def work():\n"
        "    threading.main_thread().join()\n"
        "    print(MLPClassifier((9,), max_iter=4, random_state=0).fit(X, y).n_iter_)\n"
        "threading.Thread(target=work).start()\n"
    )
    environment = {**os.environ, "XPNN_NUMBA": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["4"], done.stderr


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
    rules = Rules(steps.network, get_loss(loss), get_optimizer("sgd"))
    results = []
    for each in (numba_epoch.FusedEpoch(rules, NumbaOps(np)), ReferenceSteps(rules, np)):
        try:
            results.append(run_steps(each, carry, [data[0], y.astype(y.dtype), None]))
        except ValueError as error:
            results.append(str(error))
    assert type(results[0]) is type(results[1])
    if isinstance(results[0], str):
        assert results[0] == results[1]


def test_data_in_any_memory_layout_run_compiled(monkeypatch):
    called = []
    real = numba_epoch.FusedEpoch._call
    monkeypatch.setattr(
        numba_epoch.FusedEpoch, "_call", lambda self: called.append(1) or real(self)
    )
    steps, carry, (x, y, _) = some_steps()
    expected = run_steps(steps, carry, [x, y, None])
    fixed = x.copy()
    fixed.flags.writeable = False
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], fixed):
        called.clear()
        np.testing.assert_array_equal(run_steps(some_steps()[0], carry, [other, y, None]), expected)
        assert called
