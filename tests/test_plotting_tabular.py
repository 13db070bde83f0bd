"""Pictures of what came of a training: importance, calibration, intervals, an embedding."""

import numpy as np
import pytest

from xpnn import TabularRegressor
from xpnn.plot import (
    plot_calibration,
    plot_embedding,
    plot_history,
    plot_importance,
    plot_intervals,
)

pytest.importorskip("matplotlib")


def test_importances_are_bars_with_their_spread(tmp_path):
    found = {f"column {i}": (1.0 / (i + 1), 0.1) for i in range(30)}
    ax = plot_importance(found, tmp_path / "i.png", most=5)
    assert [t.get_text() for t in ax.get_yticklabels()] == list(found)[:5]
    assert [bar.get_width() for bar in ax.patches] == [1.0 / (i + 1) for i in range(5)]
    assert (tmp_path / "i.png").read_bytes().startswith(b"\x89PNG")


def test_calibration_is_accuracy_over_confidence():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1.0, 4000)
    right = rng.uniform(size=4000) < p
    ax = plot_calibration(np.where(right, 0, 1), np.stack([p, 1 - p], axis=1), bins=4)
    said, true = ax.lines[1].get_data()
    assert len(said) == 4
    assert np.abs(np.asarray(said) - np.asarray(true)).max() < 0.05


def test_intervals_show_what_lies_outside():
    bounds = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
    ax = plot_intervals([0.5, 2.5, 9.0, 6.5], bounds)
    assert ax.get_title(loc="left") == "75 % of 4 rows inside"
    assert ax.lines[1].get_ydata().tolist() == [9.0]


def test_an_embedding_has_a_line_a_function():
    x = np.linspace(0, 1, 60)
    model = TabularRegressor(embedding="periodic", epochs=2, random_state=0).fit({"size": x}, x)
    ax = plot_embedding(model, "size")
    assert len(ax.lines) == 3
    assert np.array_equal(ax.lines[2].get_ydata(), model.embedded("size")[1][:, 2])


def test_losses_out_of_fold_are_points_of_the_learning_curve():
    ax = plot_history({"loss": [0.9, 0.5, 0.4]}, held_out={1: 1.0, 3: 0.6})
    (points,) = [line for line in ax.lines if line.get_label() == "loss out of fold"]
    assert points.get_xdata().tolist() == [1, 3]
    assert points.get_ydata().tolist() == [1.0, 0.6]


def test_without_matplotlib_an_error_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="get it with: python -m pip"):
        plot_importance({"a": (1.0, 0.0)})
