"""BLAS's threads: what a fit sets it sets back, whatever other threads and processes do."""

import os
from types import SimpleNamespace

import pytest

from xpnn.steps import threads
from xpnn.steps.compiled import library

BEGIN = """
def limits():
    return {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}

if limits() != {2}:
    print("no BLAS with two threads")
    sys.exit()
rng = np.random.default_rng(0)
X, y = rng.normal(size=(600, 8)), rng.integers(0, 3, 600)

def fit(seed=0, **options):
    options = {"max_iter": 4, "shuffle": False, "dropout": 0.2} | options  # a call an epoch
    return MLPClassifier((20,), random_state=seed, **options).fit(X, y).coefs_[0]

def in_thread(work):
    failures = []
    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(120)
    assert not thread.is_alive(), "it does not end"
    if failures:
        raise failures[0]

seen, looks = [], limits  # what each call of compiled steps is told, and what is true
turn = threads.blas_turn

@contextmanager
def watched():
    with turn() as alone:
        seen.append((alone, looks() == {1}))
        yield alone
        seen.append((alone, looks() == {1}))
"""
SHARED = """
threads.blas_turn = watched
CompiledSteps.threads = lambda self, rows: 2
"""


@pytest.fixture
def run(processes):
    """Runs a script in a process where BLAS has two threads."""

    def run(code, begin=BEGIN):
        if processes.run(begin + code).startswith("no BLAS"):
            pytest.skip("BLAS has one thread here, or is not known to threadpoolctl")

    return run


@pytest.fixture
def run_fits(run):
    """`run` where steps are compiled, and take two threads."""
    if library() is None:
        pytest.skip("this installation has no compiled steps")
    return lambda code: run(code, BEGIN + SHARED)


@pytest.mark.slow
def test_a_limit_is_taken_and_given_back_in_any_thread(run):
    run(
        """
def once():
    for use in (threads.one_blas_thread, threads.blas_turn):
        with use() as alone:
            assert alone and limits() == {1}
            with threads.one_blas_thread() as again:
                assert again and limits() == {1}
            assert limits() == {1}
        assert limits() == {2}
once()
in_thread(once)
once()
"""
    )


@pytest.mark.slow
def test_ones_own_limit_works_in_another_thread_after_a_fit(run_fits):
    run_fits(
        """
def limit():
    with threadpool_limits(1, user_api="blas"):
        assert limits() == {1}
    assert limits() == {2}
fit()
in_thread(limit)
in_thread(fit)
limit()
in_thread(limit)
assert seen and all(all(pair) for pair in seen)
"""
    )


def test_fits_after_one_another_in_two_threads_share_their_steps(run_fits):
    run_fits(
        """
expected = fit()
found = []
in_thread(lambda: found.append(fit()))
np.testing.assert_array_equal(found[0], expected)
assert len(seen) >= 16 and all(all(pair) for pair in seen), seen
assert limits() == {2}
"""
    )


def test_fits_at_a_time_leave_blas_as_it_was(run_fits):
    """Each of their calls has products of its own alone, so the others' number changes nothing."""
    run_fits(
        """
expected = [fit(seed) for seed in range(3)]
found = [[] for _ in range(3)]
def work(seed):
    for _ in range(5):
        found[seed].append(fit(seed))
workers = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join(200)
assert [len(each) for each in found] == [5, 5, 5], "they do not end"
for each, right in zip(found, expected):
    for coefs in each:
        np.testing.assert_array_equal(coefs, right)
assert all(all(pair) for pair in seen)
assert limits() == {2}
in_thread(lambda: [threadpool_limits(1, user_api="blas")])
"""
    )


def test_limits_that_overlap_end_with_the_last(run):
    run(
        """
inside, leave = threading.Event(), threading.Event()
def first():
    with threads.one_blas_thread():
        inside.set()
        assert leave.wait(60)
worker = threading.Thread(target=first, daemon=True)
worker.start()
assert inside.wait(60)
before = threads.blas_threads()
with threads.one_blas_thread() as alone:
    assert alone and limits() == {1}
    assert threads.blas_threads() == before
    leave.set()
    worker.join(60)
    assert limits() == {1}
assert limits() == {2}
assert threads.blas_threads() == before
with threadpool_limits(1, user_api="blas"):  # which any thread may set now
    assert limits() == {1}
in_thread(lambda: threadpool_limits(1, user_api="blas").__enter__().__exit__(None, None, None))
assert limits() == {2}
"""
    )


def test_where_a_limit_does_not_take_one_thread_does_the_work(run_fits):
    """As from threadpoolctl 3.8 on, while a limit of another thread's is in force."""
    run_fits(
        """
theirs = threadpool_limits(2, user_api="blas")  # in force until restored, or its thread ends
in_thread(fit)
for alone, one in seen:
    assert alone == one, "helping threads would meet in BLAS"
assert limits() == {2}
helpers = [t for t in threading.enumerate() if t.name.startswith("xpnn")]
assert not helpers or all(alone for alone, _ in seen)
"""
    )


def test_a_run_of_small_products_leaves_compiled_steps_their_threads(run):
    """A tabular fit keeps NumPy's products to one thread; compiled steps may share among more."""
    run(
        """
import joblib
from sklearn.datasets import load_iris
from xpnn import TabularClassifier
joblib.cpu_count = lambda: 2
told = []
def callback(end):
    told.append((limits(), threads.blas_threads()))
def train():
    X, y = load_iris(return_X_y=True)
    TabularClassifier(random_state=0, epochs=2, callbacks=[callback]).fit(X, y)
train()
in_thread(train)
assert told == [({1}, 2)] * 4, told
assert limits() == {2}
"""
    )


@pytest.mark.slow
def test_fits_in_joblibs_threads_share_the_processors(run):
    """Each works in one thread of two, and BLAS has no threads from the first to the last fit."""
    if library() is None:
        pytest.skip("this installation has no compiled steps")
    run(
        """
import joblib
threads.blas_turn = watched
joblib.cpu_count = lambda: 2
told, parts, begin = [], [], CompiledSteps.prepare
def prepare(self, *given):
    begin(self, *given)
    parts.append(self.plan.parts)
CompiledSteps.prepare = prepare
rows = rng.normal(size=(2048, 64)).astype("float32")
def one(seed):
    told.append(threads.blas_threads())
    look = lambda end: told.append(limits())
    MLPClassifier((256,), max_iter=2, batch_size=1024, callbacks=look).fit(rows, rows[:, 0] > 0)
joblib.Parallel(2, backend="threading")(joblib.delayed(one)(seed) for seed in range(4))
assert told.count(1) == 4 and told.count({1}) == 8, told
assert parts == [1] * 4 and not seen
assert limits() == {2}
in_thread(lambda: one(4))  # not joblib's
assert parts[-1] == 2 and seen and told[-3] == 2
"""
    )


def test_somebody_elses_limit_that_ends_in_ours_does_not_come_back(run):
    run(
        """
with threadpool_limits(1, user_api="blas") as theirs:
    assert threads.blas_threads() == 1
    with threads.one_blas_thread() as alone:
        assert alone
        theirs.restore_original_limits()
    assert limits() == {2}
"""
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_forks_while_a_fit_runs_in_another_thread(run_fits):
    """The parent's fits go on, the child can fit, and both have BLAS's threads."""
    run_fits(
        """
looks = lambda: {1}  # threadpoolctl is not to be used in one thread while another one forks
done, enough = [0], threading.Event()
def work():
    while not enough.is_set():
        fit()
        done[0] += 1
def more():
    goal = done[0] + 2
    for _ in range(6000):
        if done[0] >= goal:
            return
        enough.wait(0.01)
    os._exit("the parent's fits do not go on" and 3)
worker = threading.Thread(target=work, daemon=True)
worker.start()
more()
for _ in range(3):
    child = os.fork()
    if child == 0:
        seen.clear()
        looks = limits
        ok = limits() == {2}
        fit()
        ok = ok and limits() == {2} and all(all(pair) for pair in seen)
        in_thread(fit)
        os._exit(0 if ok and limits() == {2} else 1)
    assert os.waitpid(child, 0)[1] == 0
    more()
enough.set()
worker.join(60)
assert limits() == {2}
assert all(all(pair) for pair in seen)
"""
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_child_of_the_thread_with_the_limit_takes_it_back(run):
    run(
        """
with threads.blas_turn():
    child = os.fork()
ok = limits() == {2}
with threads.blas_turn() as alone:
    ok = ok and alone
ok = ok and limits() == {2}
if child == 0:
    os._exit(0 if ok else 1)
assert ok and os.waitpid(child, 0)[1] == 0
"""
    )


def test_a_limit_of_each_thread_is_not_enough(monkeypatch):
    """MKL's, and OpenBLAS's over OpenMP, would not hold in helping threads."""

    class Controller:
        def __init__(self, *libraries):
            self.libraries = libraries
            self.lib_controllers = [SimpleNamespace(num_threads=8) for _ in libraries]

        def info(self):
            return [{"num_threads": 8, **library} for library in self.libraries]

    openblas = {"internal_api": "openblas", "threading_layer": "pthreads"}
    for libraries, most in [
        ((openblas,), 8),
        ((openblas, {"internal_api": "blis"}), 8),
        (({"internal_api": "mkl", "threading_layer": "intel"},), 1),
        ((openblas, {"internal_api": "openblas", "threading_layer": "openmp"}), 1),
        ((), 1),  # Apple's Accelerate, of which threadpoolctl knows nothing
    ]:
        monkeypatch.setattr(threads, "_blas", lambda libraries=libraries: Controller(*libraries))
        monkeypatch.setattr("joblib.cpu_count", lambda: 16)
        assert threads.blas_threads() == most, libraries
