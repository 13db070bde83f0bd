"""Whether all numbers are finite: one look at memory, shared by threads where it is long."""

import numpy as np
import pytest

from xpnn import Perceptron
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
