"""The learning-curve picture."""

import math
import subprocess
import sys

import pytest

from xpnn.plotting import plot_history

pytest.importorskip("matplotlib")

HISTORY = {
    "loss": [2.0, 0.5, 0.05],
    "learning_rate": [0.1, 0.1, 0.1],
    "val_loss": [2.1, 0.6, 0.7],
    "val_score": [0.5, 0.9, 0.8],
}


def test_the_curves_the_second_axis_and_the_best_epoch_are_there():
    ax = plot_history(HISTORY, title="digits")
    loss, val_loss, best = ax.get_lines()
    assert list(loss.get_ydata()) == HISTORY["loss"]
    assert list(loss.get_xdata()) == [1, 2, 3]
    assert list(val_loss.get_ydata()) == HISTORY["val_loss"]
    assert best.get_xdata()[0] == 2
    twin = ax.figure.axes[1]
    assert list(twin.get_lines()[0].get_ydata()) == HISTORY["val_score"]
    assert twin.get_ylabel() == "validation score"
    assert ax.get_yscale() == "log"  # 2.1 is more than ten times 0.05
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["training loss", "validation loss", "best epoch (2)", "validation score"]


@pytest.mark.parametrize("loss", [[1.0, 0.5], [0.0, 100.0], [-1.0, 50.0], [math.nan, 1.0], [1.0]])
def test_narrow_odd_and_short_losses_stay_linear(loss, tmp_path):
    ax = plot_history({"loss": loss}, tmp_path / "curve.png")
    assert ax.get_yscale() == "linear"
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_nan_scores_leave_a_gap(tmp_path):
    ax = plot_history({"loss": [1.0, 0.9], "val_score": [0.4, math.nan]}, tmp_path / "c.svg")
    assert ax.get_lines()[-1].get_xdata()[0] == 1
    assert b"<svg" in (tmp_path / "c.svg").read_bytes()
    plot_history({"loss": [math.nan], "val_score": [math.nan]}, tmp_path / "d.png")


def test_a_users_axes_are_drawn_on():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plot_history(HISTORY, ax=ax) is ax


def test_without_a_loss_or_matplotlib_the_cure_is_named(monkeypatch):
    with pytest.raises(ValueError, match="needs its 'loss'"):
        plot_history({"val_score": [1.0]})
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "xpnn\[plot\]"'):
        plot_history(HISTORY)


def test_pyplot_and_its_state_stay_out_of_what_is_saved(tmp_path):
    code = "import sys; from xpnn.plotting import plot_history\n"
    code += "assert 'matplotlib' not in sys.modules\n"
    code += "plot_history({'loss': [1.0]}, 'c.png'); assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_a_picture_that_is_not_saved_is_pyplots():
    """So notebooks, `pyplot.show` and galleries show it."""
    from matplotlib import pyplot

    assert plot_history(HISTORY).figure.number in pyplot.get_fignums()
