"""Importances: by the first layer's sums as by predictions of whole rows anew."""

import numpy as np
import pytest

from xpnn import TabularClassifier, TabularRegressor, get_backend
from xpnn.network import Dense, Network, Scale
from xpnn.tabular import importance, inspection
from xpnn.tabular.importance import FirstSums, by_copies, permutation_importance
from xpnn.tabular.outoffold import held_predictions

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


def test_a_member_without_rows_and_more_permutations_than_go_at_once(monkeypatch):
    """Of many folds some have none of the few rows that are looked at."""
    network = Network((Scale(2), Dense(2, 4, "tanh"), Dense(4, 1)), members=3)
    (theta, buffers), x = network.init(0), np.random.default_rng(0).normal(size=(6, 2))
    folds, columns = np.array([[0, 2, 0, 2, 2, 0]]), {"a": [0], "b": [1]}

    def loss(prediction):
        return float(np.square(prediction - x[:, :1]).sum())

    def anew(x):
        held = held_predictions(network, theta, buffers, x, folds, get_backend("numpy"))
        return loss(held.mean(axis=0))

    seen, one = [], FirstSums._losses
    monkeypatch.setattr(importance, "_MOST", 2 * len(x) * 4)
    monkeypatch.setattr(
        FirstSums, "_losses", lambda s, mixed: seen.append(len(mixed[0].orders)) or one(s, mixed)
    )
    sums = FirstSums(network, [(theta, buffers, 1.0)], x, folds, loss)
    found = permutation_importance(x, columns, sums, 5, 0)
    expected = permutation_importance(x, columns, by_copies(x, anew), 5, 0)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9)
    assert seen == [1, 2, 2, 1, 2, 2, 1]
