"""Callbacks and scorers run as their author would expect: in the context that fit was called in."""

import os
import signal
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from xpnn import MLPClassifier
from xpnn.arrays.backend import get_backend
from xpnn.training.work import Work


@pytest.fixture(autouse=True)
def _quiet():
    """Three epochs do not converge, which is no matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    return x, (x[:, 0] > 0).astype(int)


def classifier(**options):
    options = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0} | options
    return MLPClassifier(n_iter_no_change=1000, **options)


class Watch:
    """Calls a function in each hook and notes what it returns."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def on_begin(self, epochs):
        self.seen.append(self.look())

    def __call__(self, end):
        self.seen.append(self.look())
        end.state()
        self.seen.append(self.look())

    def on_end(self):
        self.seen.append(self.look())


def scorer_of(look, seen):
    def score(model, X, y):
        seen.append(look())
        return model.score(X, y)

    return score


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_have_the_callers_errstate(solver):
    watch, seen = Watch(np.geterr), []
    monitor = scorer_of(np.geterr, seen) if solver == "adam" else "auto"
    with np.errstate(over="raise", divide="print", invalid="warn", under="ignore"):
        mine = np.geterr()
        classifier(solver=solver, callbacks=[watch], monitor=monitor).fit(
            *rows(), validation_data=rows()
        )
        assert np.geterr() == mine
    assert len(watch.seen) >= 5
    assert solver == "lbfgs" or len(seen) == 3
    assert all(each == mine for each in watch.seen + seen)


def test_an_errstate_set_in_a_callback_stays_as_anywhere():
    before = np.geterr()
    try:
        classifier(callbacks=[lambda end: np.seterr(over="raise") and None]).fit(*rows())
        assert np.geterr()["over"] == "raise"
    finally:
        np.seterr(**before)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_have_the_callers_grad_mode(solver):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, y = (torch.from_numpy(a) for a in rows())
    slopes = []

    def slope():
        w = torch.ones((), requires_grad=True)
        (w * w).backward()
        slopes.append(float(w.grad))
        return torch.is_grad_enabled()

    seen = []
    monitor = scorer_of(slope, seen) if solver == "adam" else "auto"
    watch = Watch(slope)
    model = classifier(solver=solver, callbacks=[watch], monitor=monitor)
    model.fit(x, y, validation_data=(x, y))
    assert all(watch.seen + seen)
    assert set(slopes) == {2.0}
    with torch.no_grad():
        watch = Watch(torch.is_grad_enabled)
        classifier(callbacks=[watch]).fit(x, y)
    assert not any(watch.seen)


def test_callbacks_of_scikit_learn_have_the_callers_context():
    class Callback:
        seen: list = []  # noqa: RUF012

        def setup(self, estimator, context):
            self.seen.append(np.geterr())

        def on_fit_task_begin(self, *args, **kwargs):
            self.seen.append(np.geterr())

        def on_fit_task_end(self, *args, **kwargs):
            self.seen.append(np.geterr())

        def teardown(self, estimator, context):
            self.seen.append(np.geterr())

    if not hasattr(classifier(), "set_callbacks"):
        pytest.skip("this scikit-learn has no callbacks")
    with np.errstate(over="raise"):
        mine = np.geterr()
        classifier().set_callbacks(Callback()).fit(*rows())
    assert len(Callback.seen) >= 8
    assert all(each == mine for each in Callback.seen)


@pytest.mark.targets("cupy:0", "jax:cpu")
def test_callbacks_have_the_callers_device(target):
    """What the library's own context says is current, and what is made without a device."""
    if target.backend.name.startswith("cupy"):
        import cupy

        current = cupy.cuda.runtime.getDevice
    else:
        import jax

        current = lambda: jax.config.jax_default_device  # noqa: E731
    x, y = (target.backend.asarray(a) for a in rows())
    watch, before = Watch(current), current()
    classifier(callbacks=[watch], dtype="float32").fit(x, y)
    assert all(each == before for each in watch.seen)
    assert current() == before


def test_the_contexts_end_with_the_work_also_after_an_error():
    def over():
        return np.geterr()["over"]

    def leave(work):
        with work.outside():
            assert over() == "raise"
            with work.inside():
                assert over() == "ignore"
            raise KeyError

    def begin():
        with Work(get_backend("numpy")) as work:
            assert over() == "ignore"
            with pytest.raises(KeyError):
                leave(work)
            assert over() == "ignore"
            raise IndexError

    with np.errstate(over="raise"):
        with pytest.raises(IndexError):
            begin()
        assert over() == "raise"


# -- attributes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("stop", [False, True])
def test_attributes_that_a_callback_sets_survive(solver, stop):
    def callback(end):
        model.seen_ = getattr(model, "seen_", 0) + 1
        model.set_params(verbose=False, alpha=0.25)
        return stop

    model = classifier(solver=solver, callbacks=[callback], verbose=0)
    model.fit(*rows())
    assert model.seen_ == model.n_iter_ == (1 if stop else 3)
    assert (model.alpha, model.verbose) == (0.25, False)
    model.set_params(alpha=1e-4)
    model.note, model.old = "mine", 1
    model.fit(*rows())
    assert model.seen_ == (2 if stop else 6)
    assert (model.note, model.old) == ("mine", 1)


def test_attributes_that_a_callback_sets_survive_partial_fit():
    def callback(end):
        model.calls_ = getattr(model, "calls_", 0) + 1
        model.__dict__.pop("scratch", None)

    model = classifier(callbacks=callback)
    model.scratch = 1
    for _ in range(2):
        model.partial_fit(*rows(), classes=[0, 1])
    assert model.calls_ == 2
    assert not hasattr(model, "scratch")


def test_what_fit_has_found_goes_before_what_a_callback_sets():
    def callback(end):
        model.loss_, model.n_iter_ = "mine", -1

    model = classifier(callbacks=[callback])
    model.fit(*rows())
    assert model.loss_ == model.loss_curve_[-1]
    assert model.n_iter_ == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_attributes_survive_a_fit_that_fails(error):
    def callback(end):
        model.seen_ = end.epoch
        if end.epoch == 2:
            raise error

    model = classifier(callbacks=[callback])
    with pytest.raises(error):
        model.fit(*rows())
    assert model.seen_ == 2
    assert not hasattr(model, "network_")


def test_attributes_survive_a_divergence():
    from xpnn import DivergedError, MLPRegressor

    def callback(end):
        model.seen_ = end.epoch

    x, y = rows()
    model = MLPRegressor(
        hidden_layer_sizes=(4,), solver="sgd", learning_rate_init=1e6, callbacks=[callback]
    )
    with np.errstate(all="ignore"), pytest.raises(DivergedError):
        model.fit(x, 1e3 * y)
    assert model.seen_ >= 1


# -- processes and signals -------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")


def exit_status(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")
@pytest.mark.parametrize("compiled", ["0", "1"])
def test_a_child_forked_in_a_callback_can_fit(monkeypatch, compiled):
    """A fit of its own, and the one that it is in."""
    monkeypatch.setenv("XPNN_COMPILED", compiled)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 64)), rng.integers(0, 3, 600)  # enough that threads share steps
    options = {"hidden_layer_sizes": (256,), "batch_size": 200}
    expected = classifier(**options).fit(X, y).coefs_[0]
    pids = []

    def callback(end):
        if end.epoch == 2:
            pids.append(os.fork())
            if pids[0] == 0:
                signal.alarm(100)  # ends a child that hangs
                own = classifier(**options).fit(X, y).coefs_[0]
                if not np.array_equal(own, expected):
                    os._exit(2)

    try:
        found = classifier(callbacks=[callback], **options).fit(X, y).coefs_[0]
        if pids[0] == 0:
            os._exit(0 if np.array_equal(found, expected) else 3)
    finally:
        if pids and pids[0] == 0:
            os._exit(4)
    assert exit_status(pids[0]) == 0
    np.testing.assert_array_equal(found, expected)


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning", "ignore:.*fork:RuntimeWarning")
def test_ctrl_c_in_a_child_forked_in_a_callback_is_the_childs():
    pids = []

    def callback(end):
        if end.epoch == 1:
            pids.append(os.fork())
            if pids[0] == 0:
                status = 5
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except KeyboardInterrupt:
                    status = 0
                finally:
                    os._exit(status)

    model = classifier(callbacks=[callback]).fit(*rows())
    assert exit_status(pids[0]) == 0
    assert model.n_iter_ == 3


def test_a_handler_of_ctrl_c_that_a_callback_sets_stays():
    def mine(signum, frame):
        pass

    before = signal.getsignal(signal.SIGINT)
    try:
        classifier(callbacks=[lambda end: signal.signal(signal.SIGINT, mine) and None]).fit(*rows())
        assert signal.getsignal(signal.SIGINT) is mine
        signal.signal(signal.SIGINT, before)
        classifier().fit(*rows())
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, before)
