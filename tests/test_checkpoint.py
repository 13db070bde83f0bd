"""A training that is cut off goes on from its checkpoint to the bits of one that never was."""

import contextlib
import copy
import functools
import os
import signal

import numpy as np
import pytest
from checkpoints import SETTINGS, N, bits, in_pieces, maker, refused, rows

from xpnn import (
    Checkpoint,
    CheckpointError,
    MLPRegressor,
)
from xpnn.data import Blocks
from xpnn.steps.compiled import steps as compiled_steps
from xpnn.training import tape

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture
def few_at_once(monkeypatch):
    """Compiled steps come back after two steps: small networks would do whole epochs at once."""
    monkeypatch.setattr(compiled_steps.CompiledSteps, "stride", lambda self, batch: 2)


@pytest.mark.usefixtures("few_at_once")
def test_the_bits_on_each_device(target_any, tmp_path, monkeypatch):
    x, y = rows()
    setting = "dropout, batch normalization, early stopping"
    x, make = target_any.asarray(x), maker(setting, max_iter=3)
    whole = make().fit(x, y)
    again = in_pieces(make, tmp_path / "run", monkeypatch, x, y, every="10 steps", writes=1)
    assert bits(again) == bits(whole)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("every", ["3 steps", "1 epoch"])
def test_the_bits_of_each_setting(setting, every, tmp_path, monkeypatch):
    x, y = rows()
    held = None if "early" in setting else rows(1)
    make = maker(setting, dtype="float32")
    whole = make().fit(x, y, validation_data=held)
    again = in_pieces(
        make, tmp_path / "run", monkeypatch, x, y, every=every, writes=1, validation_data=held
    )
    assert bits(again) == bits(whole)


@pytest.mark.usefixtures("few_at_once")
def test_the_bits_of_blocks(tmp_path, monkeypatch):
    x, y = rows()
    blocks = functools.partial(Blocks, x, block_rows=20)
    make = maker("dropout, batch normalization, early stopping", max_iter=4)
    whole = make().fit(blocks(y, window=3))
    again = in_pieces(make, tmp_path / "run", monkeypatch, blocks(y, window=3), None)
    assert bits(again) == bits(whole)
    refused(
        tmp_path / "run", "X: window was 3 and is 2", blocks(y, window=2), make=make, resume=True
    )
    refused(tmp_path / "run", "X: sha256 was", blocks(1 - y, window=3), make=make, resume=True)


@pytest.mark.parametrize("settings", [{}, {"normalization": "batch", "warm_start": True}])
def test_the_bits_of_lbfgs(settings, tmp_path, monkeypatch):
    x, y = rows()
    settings |= {"solver": "lbfgs", "max_iter": 12, "hidden_layer_sizes": (7,), "dtype": "float32"}
    make = functools.partial(MLPRegressor, random_state=3, **settings)
    seen = []
    whole = make().fit(x, y, validation_data=rows(1))
    again = in_pieces(
        lambda: make(callbacks=lambda end: seen.append(end.epoch)),
        tmp_path / "run", monkeypatch, x, y, every="2 epochs", writes=1, validation_data=rows(1),
    )  # fmt: skip
    assert bits(again) == bits(whole)
    assert seen == [*range(1, 13)]
    stopping = make(callbacks=lambda end: end.epoch == 4)
    stopped = stopping.fit(x, y, checkpoint=tmp_path / "stopped")
    again = make().fit(x, y, checkpoint=tmp_path / "stopped", resume=True)
    assert bits(again) == bits(stopped)
    assert again.n_iter_ == 4


def test_lbfgs_goes_on_where_another_scipy_would_go_elsewhere(tmp_path, monkeypatch):
    x, y = rows()
    make = functools.partial(MLPRegressor, random_state=3, solver="lbfgs", max_iter=12)
    whole = make().fit(x, y, checkpoint=Checkpoint(tmp_path / "run", "3 epochs"))
    mark = tape._mark
    monkeypatch.setattr(tape, "_mark", lambda point: mark(point) + 1)
    again = make().fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(whole)


def test_a_warm_start_and_weights_of_rows(tmp_path, monkeypatch):
    x, y = rows()
    weight = np.linspace(0.5, 2, N)
    begun = maker("invscaling", cls=MLPRegressor, warm_start=True)().fit(x, y)
    whole = maker("invscaling", cls=MLPRegressor, warm_start=True)().fit(x, y).fit(x, y, weight)

    def make():
        return copy.copy(begun)

    again = in_pieces(make, tmp_path / "run", monkeypatch, x, y, weight, every=1, writes=1)
    assert bits(again) == bits(whole)
    assert again.n_iter_ == 8
    assert len(again.loss_curve_) == 16


def test_without_a_seed_the_one_drawn_is_kept(tmp_path):
    x, y = rows()
    model = maker(random_state=None, early_stopping=True)().fit(x, y, checkpoint=tmp_path / "run")
    again = maker(random_state=None, early_stopping=True)()
    again.fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(model)


def test_a_finished_training_is_there_at_once(tmp_path):
    x, y = rows()
    model = maker()().fit(x, y, checkpoint=tmp_path / "run")
    seen = []
    again = maker(callbacks=seen.append)().fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert seen == []
    assert bits(again) == bits(model)


def test_callbacks_hear_of_the_epochs_to_come(tmp_path, monkeypatch):
    x, y = rows()
    seen = []
    make = maker(callbacks=lambda end: seen.append(end.epoch))
    in_pieces(make, tmp_path / "run", monkeypatch, x, y, every="1 epoch", writes=1)
    assert seen == [*range(1, 9)]


def test_a_callback_that_keeps_a_state(tmp_path, monkeypatch):
    class Counts:
        def __init__(self):
            self.count = 0

        def __call__(self, end):
            self.count += 1

        def save_state(self):
            return {"count": self.count}, {"twice": np.full(2, self.count)}

        def load_state(self, header, arrays):
            self.count = header["count"]
            assert arrays["twice"].tolist() == [self.count] * 2

    x, y = rows()
    made = []

    def make():
        made.append(Counts())
        return maker(callbacks=[print_nothing, made[-1]])()

    in_pieces(make, tmp_path / "run", monkeypatch, x, y, every="2 epochs", writes=1)
    assert made[-1].count == 8
    with pytest.raises(CheckpointError, match="is of 1 callbacks that keep a state, and now"):
        maker()().fit(x, y, checkpoint=tmp_path / "run", resume=True)


def print_nothing(end):
    """A callback without a state."""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_a_checkpoint(sent, tmp_path):
    x, y = rows()
    at = []

    def kill(end):
        if end.epoch == 3 and not at:
            at.append(end.epoch)
            os.kill(os.getpid(), sent)

    before = signal.getsignal(signal.SIGTERM)
    whole = maker()().fit(x, y)
    model = maker(callbacks=kill)()
    ends = pytest.raises(SystemExit) if sent == signal.SIGTERM else contextlib.nullcontext()
    told = pytest.warns(UserWarning, match=r"A checkpoint is in '.*run': resume=True .* goes on")
    with told, ends as end:
        model.fit(x, y, checkpoint=tmp_path / "run")
    if end is None:
        assert model.n_iter_ == 3
    else:
        assert end.value.code == 143
        assert not hasattr(model, "n_iter_")  # as it was
    assert signal.getsignal(signal.SIGTERM) is before
    again = maker(callbacks=kill)().fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(whole)


def test_sigterm_without_a_checkpoint_or_with_a_handler_is_not_ours(tmp_path):
    x, y = rows()
    seen, asked = [], []

    def look(end):
        asked.append(signal.getsignal(signal.SIGTERM))

    maker(callbacks=look, max_iter=1)().fit(x, y)
    assert asked == [signal.SIG_DFL]
    own = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        handler = signal.getsignal(signal.SIGTERM)
        maker(callbacks=look, max_iter=1)().fit(x, y, checkpoint=tmp_path / "run")
        assert asked[1] is handler
    finally:
        signal.signal(signal.SIGTERM, own)
