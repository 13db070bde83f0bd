"""Rows that belong together are in one fold: what is said out of fold is of new groups."""

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, cross_validate

from xpnn import CheckpointError, TabularClassifier, TabularRegressor
from xpnn.distributed import in_threads
from xpnn.tabular.folds import member_rows
from xpnn.tabular.groups import folds_of_groups

QUICK = {"hidden": 16, "epochs": 20, "random_state": 0}


def patients(count=60, each=5, seed=0):
    """Measurements of each patient, who is recognized by two of them; the outcome is by patient."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(count), each)
    marks, effect = rng.normal(size=(count, 2)), rng.normal(size=count)
    dose = rng.normal(size=len(who))
    X = np.column_stack([marks[who] + 0.01 * rng.normal(size=(len(who), 2)), dose])
    return X, dose + 2.0 * effect[who] + 0.1 * rng.normal(size=len(who)), who


X, Y, WHO = patients()


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("folds", [2, 5])
def test_folds_have_whole_groups_and_their_shares(classes, folds):
    rng = np.random.default_rng(1)
    groups = rng.permutation(np.repeat(np.arange(90), rng.integers(1, 12, 90)))
    strata = rng.integers(0, 3, len(groups)) if classes else rng.normal(size=len(groups))
    found = folds_of_groups(strata, groups, folds, np.random.default_rng(0), classes)
    assert all(len(np.unique(found[groups == g])) == 1 for g in range(90))
    rows = np.bincount(found, minlength=folds) / len(found)
    np.testing.assert_allclose(rows, 1 / folds, atol=0.02)
    kinds = strata if classes else np.searchsorted(np.quantile(strata, [0.33, 0.67]), strata)
    for k in range(3):
        share = np.bincount(found[kinds == k], minlength=folds) / (kinds == k).sum()
        np.testing.assert_allclose(share, 1 / folds, atol=0.07)


def test_no_fold_is_empty_where_each_group_has_a_class_of_its_own():
    groups = np.repeat(np.arange(5), [1, 2, 3, 50, 4])
    found = folds_of_groups(groups, groups, 5, np.random.default_rng(0), True)
    assert sorted(set(found.tolist())) == [0, 1, 2, 3, 4]


def test_rare_of_very_many_classes_count_together():
    rng = np.random.default_rng(0)
    groups, classes = np.repeat(np.arange(400), 3), np.minimum(rng.geometric(0.01, 1200), 300)
    found = folds_of_groups(classes, groups, 4, rng, True)
    np.testing.assert_allclose(np.bincount(found), 300, atol=15)


def test_members_of_large_folds_learn_from_all_their_rows_about_as_often():
    folds = np.repeat([[0, 1, 2]], [2, 10, 30], axis=1).reshape(1, -1)
    rows = member_rows(folds, 3)
    assert rows.shape == (40, 3)
    for fold, own in enumerate(rows.T):
        known, times = np.unique(own, return_counts=True)
        np.testing.assert_array_equal(known, np.flatnonzero(folds[0] != fold))
        assert times.max() - times.min() <= 1


def test_scores_out_of_fold_are_of_new_groups():
    """Without groups, members recognize the patients of the rows that they have not seen."""
    new_X, new_y, _ = patients(seed=1)
    alone = TabularRegressor(random_state=0).fit(X, Y)
    model = TabularRegressor(random_state=0).fit(X, Y, groups=WHO)
    assert alone.validation_score_ > 0.6
    assert alone.score(new_X, new_y) < 0.35
    assert model.validation_score_ < 0.35
    assert all(len(np.unique(model._folds[0][g == WHO])) == 1 for g in range(60))
    low, high = model.predict_interval(new_X).T
    assert ((low <= new_y) & (new_y <= high)).mean() > 0.8
    low, high = alone.predict_interval(new_X).T
    assert ((low <= new_y) & (new_y <= high)).mean() < 0.7


def test_groups_may_be_words_and_rows_without_weight_are_none():
    names = np.array([f"patient {g}" for g in WHO], dtype=object)
    weight = (WHO < 40).astype(float)
    labels = np.where(np.median(Y) < Y, "high", "low")
    expected = TabularClassifier(**QUICK).fit(X, labels, weight, WHO)
    found = TabularClassifier(**QUICK).fit(X, labels, weight, names.tolist())
    np.testing.assert_array_equal(found._folds, expected._folds)
    np.testing.assert_array_equal(found.oof_prediction_, expected.oof_prediction_)
    assert expected._folds.shape == (1, 200)


def test_there_are_no_more_members_than_groups():
    three = WHO % 3
    assert TabularRegressor(**QUICK).fit(X, Y, groups=three).recipe_.folds == 3
    with pytest.raises(ValueError, match=r"groups has 3 different .* 4 members .* n_members=3"):
        TabularRegressor(4, **QUICK).fit(X, Y, groups=three)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (np.zeros(300), "1 different values .* 2 members need .*, or none"),
        (WHO[:-1], r"shape \(299,\), expected \(300,\)"),
        (np.stack([WHO, WHO]), r"shape \(2, 300\)"),
        (np.where(WHO == 7, np.nan, WHO), "no value in row 35"),
        ([None, *WHO[1:].tolist()], "no value in row 0"),
    ],
)
def test_groups_that_do_not_suit_are_told(groups, told):
    model = TabularRegressor(**QUICK)
    with pytest.raises(ValueError, match=told):
        model.fit(X, Y, groups=groups)
    assert not hasattr(model, "network_")


def test_scikit_learn_routes_groups_to_folds():
    seen = []

    class Noted(TabularRegressor):
        def fit(self, X, y, sample_weight=None, groups=None):
            seen.append(groups)
            return super().fit(X, y, sample_weight, groups)

    with sklearn.config_context(enable_metadata_routing=True):
        model = Noted(**QUICK).set_fit_request(groups=True)
        cross_validate(model, X, Y, cv=GroupKFold(2), params={"groups": WHO})
        cross_validate(LinearRegression(), X, Y, cv=GroupKFold(2), params={"groups": WHO})
    assert [len(g) for g in seen] == [150, 150]
    assert not set(seen[0]) & set(seen[1])


def test_processes_have_all_groups_or_none():
    def together(comm):
        return TabularRegressor(**QUICK).fit(X, Y, groups=WHO, comm=comm).oof_prediction_

    expected = in_threads(together, 1)[0]
    for found in in_threads(together, 2):
        np.testing.assert_array_equal(found, expected)

    def others(comm):
        groups = WHO if comm.rank else WHO // 2
        return TabularRegressor(**QUICK).fit(X, Y, groups=groups, comm=comm)

    with pytest.raises(ValueError, match="rank 1 has other groups"):
        in_threads(others, 2)

    def apart(comm):
        rows = slice(0, 150) if comm.rank else slice(150, 300)
        given = WHO[rows] if comm.rank else None
        return TabularRegressor(**QUICK).fit(X[rows], Y[rows], groups=given, comm=comm)

    with pytest.raises(ValueError, match="groups are for processes that all have all rows"):
        in_threads(apart, 2, rows="own")


def test_a_checkpoint_is_of_its_groups(tmp_path):
    TabularRegressor(**QUICK).fit(X, Y, groups=WHO, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="groups"):
        TabularRegressor(**QUICK).fit(X, Y, groups=WHO // 2, checkpoint=tmp_path, resume=True)
