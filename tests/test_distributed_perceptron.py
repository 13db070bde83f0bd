"""`Perceptron` in several processes: all rows in each, rows of its own, or blocks.

The processes are threads here; `ci/mpi.sh` does the same by MPI.
"""

import numpy as np
import pytest
import scipy.sparse
from shares import own

import xpnn
from xpnn.data import Blocks
from xpnn.distributed import in_threads, one
from xpnn.estimators._labels import weights_of_all
from xpnn.estimators._processes import Way, as_a_part

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
RNG = np.random.default_rng(0)
N = 203
X = RNG.normal(size=(N, 6)) * (RNG.uniform(size=(N, 6)) > 0.4)
NAMES = np.asarray(["a", "b", "c"])[(X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 0.7)]
WEIGHT = RNG.uniform(size=N)


def rule(**options):
    return xpnn.Perceptron(**{"batch_size": 16, "max_iter": 4, "random_state": 0} | options)


def learned(model):
    return model.coef_.tobytes(), model.intercept_.tobytes(), model.history_, model.t_


def fitted(comm, model, *, kind="rows", x=X, weight=None, **how):
    """What a model learns of the rows of a process."""
    rows = [own(comm, a) for a in (x, NAMES, weight)]
    if kind == "csr":
        rows[0] = scipy.sparse.csr_array(rows[0])
    if kind == "blocks":
        rows = [Blocks(*rows, block_rows=50, window=2), None, None]
    model.fit(*rows[:2], sample_weight=rows[2], comm=comm, **how)
    return learned(model)


CASES = {
    "plain": {},
    "penalty": {"penalty": "elasticnet"},
    "stopped early": {"early_stopping": True, "validation_fraction": 0.3},
    "pocket": {"pocket": True, "shuffle": False},
    "pocket of rows held out": {"pocket": True, "early_stopping": True, "average": False},
    "mean": {"average": True, "dtype": "float32"},
    "balanced": {"class_weight": "balanced"},
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", ["rows", "csr", "blocks"])
@pytest.mark.parametrize("case", CASES)
def test_one_perceptron_of_any_number_of_processes(case, kind):
    how = {"kind": kind, "weight": WEIGHT}

    def work(comm):
        return fitted(comm, rule(**CASES[case]), **how)

    places = ("own", "all") if kind == "blocks" else ("own",)  # the same rows in the same shards
    expected = work(one(rows="own"))
    for rows in places:
        assert in_threads(work, 3, rows=rows) == [expected] * 3


def test_all_rows_in_each_process_and_in_one():
    work = lambda comm: fitted(comm, rule(penalty="l1", tol=None))  # noqa: E731
    assert in_threads(work, 3) == [work(one())] * 3


def test_a_pocket_counts_the_mistakes_in_all_rows():
    work = lambda comm: fitted(comm, rule(pocket=True), weight=WEIGHT)  # noqa: E731
    assert in_threads(work, 3, rows="own") == [work(one(rows="own"))] * 3


@pytest.mark.slow
@pytest.mark.dtypes("float32")
def test_own_rows_on_any_library(target):
    def work(comm):
        model = rule(early_stopping=True, pocket=True, device=target.backend, dtype="float32")
        return fitted(comm, model)

    assert in_threads(work, 2, rows="own") == [work(one(rows="own"))] * 2


def test_it_learns_as_well_as_of_all_rows():
    model = rule(max_iter=30)
    fitted(one(rows="own"), model)
    assert model.score(X, NAMES) > rule(max_iter=30).fit(X, NAMES).score(X, NAMES) - 0.1


def test_classes_and_their_weights_are_those_of_all_processes_rows():
    """Rows in the order of their classes: no process has all of them."""
    order = np.argsort(NAMES, kind="stable")
    counts = {str(k): N / 3 / int(n) for k, n in zip(*np.unique_counts(NAMES), strict=True)}

    def work(comm, weight="balanced"):
        model = rule(class_weight=weight)
        names = NAMES[order][:, None] if weight == "balanced" else NAMES[order]
        model.fit(own(comm, X[order]), own(comm, names).ravel(), comm=comm)
        return learned(model), model.classes_.tolist(), model.class_weight

    found = in_threads(work, 3, rows="own")
    assert found == [work(one(rows="own"))] * 3
    assert found[0][1:] == (["a", "b", "c"], "balanced")
    assert work(one(rows="own"), counts)[0] == found[0][0]


def test_the_weights_of_all_rows_change_no_parameter():
    class Fixed:
        class_weight = "balanced"

        def __setattr__(self, name, value):
            raise AssertionError(name)

    with as_a_part(Way(comm=one(rows="own")), Fixed(), NAMES, None):
        assert set(weights_of_all("balanced")) == {"a", "b", "c"}
    assert weights_of_all("balanced") == "balanced"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rows", "blocks"])
def test_any_number_goes_on_from_the_middle_of_an_epoch(kind, tmp_path, monkeypatch):
    from xpnn.perceptron import ownrows

    monkeypatch.setattr(ownrows, "PIECE", 32)

    def work(comm, checkpoint=None, **how):
        return fitted(comm, rule(tol=None), kind=kind, checkpoint=checkpoint, **how)

    every = xpnn.Checkpoint(tmp_path / "run", every="1 step", keep=99)
    expected = work(one(rows="own"))
    assert in_threads(lambda c: work(c, every), 2, rows="own") == [expected] * 2
    files = sorted((tmp_path / "run").glob("*.safetensors"))
    assert len(files) > 12  # epochs are four
    for late in files[len(files) // 2 + 1 :]:
        late.unlink()
    found = in_threads(lambda c: work(c, every, resume=True), 3, rows="own")
    assert found == [expected] * 3


def test_without_a_random_state_all_take_the_first_one_s():
    for rows in ("all", "own"):
        how = {"random_state": None, "early_stopping": True}
        found = in_threads(lambda c, how=how: fitted(c, rule(**how)), 3, rows=rows)
        assert found[0] == found[1] == found[2]


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="pass batch_size=64"):
        xpnn.Perceptron().fit(X, NAMES, comm=one())
    with pytest.raises(ValueError, match="weights of all processes' rows are zero"):
        fitted(one(rows="own"), rule(), weight=np.zeros(N))

    def other(comm, kind, make=rule):
        x, weight = own(comm, X), None
        if comm.rank == 1:
            x = {"features": x[:, :5], "dtype": x.astype(np.float32)}.get(kind, x)
            x = scipy.sparse.csr_array(x) if kind == "csr" else x
            weight = np.ones(len(x)) if kind == "weights" else None
        if kind == "names":
            pandas = pytest.importorskip("pandas")
            x = pandas.DataFrame(x, columns=list("abcdef" if comm.rank else "fedcba"))
        make().fit(x, own(comm, NAMES), sample_weight=weight, comm=comm)

    words = {"features": "number of features", "names": "feature names", "dtype": "dtype"}
    words |= {"csr": "kind of X", "weights": "weights"}
    for make in (rule, lambda: xpnn.MLPClassifier(4, max_iter=1)):
        for kind, what in words.items():
            with pytest.raises(ValueError, match=f"rank 1 has other .*{what} than rank 0"):
                in_threads(lambda c, k=kind, m=make: other(c, k, m), 2, rows="own")


@pytest.mark.parametrize("make", [rule, lambda: xpnn.MLPClassifier(4, max_iter=1)])
def test_a_process_without_rows_or_with_other_labels_is_named(make):
    def few(comm):
        rows = slice(0 if comm.rank == 2 else None)
        make().fit(own(comm, X)[rows], own(comm, NAMES)[rows], comm=comm)

    def numbers(comm):
        names = own(comm, NAMES)
        make().fit(own(comm, X), np.arange(len(names)) if comm.rank else names, comm=comm)

    with pytest.raises(ValueError, match=r"rank 2 has no rows\. Give each process"):
        in_threads(few, 3, rows="own")
    with pytest.raises(ValueError, match="labels of rank 1 are numbers, and those of rank 0 are"):
        in_threads(numbers, 2, rows="own")


def test_other_parameters_are_named_before_what_follows_from_them():
    def work(comm):
        weight = "balanced" if comm.rank else None
        model = xpnn.MLPClassifier(4, max_iter=1, class_weight=weight)
        model.fit(own(comm, X), own(comm, NAMES), comm=comm)

    with pytest.raises(ValueError, match="rank 1 has other parameters"):
        in_threads(work, 2, rows="own")
