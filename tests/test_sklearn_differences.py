"""The list of differences from scikit-learn is whole: every case is run on both."""

import numpy as np
import pytest
import sklearn
from scripts import load_script
from sklearn.utils.fixes import parse_version
from sklearn_sweep import (
    BEHAVIOUR,
    CODES,
    DIFFERENCES,
    LABELS,
    NUMBERS,
    THEIRS,
    Case,
    X,
    explained,
    found,
    outcome,
)

import xpnn

page = load_script("ci/differences.py")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("what", BEHAVIOUR)
def test_behaviour_is_as_listed(what):
    theirs, ours = (
        outcome(lambda lib=lib: Case(what, BEHAVIOUR[what]).run(lib)) for lib in (THEIRS, xpnn)
    )
    assert (theirs != ours) == (explained(what, ours) is not None)


@pytest.mark.slow
def test_every_difference_is_listed_and_every_entry_is_needed():
    rows = found()
    assert [row for row in rows if explained(row[0], row[2]) is None] == []
    assert {explained(row[0], row[2]) for row in rows} == set(DIFFERENCES)
    if parse_version(sklearn.__version__) >= parse_version("1.9"):
        assert page.FILE.read_text("utf-8") == page.text(rows), "run ci/differences.py"


def test_regression_takes_numbers_alone():
    for y in (CODES.astype(str), np.datetime64("2020-01-01") + CODES):
        for model in (xpnn.MLPRegressor(), xpnn.TabularRegressor()):
            with pytest.raises(ValueError, match="a regression needs numbers"):
                model.fit(X, y)


def test_classes_of_several_labels_are_their_columns():
    model = xpnn.MLPClassifier((3,))
    with pytest.raises(ValueError, match=r"classes=\[0, 1, 2\] are not those of y"):
        model.partial_fit(X, LABELS, classes=[0, 1, 2])
    assert model.partial_fit(X, LABELS, classes=[0, 1]).predict(X).shape == LABELS.shape
    assert xpnn.MLPRegressor().partial_fit(X, NUMBERS).n_outputs_ == 1
