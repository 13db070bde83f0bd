"""Importances: by the first layer's sums as by predictions of whole rows anew."""

import numpy as np
import pytest

from xpnn import TabularClassifier, TabularRegressor
from xpnn.tabular import inspection
from xpnn.tabular.importance import FirstSums, permutation_importance

RNG = np.random.default_rng(0)
TABLE = {
    "size": RNG.normal(size=60),
    "kind": RNG.choice(list("abc"), 60),
    "same": np.ones(60),
    "noise": RNG.normal(size=60),
}
Y = TABLE["size"] + (TABLE["kind"] == "b")


@pytest.mark.targets("numpy")
@pytest.mark.parametrize("hidden", [(7,), (6, 5)])
@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("new", [False, True])
def test_by_sums_as_by_whole_rows(target, hidden, classes, new, monkeypatch):
    cls, y = (TabularClassifier, Y > 0) if classes else (TabularRegressor, Y)
    model = cls(random_state=0, epochs=5, hidden=hidden, n_members=20).fit(TABLE, y)
    given = (TABLE, y) if new else ()
    assert FirstSums.suits(model.network_)
    found = model.feature_importance(*given, n_repeats=2)
    monkeypatch.setattr(FirstSums, "together", lambda self, n_repeats: 3)
    again = model.feature_importance(*given, n_repeats=2)
    monkeypatch.setattr(inspection.FirstSums, "suits", staticmethod(lambda network: False))
    expected = model.feature_importance(*given, n_repeats=2)
    assert set(found) == set(TABLE) - {"same"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(again[name], found[name], rtol=1e-12, atol=1e-14)


def test_a_column_that_is_the_same_in_all_rows_is_worth_nothing_and_not_looked_at():
    looked = []

    def losses(mixed):
        looked.extend(list(m.inputs) for m in mixed)
        return np.ones((len(mixed), len(mixed[0].orders)))

    x = np.array([[1.0, 2.0, 3.0], [1.0, 5.0, 3.0]])
    found = permutation_importance(x, {"a": [0, 2], "b": [1]}, losses, 3, 0)
    assert found == {"a": (0.0, 0.0), "b": (0.0, 0.0)}
    assert looked == [[], [1]]
