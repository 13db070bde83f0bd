"""Pictures of what came of a training: importance, calibration, intervals, an embedding."""

import numpy as np
import pytest

from xpnn import TabularClassifier, TabularRegressor
from xpnn.plot import (
    learning_curve,
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


def test_calibration_of_labels_asks_for_the_classes():
    words, p = np.array(["no", "yes", "yes"]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    ax = plot_calibration(words, p, bins=1, classes=["no", "yes"])
    assert np.allclose(ax.lines[1].get_data(), [[0.8], [2 / 3]])
    for truth, classes, match in (
        (words, None, r"classes \[0, 1\], and truth holds .*'no'.*pass classes=estimator.classes_"),
        ([-1, 1, 1], None, "truth holds .*-1"),
        (words, ["no", "yes", "so"], "the 2 columns .* there are 3"),
        (words[:2], ["no", "yes"], r"truth has the shape \(2,\) and probability \(3, 2\)"),
    ):
        with pytest.raises(ValueError, match=match):
            plot_calibration(truth, p, classes=classes)


def test_what_is_no_importance_and_no_interval_is_told():
    for wrong in (TabularRegressor(), {"size": 0.5}):
        with pytest.raises(ValueError, match=r"pass what estimator\.feature_importance\(\) gives"):
            plot_importance(wrong)
    with pytest.raises(ValueError, match=r"shape \(2,\) and intervals \(2,\), expected .*\(n, 2\)"):
        plot_intervals([1.0, 2.0], [1.0, 2.0])


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


def test_an_embedding_shows_the_steps_of_its_member(tmp_path):
    """What the first layer sums up along the column, and a broken line for each step."""
    x = np.random.default_rng(0).normal(size=(1200, 2))
    kind = (x[:, 0] > 1.1).astype(int)
    model = TabularClassifier(epochs=4, hidden=8, random_state=0).fit(x, kind)
    steps = model.encoding_.columns[0].steps
    for member in (0, 1):
        own = [(s.low + s.high) / 2 for s in steps if member in s.members]
        assert own
        ax = plot_embedding(model, "x0", tmp_path / "e.png", member=member)
        lines = {line.get_linestyle(): line for line in ax.lines}
        assert len(ax.lines) == 3 + len(own)
        assert lines["--"].get_xdata()[0] == own[-1]
        grid, functions = model.embedded("x0", member)
        assert functions.shape == (len(grid), 3)
        assert abs(grid[np.abs(np.diff(functions[:, 0])).argmax()] - 1.1) < 0.05
    x = model._read_inputs(np.stack([grid, np.zeros_like(grid)], axis=1))[0]
    parts = model.network_.layout.by_layer(np.asarray(model._arrays["theta_0"]), np, 4)
    sums = (x * parts[0]["scale"][1]) @ parts[1]["weight"][1]
    sums = sums - sums.mean(axis=0)  # the other column adds the same everywhere
    assert np.allclose(np.linalg.norm(functions[:, 0]), np.linalg.norm(sums, 2), rtol=1e-4)
    with pytest.raises(ValueError, match="'x2' has no embedding: x0, x1 has"):
        plot_embedding(model, "x2")


def test_losses_out_of_fold_are_points_of_the_learning_curve():
    x = np.linspace(0, 1, 60)
    model = TabularRegressor(epochs=2, random_state=0).fit({"size": x}, x)
    for draw in (plot_history, learning_curve):
        (points,) = [line for line in draw(model).lines if line.get_label() == "loss out of fold"]
        assert points.get_xdata().tolist() == list(model.valleys_)
        assert points.get_ydata().tolist() == [score for score, _ in model.valleys_.values()]
    with pytest.raises(ValueError, match="TabularRegressor has no history to be drawn: fit it"):
        plot_history(TabularRegressor())


def test_without_matplotlib_an_error_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="get it with: python -m pip"):
        plot_importance({"a": (1.0, 0.0)})
