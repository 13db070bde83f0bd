"""What processes decide together: when to stop, who fails, who may go along, who speaks."""

import os
import signal
import time

import numpy as np
import pytest
from in_processes import CLASSES, NAMES, X, classifier

import xpnn
from xpnn.data import Dataset
from xpnn.distributed import RemoteError, in_threads, one
from xpnn.losses import get_loss
from xpnn.network import multilayer_perceptron
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training.loop import train

pytestmark = pytest.mark.own_context


def test_a_callback_of_one_process_stops_all():
    def work(comm):
        stop = lambda end: comm.rank == 1 and end.epoch == 2  # noqa: E731
        return classifier(callbacks=stop).fit(X, NAMES, comm=comm).n_iter_

    assert in_threads(work, 3) == [2, 2, 2]


def test_a_request_of_one_process_stops_all_in_the_same_step():
    def work(comm):
        asked = []

        def stop():
            asked.append(1)
            return comm.rank == 1 and len(asked) > 4

        net = multilayer_perceptron([6, 5, 3])
        start = TrainingState(*net.init(0), (), 0)
        config = TrainingConfig(get_loss("softmax_cross_entropy"), batch_size=20, epochs=9)
        start.moments = config.optimizer.init(start.theta, np)
        data = Dataset(X, CLASSES, None, xpnn.get_backend("numpy"), np.float64)
        end = train(net, start, data, config, comm=comm, stop=stop)
        return end.step, end.outcome

    assert len(set(in_threads(work, 3))) == 1
    assert in_threads(work, 3)[0][1] == "stopped"


@pytest.mark.skipif(os.name == "nt", reason="no signals as here")
@pytest.mark.filterwarnings("ignore:Training interrupted")
def test_ctrl_c_ends_a_fit_with_a_communicator():
    kill = lambda end: os.kill(os.getpid(), signal.SIGINT) if end.epoch == 2 else None  # noqa: E731
    model = classifier(callbacks=kill, max_iter=50).fit(X, NAMES, comm=one())
    assert model.n_iter_ == 2


def test_who_fails_ends_all_with_an_error_that_names_it():
    errors = {}

    def work(comm):
        def callback(end):
            if comm.rank == 1 and end.epoch == 2:
                raise RuntimeError("no disk")

        model = classifier(callbacks=callback)
        began = time.monotonic()
        try:
            model.fit(X, NAMES, comm=comm)
        except Exception as error:
            errors[comm.rank] = error, time.monotonic() - began, hasattr(model, "network_")
            raise

    with pytest.raises(RuntimeError, match="no disk"):
        in_threads(work, 3)
    assert [type(errors[r][0]) for r in range(3)] == [RemoteError, RuntimeError, RemoteError]
    assert str(errors[0][0]) == "rank 1 failed: RuntimeError: no disk"
    assert max(seconds for _, seconds, _ in errors.values()) < 10
    assert not any(fitted for *_, fitted in errors.values())  # as it was before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": X * 2}, 'rank 1 has other X than rank 0.*rows="own"'),
        ({"y": NAMES[::-1]}, "rank 1 has other .*y than rank 0"),
        ({"alpha": 0.5}, "rank 1 has other parameters than rank 0"),
        ({"random_state": 1}, "rank 1 has other parameters"),
    ],
    ids=["X", "y", "parameters", "seeds"],
)
def test_processes_that_do_not_go_together_are_refused(change, words):
    def work(comm):
        own_change = dict(change) if comm.rank else {}
        x, y = own_change.pop("x", X), own_change.pop("y", NAMES)
        with pytest.raises((ValueError, RemoteError), match=words):  # its own, or the other's
            classifier(**own_change).fit(x, y, comm=comm)

    in_threads(work, 2)


def test_what_needs_all_rows_says_so():
    fit = {"X": X, "y": NAMES, "comm": one(rows="own")}
    with pytest.raises(ValueError, match="several labels a row needs all rows"):
        classifier(class_weight="balanced").fit(X, X > 0, comm=one(rows="own"))
    with pytest.raises(ValueError, match="scorer that needs all rows"):
        classifier(early_stopping=True, monitor="accuracy").fit(**fit)
    with pytest.raises(ValueError, match="needs all rows in one process"):
        classifier(solver="lbfgs", normalization="batch").fit(X, NAMES, comm=one())
    with pytest.raises(TypeError, match="comm must be a communicator"):
        classifier().fit(X, NAMES, comm=2)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_one_process_alone_speaks(capsys):
    in_threads(lambda comm: classifier(verbose=True, max_iter=2).fit(X, NAMES, comm=comm), 3)
    assert capsys.readouterr().out.count("Iteration 2") == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_process_may_have_callbacks_of_its_own():
    """One shows progress: callbacks, verbose and device are no parameters of the network."""
    seen = []

    def fit(comm):
        own = [lambda end: seen.append(end.epoch)] if comm.rank == 1 else None
        model = xpnn.MLPClassifier((8,), max_iter=3, tol=0, random_state=0, callbacks=own)
        return model.fit(X, NAMES, comm=comm).coefs_[0]

    first, second = in_threads(fit, 2)
    np.testing.assert_array_equal(first, second)
    assert seen == [1, 2, 3]
