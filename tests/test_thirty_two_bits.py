"""A browser's Python is one of 32 bits: there NumPy takes no places of 64."""

import numpy as np
import pytest

from xpnn import MLPClassifier
from xpnn.tables.values import parse_column


@pytest.fixture
def thirty_two_bits(monkeypatch):
    """`numpy.take` and `numpy.bincount` as they are there."""

    def checked(function, at):
        def call(*args, **kwargs):
            assert np.can_cast(np.asarray(args[at]).dtype, np.int32, "safe"), function
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(np, "take", checked(np.take, 1))
    monkeypatch.setattr(np, "bincount", checked(np.bincount, 0))
    monkeypatch.setattr(np, "intp", np.int32)


@pytest.mark.usefixtures("thirty_two_bits")
def test_labels_and_words_are_counted_on_32_bits():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.tile([0, 1, 2], 20)
    model = MLPClassifier((4,), early_stopping=True, max_iter=2, tol=0, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        assert model.fit(X, y).predict(X).shape == (60,)
    assert parse_column(np.asarray(["a", "b", "a"], dtype=object), name="c").kind == "words"
