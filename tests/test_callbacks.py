"""Callbacks: when they are called, what stops, and a progress bar that is seen everywhere."""

import io
import sys
import types

import numpy as np
import pytest

from xpnn import MLPClassifier
from xpnn.callbacks import Callbacks, EpochEnd, ProgressBar


class Watch:
    """Notes what it is told."""

    def __init__(self, stop_at=None, fail_at=None):
        self.told, self.stop_at, self.fail_at = [], stop_at, fail_at

    def on_begin(self, epochs):
        self.told.append(("begin", epochs))

    def __call__(self, end):
        self.told.append(end.epoch)
        if end.epoch == self.fail_at:
            raise RuntimeError("in a callback")
        return end.epoch == self.stop_at

    def on_end(self):
        self.told.append("end")


def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    return x, (x[:, 0] > 0).astype(int)


def classifier(callbacks, **options):
    options = {"hidden_layer_sizes": (4,), "max_iter": 4, "random_state": 0} | options
    return MLPClassifier(callbacks=callbacks, n_iter_no_change=1000, **options)


@pytest.fixture(autouse=True)
def _quiet():
    """Four epochs do not converge, which is no matter here."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.mark.parametrize("truth", [True, np.True_])
def test_any_truth_value_stops(truth):
    assert classifier(lambda end: truth if end.epoch == 2 else None).fit(*rows()).n_iter_ == 2
    assert classifier(lambda end: end.metrics).fit(*rows()).n_iter_ == 4  # no truth value


def test_callbacks_are_told_in_order():
    first, second = Watch(), Watch()
    model = classifier([first, second]).fit(*rows())
    assert first.told == second.told == [("begin", 4), 1, 2, 3, 4, "end"]
    assert model.n_iter_ == 4


def test_callback_sees_the_metrics_of_its_epoch():
    ends = []
    model = classifier(ends.append).fit(*rows(), validation_data=rows())
    assert [(e.epoch, e.epochs) for e in ends] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for name in ("loss", "learning_rate", "val_loss", "val_score"):
        assert [e.metrics[name] for e in ends] == model.history_[name]
    assert all(type(v) is float for e in ends for v in e.metrics.values())


def test_true_stops_after_the_epoch_and_all_are_told():
    first, second = Watch(stop_at=2), Watch()
    model = classifier([first, second]).fit(*rows())
    assert first.told == second.told == [("begin", 4), 1, 2, "end"]
    assert model.n_iter_ == 2


def test_only_true_stops():
    for value in (None, False, 1, "yes"):
        assert classifier([lambda end, v=value: v]).fit(*rows()).n_iter_ == 4


def test_error_in_a_callback_leaves_the_estimator_as_it_was():
    x, y = rows()
    model = classifier(None).fit(x, y)
    before, coefs = dict(vars(model)), [c.copy() for c in model.coefs_]
    failing, other = Watch(fail_at=2), Watch()
    model.set_params(callbacks=[failing, other])
    with pytest.raises(RuntimeError, match="in a callback"):
        model.fit(x, y)
    assert failing.told == [("begin", 4), 1, 2, "end"]
    assert other.told[-1] == "end"
    after = {k: v for k, v in vars(model).items() if k != "callbacks"}
    assert all(before[k] is v for k, v in after.items())
    for a, b in zip(model.coefs_, coefs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_hooks_are_closed_when_a_hook_fails(solver):
    class Fails(Watch):
        def on_begin(self, epochs):
            raise RuntimeError("in on_begin")

    first = Watch()
    with pytest.raises(RuntimeError, match="on_begin"):
        classifier([first, Fails()], solver=solver).fit(*rows())
    assert first.told == [("begin", 4), "end"]


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ValueError, match=r"callable with an EpochEnd, got 3"):
        Callbacks([3])
    with pytest.raises(ValueError, match="callable"):
        classifier(["progress"]).fit(*rows())


# -- progress ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_in_a_terminal_is_a_live_bar():
    terminal = Terminal()
    classifier(ProgressBar(terminal)).fit(*rows(), validation_data=rows())
    text = terminal.getvalue()
    last = text.rstrip("\n").split("\r")[-1]
    assert "100%" in last
    assert "4/4" in last
    assert "loss=" in last
    assert "val_score=" in last
    assert text.endswith("\n")  # the shell's next line is its own


def test_a_bar_that_begins_later_shows_the_epochs_before():
    """As those of a training that goes on from a checkpoint."""
    terminal = Terminal()
    bar = ProgressBar(terminal)
    bar.on_begin(4)
    for epoch in (3, 4):
        bar(EpochEnd(epoch, 4, {"loss": 0.5}))
    bar.on_end()
    assert "4/4" in terminal.getvalue().rstrip("\n").split("\r")[-1]


def test_progress_in_a_log_file_is_lines():
    log = io.StringIO()
    model = classifier(ProgressBar(log), max_iter=30).fit(*rows())
    lines = log.getvalue().splitlines()
    assert lines[0] == f"epoch 1/30: loss {model.loss_curve_[0]:.4f}"
    assert lines[-1] == f"epoch 30/30: loss {model.loss_curve_[-1]:.4f}"
    assert len(lines) == 11
    assert "\r" not in log.getvalue()


def test_progress_goes_to_standard_error(capsys):
    classifier(ProgressBar()).fit(*rows())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("epoch 1/4: loss ")


def test_bar_is_closed_by_an_error_and_can_be_used_again():
    terminal = Terminal()
    bar = ProgressBar(terminal)
    with pytest.raises(RuntimeError):
        classifier([bar, Watch(fail_at=2)]).fit(*rows())
    assert bar._bar is None
    classifier(bar).fit(*rows())
    assert "4/4" in terminal.getvalue()


@pytest.fixture
def _notebook(monkeypatch):
    """IPython as a notebook's kernel has it."""
    shell = type("ZMQInteractiveShell", (), {})()
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", module)


@pytest.mark.usefixtures("_notebook")
def test_progress_in_a_notebook_is_a_widget(monkeypatch):
    made = []

    class Bar:
        def __init__(self, **options):
            made.append(options)
            self.n, self.closed = 0, False

        def set_postfix(self, values, refresh):
            self.shown = values

        def update(self, n=1):
            self.n += n

        def close(self):
            made.append(self.n)

    module = types.ModuleType("tqdm.notebook")
    module.tqdm = module.IProgress = Bar
    monkeypatch.setitem(sys.modules, "tqdm.notebook", module)
    classifier(ProgressBar()).fit(*rows())
    assert made[0]["total"] == 4
    assert made[1] == 4


@pytest.mark.usefixtures("_notebook")
def test_progress_in_a_notebook_without_widgets_is_lines(monkeypatch, capsys):
    """ipywidgets may be missing: no reason not to train."""
    from tqdm import notebook

    monkeypatch.setattr(notebook, "IProgress", None)
    classifier(ProgressBar()).fit(*rows())
    assert capsys.readouterr().err.startswith("epoch 1/4: loss ")


def test_an_epoch_end_says_what_it_is():
    end = EpochEnd(1, 2, {"loss": 0.5})
    assert (end.epoch, end.epochs, end.metrics) == (1, 2, {"loss": 0.5})
