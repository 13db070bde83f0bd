"""Searches of many fits on joblib's backends: the same results, and no more threads than given."""

import contextvars
import os
import threading

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from xpnn import MLPClassifier
from xpnn.backends import get_backend
from xpnn.steps.threads import blas_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
GRID = {"alpha": [1e-4, 1.0], "dropout": [0.0, 0.3]}


def classifier(**options):
    return MLPClassifier(**{"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0} | options)


def scores(search):
    """What a search found, candidate by candidate."""
    search.fit(X, Y)
    return search.cv_results_["mean_test_score"].tolist(), search.best_params_


def grid(**options):
    return GridSearchCV(classifier(**options), GRID, cv=2, error_score="raise")


def halving(**options):
    about = {"cv": 2, "error_score": "raise", "random_state": 0, "resource": "max_iter"}
    return HalvingGridSearchCV(classifier(**options), GRID, **about, max_resources=9)


@pytest.mark.dtypes("float32")
@pytest.mark.parametrize("search", [grid, halving])
def test_threads_find_what_one_after_the_other_finds(search, target):
    how = {"device": target.backend, "dtype": target.dtype_name}
    expected = scores(search(**how))
    with joblib.parallel_config("threading", n_jobs=2):
        assert scores(search(**how)) == expected


def test_each_fit_may_have_a_device_of_its_own():
    pytest.importorskip("array_api_strict")
    devices = ["numpy", "array_api_strict", "array_api_strict:device1"]
    search = GridSearchCV(classifier(max_iter=2), {"device": devices}, cv=2, error_score="raise")
    with joblib.parallel_config("threading", n_jobs=2):
        search.fit(X, Y)
    assert len(set(np.round(search.cv_results_["mean_test_score"], 6))) == 1
    assert search.best_estimator_.device in devices


def os_threads():
    """Threads of this process, those of C libraries too."""
    tasks = "/proc/self/task"
    return len(os.listdir(tasks)) if os.path.isdir(tasks) else threading.active_count()


def threads_of_a_fit(seed):
    """How many threads this process was given, and how many more than before a fit had."""
    seen = []
    rows = np.random.default_rng(seed).normal(size=(2048, 64)).astype("float32")
    classifier(max_iter=1).fit(rows[:64], rows[:64, 0] > 0)  # what is loaded at first use
    before = os_threads()
    model = classifier(
        hidden_layer_sizes=(256, 256),
        batch_size=512,
        callbacks=lambda end: seen.append(os_threads()),
    )
    model.fit(rows, rows[:, 0] > 0)
    return blas_threads(), max(seen) - before


WORKERS = {"backend": "loky", "n_jobs": 2, "inner_max_num_threads": 1}


@pytest.mark.slow
def test_a_worker_starts_no_more_threads_than_it_was_given():
    """Two workers of one thread each are two threads, and no worker waits for another's."""
    with joblib.parallel_config(**WORKERS):
        found = joblib.Parallel()(joblib.delayed(threads_of_a_fit)(seed) for seed in range(3))
    assert found == [(1, 0)] * 3


@pytest.mark.slow
def test_processes_find_what_one_after_the_other_finds():
    expected = scores(halving())
    with joblib.parallel_config(**WORKERS):
        assert scores(halving()) == expected


@pytest.mark.slow
def test_dask_workers_find_the_same():
    distributed = pytest.importorskip("distributed")
    expected = scores(grid())
    about = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**about) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        assert scores(grid()) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_workers_find_the_same():
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    expected = scores(grid())
    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        with joblib.parallel_config("ray", n_jobs=2):
            assert scores(grid()) == expected
    finally:
        ray.shutdown()


# -- streams of one GPU ---------------------------------------------------------------------------


@pytest.mark.libraries
def test_each_thread_has_a_stream_of_its_own_on_a_gpu():
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    backend = get_backend("cupy:0")

    def stream():
        return cupy.cuda.get_current_stream().ptr

    def look(found):
        with backend.device_context():
            found.append(stream())
            with backend.device_context():
                found.append(stream())
            context, inner = contextvars.copy_context(), []
            helper = threading.Thread(target=lambda: context.run(look_once, inner))
            helper.start()
            helper.join()
            found += inner
        found.append(stream())
        chosen = cupy.cuda.Stream()
        with chosen, backend.device_context():
            found.append(stream() == chosen.ptr)

    def look_once(found):
        with backend.device_context():
            found.append(stream())

    each = [[], []]
    for found in each:
        thread = threading.Thread(target=look, args=(found,))
        thread.start()
        thread.join()
    for own, again, of_a_helper, after, chosen in each:
        assert own == again == of_a_helper != 0
        assert after == 0
        assert chosen
    assert each[0][0] != each[1][0]
    main = []
    look(main)
    assert main == [0, 0, 0, 0, True]


@pytest.mark.libraries
def test_fits_side_by_side_on_a_gpu_have_the_bits_of_fits_one_after_the_other():
    pytest.importorskip("cupy", exc_type=ImportError)

    def fit(seed):
        model = classifier(device="cupy:0", random_state=seed, max_iter=2, dropout=0.2).fit(X, Y)
        return model.coefs_[0].tobytes(), model.predict_proba(X).tobytes()

    expected = [fit(seed) for seed in range(4)]
    with joblib.parallel_config("threading", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(fit)(seed) for seed in range(4)) == expected
