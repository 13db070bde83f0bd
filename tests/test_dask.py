"""Dask: the same network on any number of workers, from any partitions.

The workers are threads of this process here; `ci/dask.sh` has processes, and kills some.
"""

import hashlib
import pickle
import threading

import numpy as np
import pytest
from sklearn.base import clone

import xpnn
from xpnn.distributed import one

pytest.importorskip("distributed")
import dask
import dask.array as da
from distributed import Client, LocalCluster

import xpnn.dask as xd
from xpnn.dask import fitting
from xpnn.distributed.workers import WorkerLostError, on_workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
RNG = np.random.default_rng(0)
N = 200
X = RNG.normal(size=(N, 5))
Y = np.sort((X[:, 0] > 0).astype(int) + (X[:, 2] > 0.5))  # no partition has all classes
NAMES = np.asarray(["a", "b", "c"])[Y]
WEIGHT = np.where(np.arange(N) < 100, 0.0, RNG.uniform(size=N))
GIVEN = {"hidden_layer_sizes": 7, "batch_size": 32, "max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def client():
    with dask.config.set({"distributed.admin.system-monitor.gil.enabled": False}):
        cluster = LocalCluster(
            n_workers=3, threads_per_worker=1, processes=False, dashboard_address=":0"
        )
        with cluster, Client(cluster) as client:
            yield client


def cut(a, rows=30):
    """An array of Dask's."""
    return da.from_array(a, chunks=(rows, *a.shape[1:]))


def classifier(**options):
    return xd.MLPClassifier(**GIVEN | options)


def alone(y, weight=None, **options):
    """The ordinary estimator, as one process."""
    model = xpnn.MLPClassifier(**GIVEN | options)
    return digest(model.fit(X, y, weight, comm=one(rows="own")))


def digest(model):
    arrays = (np.ascontiguousarray(a).tobytes() for a in model.parameters_)
    return hashlib.sha256(b"".join(arrays)).hexdigest()


# -- the same network -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "weight", "options"),
    [
        (Y, None, {"dropout": 0.2, "normalization": "batch"}),
        (NAMES, WEIGHT, {"early_stopping": True, "class_weight": "balanced"}),
        (Y, WEIGHT, {"solver": "lbfgs"}),
    ],
    ids=["dropout, batch norm", "names, weights, early stopping", "lbfgs"],
)
def test_one_network_from_any_partitions_on_any_number_of_workers(client, y, weight, options):
    expected = alone(y, weight, **options)
    workers = sorted(client.nthreads())
    for rows, count in ((30, 3), (N, 3), (70, 2)):
        given = [cut(a, rows) for a in (X, y, weight) if a is not None]
        given = client.persist(given, workers=workers[:count])  # the others do not take part
        model = classifier(**options).fit(*given)
        assert digest(model) == expected
    np.testing.assert_array_equal(model.classes_, np.unique(y))


def test_futures_and_frames_are_partitions(client):
    pandas, frames = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    expected = alone(NAMES)
    starts = range(0, N, 50)
    parts = [client.scatter([a[i : i + 50] for i in starts], hash=False) for a in (X, NAMES)]
    model = classifier().fit(*parts)
    assert digest(model) == expected
    found = client.gather(model.predict(parts[0]))
    np.testing.assert_array_equal(np.concatenate(found), model.predict(X))
    table = pandas.DataFrame(X, columns=list("abcde"))
    frame = frames.from_pandas(table.assign(y=NAMES), npartitions=3)
    x, y = frame[list("abcde")], frame["y"]
    model = classifier().fit(x, y)
    assert digest(model) == expected
    assert model.feature_names_in_.tolist() == list("abcde")
    probability = model.predict_proba(x)
    assert probability.shape[1] == 3
    assert probability.dtype == np.float64
    np.testing.assert_array_equal(probability.compute(), model.to_local().predict_proba(table))
    assert model.score(x, y) == model.to_local().score(table, NAMES)


def test_regression_and_validation_data(client):
    target = X[:, :2] * 2
    given = {"hidden_layer_sizes": 7, "max_iter": 3, "random_state": 0, "monitor": "val_loss"}
    ordinary = xpnn.MLPRegressor(**given)
    ordinary.fit(X, target, validation_data=(X[:40], target[:40]), comm=one(rows="own"))
    model = xd.MLPRegressor(**given)
    held = cut(X[:40]), cut(target[:40])
    model.fit(cut(X), cut(target), validation_data=held)
    assert digest(model) == digest(ordinary)
    assert model.history_ == ordinary.history_
    assert model.score(cut(X), cut(target)) == pytest.approx(ordinary.score(X, target))
    lazy = model.predict(cut(X))
    assert (lazy.shape, lazy.chunks[1]) == ((N, 2), (2,))


def test_tables(client):
    pandas, frames = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    table = pandas.DataFrame({"a": X[:, 0], "word": np.where(X[:, 3] > 0, "p", "q")})
    table.loc[3, "a"], table.loc[4, "word"] = np.nan, None
    frame = frames.from_pandas(table, npartitions=4)
    given = {"n_members": 2, "epochs": 2, "random_state": 0}
    ordinary = xpnn.TabularClassifier(**given).fit(table, NAMES, comm=one(rows="own"))
    labels = frames.from_pandas(pandas.Series(NAMES), npartitions=4)
    model = xd.TabularClassifier(**given).fit(frame, labels)
    np.testing.assert_array_equal(model.oof_prediction_, ordinary.oof_prediction_)
    found = model.predict_proba(frame).compute()
    np.testing.assert_allclose(found, ordinary.predict_proba(table), rtol=1e-12)
    target = cut(X[:, 1], 50)
    numbers = xd.TabularRegressor(**given).fit(frame, target)
    plus, base = (numbers.predict_interval(frame, method=m).compute() for m in ("plus", "base"))
    assert plus.shape == base.shape == (N, 2)
    np.testing.assert_allclose(base, numbers.predict_interval(table, method="base"), rtol=1e-12)


# -- predictions ----------------------------------------------------------------------------------


def test_predictions_are_lazy_with_chunks_and_types(client):
    model = classifier().fit(cut(X), cut(NAMES))
    local = model.to_local()
    assert type(local) is xpnn.MLPClassifier
    lazy = cut(X, 70)
    for method, dtype in (("predict", NAMES.dtype), ("predict_proba", float)):
        found = getattr(model, method)(lazy)
        assert isinstance(found, da.Array)
        assert found.chunks[0] == lazy.chunks[0]
        assert found.dtype == dtype
        computed = found.compute()
        assert computed.dtype == dtype
        np.testing.assert_array_equal(computed, getattr(local, method)(X))
    some = lazy[lazy[:, 0] > 0]  # of unknown sizes, and perhaps with empty chunks
    assert len(model.predict(some).compute()) == (X[:, 0] > 0).sum()
    empty = da.concatenate([lazy[:0], lazy[:3]])
    assert model.decision_function(empty).compute().shape == (3, 3)
    np.testing.assert_array_equal(model.predict(X), local.predict(X))  # here and now
    assert not hasattr(classifier(loss="hinge"), "predict_proba")


def test_copies_pickles_and_files(client, tmp_path):
    model = classifier(client=client)
    again = clone(model)
    assert again.client is client
    assert again.get_params().keys() == xpnn.MLPClassifier().get_params().keys() | {"client"}
    model.fit(cut(X), cut(Y))
    opened = pickle.loads(pickle.dumps(model))
    assert opened.client is None
    xpnn.save(model, tmp_path / "model.safetensors")
    loaded = xpnn.load(tmp_path / "model.safetensors")
    assert type(loaded) is xpnn.MLPClassifier
    for other in (opened, loaded):
        np.testing.assert_array_equal(other.predict_proba(X), model.to_local().predict_proba(X))


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "kind", "words"),
    [
        (X, Y, TypeError, r"X is a numpy.ndarray.*from_array.*or take xpnn.MLPClassifier"),
        (cut(X), Y, TypeError, "y is a numpy.ndarray"),
        (cut(X), None, TypeError, "y is None"),
        (cut(X[:100]), cut(Y), ValueError, "y has 7 partitions, and X has 4"),
        (cut(X[:5]), cut(Y[:5]), ValueError, "X has 5 rows, and 8 or more are needed"),
        (cut(np.where(X > 2, np.nan, X)), cut(Y), ValueError, "Input X contains NaN"),
    ],
    ids=["NumPy", "NumPy's y", "no y", "partitions", "few rows", "NaN"],
)
def test_what_cannot_be_trained_on_is_told(client, x, y, kind, words):
    model = classifier()
    with pytest.raises(kind, match=words):
        model.fit(x, y)
    assert not hasattr(model, "network_")


def test_partitions_of_other_lengths_are_told(client):
    parts = [client.scatter([a[:30], a[30:n]], hash=False) for a, n in ((X, 70), (Y, 60))]
    with pytest.raises(ValueError, match=r"Partition 1 of X has 40 rows, and that of y .* has 30"):
        classifier().fit(*parts)


def test_a_client_is_needed():
    with pytest.raises(TypeError, match=r"client must be a dask.distributed.Client.*got 3"):
        classifier(client=3).fit(cut(X), cut(Y))
    with pytest.raises(ValueError, match="leave comm out"):
        classifier().fit(cut(X), cut(Y), comm=one())


def test_groups_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"no groups.*fit xpnn.TabularRegressor on X.compute\(\)"):
        xd.TabularRegressor().fit(cut(X), cut(Y), groups=cut(Y))


def test_who_fails_ends_all_with_its_own_error_and_where(client):
    def work(comm):
        comm.barrier()
        if comm.rank == 1:
            raise RuntimeError("no disk")
        comm.barrier()

    with pytest.raises(RuntimeError, match="no disk") as caught:
        on_workers(work, client)
    worker = sorted(client.nthreads())[1]
    assert caught.value.__notes__ == [f"On the Dask worker {worker}, rank 1."]
    assert on_workers(lambda comm: comm.gather(comm.rank), client) == [[0, 1, 2]] * 3


def stops(end):
    """A callback that workers find by its name."""
    SEEN.append(end.epoch)
    return end.epoch == 2


SEEN = []


def test_callbacks_run_in_the_first_worker_and_stop_all(client):
    assert classifier(callbacks=stops).fit(cut(X), cut(Y)).n_iter_ == 2
    assert SEEN == [1, 2]


def test_fits_beside_one_another_do_not_wait_for_each_other(client):
    found = []
    fit = lambda: found.append(digest(classifier(client=client).fit(cut(X), cut(Y))))  # noqa: E731
    threads = [threading.Thread(target=fit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone(Y)] * 3


def test_verbose_and_warnings_reach_the_client(client, capsys):
    classifier(verbose=True).fit(cut(X), cut(Y))
    client.sync(client._update_scheduler_info)  # after what the workers have sent
    assert capsys.readouterr().out.count("Iteration 2") == 1


# -- what outlives a worker -----------------------------------------------------------------------


def test_training_goes_on_without_a_worker_from_the_last_record(client, monkeypatch, tmp_path):
    """As if the second worker had died in the third epoch; `ci/dask.sh` kills one."""
    lost = [sorted(client.nthreads())[1]]
    begun = []

    class Run(fitting.Run):
        def begin(self, work, inputs, about):
            begun.append((len(self.workers), inputs[0][0].found))
            super().begin(work, inputs, about)

        def results(self, look=lambda: None):
            found = super().results(look)
            if len(begun) == 1:
                raise WorkerLostError(lost)
            return found

    monkeypatch.setattr(fitting, "Run", Run)
    checkpoint = xpnn.Checkpoint(tmp_path / "run", every="1 epoch")
    model = classifier()
    with pytest.warns(UserWarning, match="goes on from the last checkpoint, with 2 of the workers"):
        model.fit(cut(X), cut(Y), checkpoint=checkpoint)
    assert [count for count, _ in begun] == [3, 2]
    assert begun[1][1].header["state"]["epoch"] == 3
    assert digest(model) == alone(Y)
    again = classifier().fit(cut(X), cut(Y), checkpoint=checkpoint, resume=True)
    assert digest(again) == alone(Y)
    with pytest.raises(xpnn.CheckpointError, match="max_iter was 3 and is 9"):
        classifier(max_iter=9).fit(cut(X), cut(Y), checkpoint=checkpoint, resume=True)
