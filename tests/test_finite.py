"""Whether all numbers are finite: one look at memory, shared by threads where it is long."""

from contextlib import nullcontext
from itertools import product

import numpy as np
import pytest
from sklearn.utils import check_random_state

from xpnn import Perceptron
from xpnn.estimators import _inputs
from xpnn.perceptron import fit
from xpnn.steps import threads
from xpnn.steps.compiled import finite, library

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled steps are not there")


@pytest.fixture(params=[1, 2, 3])
def shared(request, monkeypatch):
    """Few numbers, looked at in several calls by so many threads."""
    monkeypatch.setattr(finite, "_FEWEST_BYTES", 8)
    monkeypatch.setattr(finite, "_BYTES_APART", 800)
    monkeypatch.setattr(threads, "blas_threads", lambda: request.param)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 7, 131])
def test_one_number_that_is_not_finite_is_found_wherever_it_is(shared, dtype, n):
    info = np.finfo(dtype)
    plain = np.resize([0.0, -0.0, 1.0, info.max, -info.max, info.smallest_subnormal], n)
    x = plain.astype(dtype)
    assert finite.all_finite(x) is True
    for i in range(n):
        for wrong in (np.nan, (-1.0) ** i * np.inf):
            x[i], right = wrong, x[i]
            assert finite.all_finite(x) is False
            x[i] = right


def test_any_order_of_memory_and_nothing_else():
    x = np.ones((40, 30))
    assert finite.all_finite(np.asfortranarray(x)) is True
    for other in (x[:, ::2], x.astype(int), x.astype(np.float16), x[:0]):
        assert finite.all_finite(other) is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_perceptron_says_what_is_wrong_with_many_rows(shared, wrong):
    x, y = np.random.default_rng(0).normal(size=(300, 20)), np.arange(300) % 2
    model = Perceptron(max_iter=1, tol=None).fit(x, y)
    before = model.coef_.copy()
    x[150, 7] = wrong
    with pytest.raises(ValueError, match="Input X contains"):
        model.fit(x, y)
    np.testing.assert_array_equal(model.coef_, before)


# -- a perceptron finds it in its first epoch, without a pass of its own ---------------------------


@pytest.fixture
def passes(monkeypatch):
    """The passes over X that a fit makes to look for NaN and infinities."""
    found, look = [], _inputs._adds_up
    monkeypatch.setattr(_inputs, "_adds_up", lambda *given: found.append(1) or look(*given))
    return found


KINDS = ({}, {"penalty": "elasticnet"}, {"average": True}, {"pocket": True}, {"shuffle": False})


@pytest.mark.parametrize("params", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_first_epoch_finds_what_is_not_finite_in_any_row(
    passes, capsys, params, dtype, classes
):
    rng, n, d = np.random.default_rng(0), 40, 300
    x, y = rng.normal(size=(n, d)).astype(dtype), np.arange(n) % classes
    model = Perceptron(max_iter=2, tol=None, **params).fit(x, y)
    assert not passes
    before, model.verbose = dict(vars(model)) | {"verbose": 1}, 1
    for i, j, wrong in product((0, 17, n - 1), (0, 255, d - 1), (np.nan, np.inf, -np.inf)):
        x[i, j], right = wrong, x[i, j]
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)") as told:
            model.fit(x, y)
        assert ("NaN" in str(told.value)) == (wrong != wrong)
        assert vars(model) == before
        x[i, j] = right
    assert not capsys.readouterr().out


def test_rows_that_no_epoch_visits_are_looked_at_before(passes):
    x, y = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 2
    for params in ({"early_stopping": True}, {"batch_size": 2}, {"dtype": "float32"}):
        Perceptron(max_iter=1, tol=None, **params).fit(x, y)
        assert passes
        passes.clear()


def test_an_error_of_x_comes_before_any_other(monkeypatch):
    x, y = np.ones((30, 2)), np.arange(30) % 2
    x[20, 1] = np.nan
    model = Perceptron(tol=None)
    for bad_y, how in ((y[:9], {}), (y * 0, {}), (y, {"sample_weight": -1.0})):
        with pytest.raises(ValueError, match="Input X contains NaN") as told:
            model.fit(x, bad_y, **how)
        assert told.value.__suppress_context__
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(np.ones((30, 2)), y[:9])
    monkeypatch.setattr(fit, "interruptible", lambda: nullcontext(lambda: True))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.fit(x, y)
    assert not hasattr(model, "classes_")
    with pytest.raises(KeyboardInterrupt):
        model.fit(np.ones((30, 2)), y)


def test_scores_that_overflow_are_no_fault_of_x(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(50, 4)) * 1e200, np.arange(50) % 2
    model = Perceptron(max_iter=3, tol=None).fit(x, y)
    with np.errstate(all="ignore"):
        assert not np.isfinite(x @ model.coef_.T).all()
    monkeypatch.setenv("XPNN_COMPILED", "0")
    alone = Perceptron(max_iter=3, tol=None).fit(x, y)
    np.testing.assert_array_equal(model.coef_, alone.coef_)


@pytest.mark.parametrize("random", [None, np.random.RandomState(3)], ids=["global", "own"])
def test_an_error_of_x_leaves_the_random_numbers_as_they_were(random):
    x, y = np.ones((30, 2)), np.arange(30) % 2
    x[20, 1] = np.nan
    drawn_from = check_random_state(random)
    before = drawn_from.get_state()[1:3]
    model = Perceptron(random_state=random)
    for call in (model.fit, lambda x, y: model.partial_fit(x, y, classes=[0, 1])):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            call(x, y)
        for found, wanted in zip(drawn_from.get_state()[1:3], before, strict=True):
            np.testing.assert_array_equal(found, wanted)
    model.fit(np.ones((30, 2)), y)
    assert drawn_from.get_state()[2] != before[1]


def test_an_error_of_x_is_told_once():
    x, y = np.asarray([["a", 1.0], [{}, 2.0]], dtype=object), [0, 1]
    with pytest.raises((TypeError, ValueError)) as told:
        Perceptron().fit(x, y)
    assert not isinstance(told.value.__context__, type(told.value))
