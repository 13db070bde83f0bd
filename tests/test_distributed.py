"""Processes that train one network together: the same bits for any number of them.

They are threads here; `ci/mpi.sh` does the same by MPI.
"""

import hashlib
import os
import signal
import time

import numpy as np
import pytest
from shares import own

import xpnn
from xpnn.data import Dataset
from xpnn.distributed import RemoteError, in_threads, one, tree_sum
from xpnn.distributed.tree import SMALL, bounds
from xpnn.losses import get_loss
from xpnn.network import multilayer_perceptron
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training import train
from xpnn.training.ownrows import OwnRows

pytestmark = pytest.mark.own_context
RNG = np.random.default_rng(0)
N = 123
X = RNG.normal(size=(N, 6))
CLASSES = (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.7)
NAMES = np.asarray(["a", "b", "c"])[CLASSES]
VALUES = np.sin(X[:, :2])
WEIGHT = RNG.uniform(size=N)
SIZES = (2, 3, 8)


# -- sums and messages ----------------------------------------------------------------------------


@pytest.mark.parametrize("k", [5, SMALL // 8])  # in one message, and in pieces
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_sum_has_the_same_bits_for_any_number_of_processes(size, k):
    leaves = RNG.normal(size=(8, k)).astype(np.float32)
    a, b, c, d, e, f, g, h = leaves
    expected = ((a + b) + (c + d)) + ((e + f) + (g + h))

    def work(comm):
        cuts = bounds(8, comm.size)
        return tree_sum(comm, [v.copy() for v in leaves[cuts[comm.rank] : cuts[comm.rank + 1]]])

    for found in in_threads(work, size):
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("size", "shards"), [(16, 16), (16, 32), (16, 17), (32, 32)])
def test_many_processes_add_in_pairs_to_the_same_bits(size, shards):
    """From 16 processes on, where each has one node of the tree, and the messages are few."""
    k, sent = 1001, []
    leaves = RNG.normal(size=(shards, k)).astype(np.float32)
    expected = tree_sum(one(shards=shards), [v.copy() for v in leaves])

    def work(comm):
        cuts, exchange, count = bounds(shards, size), comm.exchange, [0]

        def counted(parts, counts):
            count[0] += sum(len(p) > 0 for r, p in enumerate(parts) if r != comm.rank)
            return exchange(parts, counts)

        comm.exchange = counted
        found = tree_sum(comm, [v.copy() for v in leaves[cuts[comm.rank] : cuts[comm.rank + 1]]])
        sent.append(count[0])
        return found

    assert all(
        found.tobytes() == expected.tobytes() for found in in_threads(work, size, shards=shards)
    )
    one_node = shards % size == 0
    assert set(sent) == {2 * int(np.log2(size)) if one_node else 2 * (size - 1)}


def test_words_between_processes():
    def work(comm):
        comm.barrier()
        rows = comm.gather_rows(np.full((comm.rank, 2), comm.rank))
        return comm.gather([comm.rank]), comm.broadcast(comm.rank, 2), rows.tolist()

    rows = [[1, 1], [2, 2], [2, 2]]
    assert in_threads(work, 3) == [([[0], [1], [2]], 2, rows)] * 3
    assert one().gather("x") == ["x"]


@pytest.mark.parametrize(
    ("given", "words"),
    [({"rows": "some"}, "rows must be"), ({"shards": 1}, "at least 2, the number of processes")],
)
def test_a_communicator_refuses(given, words):
    with pytest.raises(ValueError, match=words):
        in_threads(lambda comm: None, 2, **given)


def test_mpi_is_asked_for_by_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"pip install 'xpnn\[mpi\]'"):
        xpnn.distributed.mpi()


# -- training -------------------------------------------------------------------------------------


def trained(
    comm, target=None, *, apart=False, members=1, weight=None, loss=None, l1=0.0, **network
):
    """Parameters, statistics and losses of a short training, as bytes."""
    t = target
    backend = xpnn.get_backend("numpy") if t is None else t.backend
    name = loss or "softmax_cross_entropy"
    y = CLASSES if name == "softmax_cross_entropy" else VALUES
    n_out = 3 if y is CLASSES else 2
    net = multilayer_perceptron([6, 9, n_out], "tanh", members=members, **network)
    dtype = "float64" if t is None else t.dtype_name
    with backend.device_context():
        start = [backend.asarray(a, dtype=dtype) for a in net.init(3)]
        config = TrainingConfig(
            loss=get_loss(name),
            epochs=2,
            batch_size=50,
            l1=l1,
            l2=1e-3,
            clip_norm=5.0 if l1 else None,
        )
        state = TrainingState(*start, config.optimizer.init(start[0], backend.xp), 7)
        real = backend.float_dtype(dtype)
        if comm is not None and comm.rows == "own":
            mine = [own(comm, a) for a in (X, y, weight)]
            data = OwnRows(*mine, backend, real, comm)
        else:
            at = None
            if apart:  # each member's own rows
                at = [np.flatnonzero(np.arange(N) % members != m)[:60] for m in range(members)]
                at = np.stack(at, axis=1)
            data = Dataset(X, y, weight, backend, real, rows=at)
        out = train(net, state, data, config, comm=comm)
    arrays = [backend.to_numpy(a) for a in (out.theta, out.buffers, *out.moments)]
    return arrays, list(out.history["loss"])


CASES = {
    "plain": {},
    "weights": {"weight": WEIGHT},
    "dropout": {"dropout": 0.4, "input_dropout": 0.2},
    "batch norm": {"normalization": "batch"},
    "layer norm, own rules": {"normalization": "layer", "l1": 1e-3},
    "sum loss": {"loss": "sum_squared_error"},
    "members": {"members": 3, "dropout": 0.2},
    "members' own rows": {"members": 3, "apart": True, "weight": WEIGHT, "dropout": 0.2},
    "members, batch norm": {
        "members": 2,
        "apart": True,
        "weight": WEIGHT,
        "normalization": "batch",
    },
}


def same(found, other):
    """Whether two trainings end with the same bits."""
    arrays = all(a.tobytes() == b.tobytes() for a, b in zip(found[0], other[0], strict=True))
    return arrays and found[1] == other[1]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", CASES)
def test_one_network_of_any_number_of_processes(case):
    alone, expected = trained(None, **CASES[case]), trained(one(), **CASES[case])
    for size in SIZES:
        for found in in_threads(lambda comm: trained(comm, **CASES[case]), size):
            assert same(found, expected)
    for a, b in zip(expected[0], alone[0], strict=True):  # and the one that a fit without has
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(expected[1], alone[1], rtol=1e-9)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", ["plain", "weights", "dropout", "batch norm"])
def test_one_network_where_each_process_has_its_own_rows(case):
    expected = trained(one(rows="own"), **CASES[case])
    for size in SIZES:
        for found in in_threads(lambda comm: trained(comm, **CASES[case]), size, rows="own"):
            assert same(found, expected)


@pytest.mark.slow
@pytest.mark.dtypes("float32")  # JAX's 64-bit types are switched on for the test's own thread
@pytest.mark.parametrize("case", ["dropout", "batch norm"])
def test_one_network_on_any_library(target, case):
    expected = trained(one(), target, **CASES[case])
    each = in_threads(lambda c: trained(c, target, **CASES[case]), 2)
    assert all(same(found, expected) for found in each)
    assert np.isfinite(expected[1]).all()


def test_without_determinism_it_is_the_same_within_rounding():
    expected = trained(one())
    for found in in_threads(trained, 3, deterministic=False):
        np.testing.assert_allclose(found[0][0], expected[0][0], rtol=1e-9)


# -- estimators -----------------------------------------------------------------------------------


def fitted(comm, make, y, weight=None, **given):
    """A model's parameters as a checksum, its epochs and its last score."""
    model = make().fit(own(comm, X), own(comm, y), own(comm, weight), comm=comm, **given)
    digest = hashlib.sha256(np.ascontiguousarray(model.parameters_[0]).tobytes()).hexdigest()
    return (
        digest,
        model.n_iter_,
        model.history_.get("val_score", [0])[-1],
        model.predict(X[:9]).tolist(),
    )


def classifier(**options):
    given = {
        "random_state": 0,
        "max_iter": 5,
        "hidden_layer_sizes": 9,
        "batch_size": 32,
    }
    return xpnn.MLPClassifier(**given | options)


def regressor(**options):
    return xpnn.MLPRegressor(random_state=0, max_iter=5, batch_size=32, **options)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("rows", ["all", "own"])
@pytest.mark.parametrize(
    ("make", "y", "weight"),
    [
        (classifier, NAMES, None),
        (lambda: classifier(early_stopping=True, dropout=0.1), NAMES, None),
        (lambda: regressor(early_stopping=True), VALUES, WEIGHT),
        (lambda: classifier(solver="lbfgs"), NAMES, WEIGHT),
    ],
    ids=["classifier", "early stopping", "regressor", "lbfgs"],
)
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge", "ignore:Stochastic Optimizer")
def test_estimators(make, y, weight, rows):
    expected = fitted(one(rows=rows), make, y, weight)
    for found in in_threads(lambda comm: fitted(comm, make, y, weight), 3, rows=rows):
        assert found == expected


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_where_each_process_has_its_own_rows_all_of_them_count():
    """Rows in the order of their classes: no process has all, and one has weights of zero alone."""
    order = np.argsort(CLASSES, kind="stable")
    x, y, weight = X[order], NAMES[order], np.where(np.arange(N) < N // 2, 0.0, WEIGHT)

    def fit(comm):
        model = classifier(class_weight="balanced", warm_start=True, max_iter=2, batch_size=N)
        rows = [own(comm, a) for a in (x, y, weight)]
        model.fit(*rows, comm=comm).fit(*rows, comm=comm)
        return model.parameters_[0], model.class_weight

    (expected, given), (alone, _) = fit(one(rows="own")), fit(None)
    assert given == "balanced"
    for found, _ in in_threads(fit, 3, rows="own"):
        assert found.tobytes() == expected.tobytes()
    np.testing.assert_allclose(expected, alone, rtol=1e-7)
    with pytest.raises(ValueError, match="weights of all processes' rows are zero"):
        classifier().fit(x, y, np.zeros(N), comm=one(rows="own"))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_without_a_random_state_all_take_the_first_one_s():
    found = in_threads(lambda c: fitted(c, lambda: classifier(random_state=None), NAMES), 3)
    assert found[0] == found[1] == found[2]


def test_tabular():
    def work(comm):
        table = xpnn.TabularClassifier(n_members=4, epochs=2, random_state=0)
        return table.fit(X, NAMES, comm=comm).oof_prediction_.tobytes()

    expected = work(one())
    assert all(found == expected for found in in_threads(work, 3))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_all_go_on_from_the_first_one_s_checkpoint(tmp_path):
    def fit(comm, folder, epochs):
        checkpoint = None if folder is None else xpnn.Checkpoint(folder, every="1 epoch")
        make = lambda: classifier(max_iter=4, dropout=0.2, callbacks=stops(epochs))  # noqa: E731
        return fitted(comm, make, NAMES, checkpoint=checkpoint, resume=folder is not None)[0]

    def stops(epochs):
        return lambda end: breaks(end.epoch == epochs)

    def breaks(now):
        if now:
            raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        in_threads(lambda comm: fit(comm, tmp_path / "run", 3), 2)
    found = in_threads(lambda comm: fit(comm, tmp_path / "run", 9), 3)
    assert found == [fit(one(), None, 9)] * 3


# -- decided together -----------------------------------------------------------------------------


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
