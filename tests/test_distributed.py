"""Processes that train one network together: the same bits for any number of them.

They are threads here; `ci/mpi.sh` does the same by MPI.
"""

import numpy as np
import pytest
from in_processes import CLASSES, NAMES, RNG, N, X, classifier, fitted
from shares import own

import xpnn
from xpnn.data import Dataset
from xpnn.distributed import in_threads, one, tree_sum
from xpnn.distributed.tree import SMALL, bounds
from xpnn.losses import get_loss
from xpnn.network import multilayer_perceptron
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training.loop import train
from xpnn.training.ownrows import OwnRows

pytestmark = pytest.mark.own_context

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
