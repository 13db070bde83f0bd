"""Memory of wide rows is bounded by elements, not by rows."""

import numpy as np
import pytest
import scipy.sparse as sp

from xpnn import Perceptron
from xpnn.perceptron import batches

pytestmark = [pytest.mark.own_context, pytest.mark.dtypes("float64")]


@pytest.mark.targets("numpy", "strict:device1", "cupy:0")
def test_wide_rows_become_dense_a_few_at_a_time(target, monkeypatch):
    """4,096 rows of 20,000 columns would take 655 MB in float64, several times."""
    rng = np.random.default_rng(0)
    x = sp.csr_array(rng.uniform(size=(60, 40)) * (rng.uniform(size=(60, 40)) < 0.2))
    y = np.asarray(x.sum(axis=1) > 4).astype(int)
    options = {"batch_size": 5, "pocket": True, "early_stopping": True, "max_iter": 3, "tol": None}
    options |= {"device": target.backend.name, "random_state": 0}

    def trained():
        dense = []
        for cls in (sp.csr_matrix, sp.csr_array):
            original = cls.toarray
            monkeypatch.setattr(
                cls, "toarray", lambda s, *a, f=original: (dense.append(s.shape), f(s, *a))[1]
            )
        found = []
        for names in (("early_stopping",), ("pocket",)):
            model = Perceptron(**{k: v for k, v in options.items() if k not in names}).fit(x, y)
            found += [model.coef_, model.predict(x)]
        monkeypatch.undo()
        return found, max((shape[0] for shape in dense), default=0)

    expected, most = trained()
    monkeypatch.setattr(batches, "CHUNK_ELEMENTS", 7 * 40)
    # what is learned at once is the batch, what is scored a few rows
    found, fewer = trained()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert fewer <= 7
    assert most > 7 or target.name == "numpy"


@pytest.mark.targets("cupy:0")
def test_wide_rows_go_through_the_kernel_a_tile_at_a_time(target, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(150, 12)), rng.integers(0, 2, 150)
    expected = Perceptron(max_iter=3, tol=None).fit(target.asarray(x), y)
    monkeypatch.setattr(batches, "CHUNK_ELEMENTS", 40 * 12)
    found = Perceptron(max_iter=3, tol=None).fit(target.asarray(x), y)
    np.testing.assert_array_equal(target.to_numpy(found.coef_), target.to_numpy(expected.coef_))
