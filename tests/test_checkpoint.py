"""A training that is cut off goes on from its checkpoint to the bits of one that never was."""

import contextlib
import copy
import functools
import os
import re
import signal
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import xpnn
from xpnn import Checkpoint, CheckpointError, MLPClassifier, MLPRegressor
from xpnn.data import Blocks
from xpnn.files.checkpoints import CheckpointFolder
from xpnn.files.record import CHECKPOINT, ModelFileError, read_record
from xpnn.steps.compiled import steps as compiled_steps
from xpnn.training import checkpoint as checkpoints
from xpnn.training import tape

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
N, D = 150, 5


class CutOff(Exception):
    """What a kill does to a training, but that the test goes on."""


def rows(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D))
    return x, (x @ rng.normal(size=D) + 0.3 * rng.normal(size=N) > 0).astype(int)


@contextlib.contextmanager
def cut_off_after(writes, monkeypatch):
    """Each training is cut off after so many checkpoints, the first one not counted."""
    count, save = [0], checkpoints.Keeper.save

    def counted(self, *args):
        save(self, *args)
        count[0] += 1
        if count[0] % writes == 0:
            raise CutOff

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Keeper, "save", counted)
        yield


def in_pieces(make, folder, monkeypatch, *args, every="3 steps", writes=2, **fit):
    """Fit again and again, each time to be cut off; the estimator that got to the end."""
    with cut_off_after(writes, monkeypatch):
        for cuts in range(200):
            model = make()
            with contextlib.suppress(CutOff):
                model.fit(*args, checkpoint=Checkpoint(folder, every), resume=True, **fit)
                assert cuts > 1, "this training was hardly ever cut off"
                return model
    raise AssertionError("no end of it")


def bits(model):
    """All that a fitted network knows, as bytes and text."""
    state, to_numpy = model._state, model._backend.to_numpy
    arrays = [state.theta, state.buffers, *state.moments]
    facts = state.scalars()
    names = ("n_iter_", "loss_", "best_loss_", "best_validation_score_", "converged_", "history_")
    facts |= {name: getattr(model, name) for name in names}
    return [to_numpy(a).tobytes() for a in arrays], repr(facts)


SETTINGS = {
    "dropout, batch normalization, early stopping": {
        "dropout": 0.2,
        "normalization": "batch",
        "early_stopping": True,
        "n_iter_no_change": 3,
    },
    "one cycle": {"learning_rate": "one_cycle", "solver": "rmsprop"},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.2,
        "n_iter_no_change": 2,
    },
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "members": {"members": 3, "embedding": "periodic", "input_dropout": 0.1, "solver": "adamw"},
}


def maker(setting="one cycle", cls=MLPClassifier, **changes):
    common = {"random_state": 3, "batch_size": 16, "max_iter": 8, "hidden_layer_sizes": (7,)}
    return lambda: cls(**common | SETTINGS[setting] | changes)


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
    told = pytest.warns(UserWarning, match=r"A checkpoint is in '.*run': resume=True goes on")
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


# -- refusals ------------------------------------------------------------------------------------


def refused(folder, match, *args, make=None, **fit):
    model = (make or maker())()
    before = dict(vars(model))
    with pytest.raises(CheckpointError, match=match):
        model.fit(*args, checkpoint=folder, **fit)
    assert vars(model) == before


def test_another_training_is_refused_with_what_differs(tmp_path, monkeypatch):
    (x, y), folder = rows(), tmp_path / "run"
    maker()().fit(x, y, checkpoint=folder)
    other = x.copy()
    other[77, 3] += 1e-9
    refused(folder, r"another training: X: sha256 was '", other, y, resume=True)
    refused(folder, r"X: shape: was|X: shape was \[150, 5\] and is \[149, 5\]", x[1:], y[1:],
            resume=True)  # fmt: skip
    refused(folder, "y: sha256", x, 1 - y, resume=True)
    refused(folder, "sample_weight was None", x, y, np.ones(N), resume=True)
    refused(folder, "validation_data was None", x, y, validation_data=(x, y), resume=True)
    refused(
        folder, "learning_rate_init was 0.001 and is 0.01", x, y,
        make=maker(learning_rate_init=0.01), resume=True,
    )  # fmt: skip
    refused(folder, "random_state was 3 and is 4", x, y, make=maker(random_state=4), resume=True)
    refused(folder, "activation", x, y, make=maker(activation="tanh"), resume=True)
    refused(folder, "dtype of the work was 'float64'", x, y, make=maker(dtype="float32"),
            resume=True)  # fmt: skip
    monkeypatch.setattr(checkpoints, "__version__", "9.9")
    refused(folder, f"xpnn was '{re.escape(xpnn.__version__)}' and is '9.9'", x, y, resume=True)


def test_what_may_differ(tmp_path):
    x, y = rows()
    model = maker(dtype="float32")().fit(x, y, checkpoint=tmp_path / "run")
    pandas = pytest.importorskip("pandas")
    again = maker(dtype="float32", device="numpy", verbose=True, callbacks=print_nothing)()
    again.fit(pandas.DataFrame(x), list(y), checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(model)


def test_folders_that_cannot_be_used_are_told_before_training(tmp_path, monkeypatch):
    x, y = rows()
    refused(tmp_path / "no" / "run", "does not exist. Make it first", x, y)
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "Cannot write checkpoints into", x, y)
    with CheckpointFolder(tmp_path / "run", 2):
        refused(tmp_path / "run", "in use: another training", x, y)
    maker()().fit(x, y, checkpoint=tmp_path / "run")
    refused(tmp_path / "run", "has checkpoints already: pass resume=True", x, y)
    with pytest.raises(ValueError, match="pass its folder too"):
        maker()().fit(x, y, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused(tmp_path / "full", "No space left", x, y)


def full(handle):
    raise OSError(28, "No space left on device")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder(tmp_path):
    (tmp_path / "run").mkdir(mode=0o500)
    refused(tmp_path / "run", "Permission denied", *rows())


def test_a_disk_that_fills_up_is_told_and_training_goes_on(tmp_path, monkeypatch):
    x, y = rows()
    whole = maker()().fit(x, y)
    fsync, calls = os.fsync, []

    def filling(handle):
        calls.append(1)
        (full if len(calls) > 4 else fsync)(handle)

    monkeypatch.setattr(os, "fsync", filling)
    with pytest.warns(UserWarning, match=r"No checkpoint was written after step \d+.*No space"):
        model = maker()().fit(x, y, checkpoint=Checkpoint(tmp_path / "run", 2))
    assert bits(model) == bits(whole)
    monkeypatch.undo()
    names = sorted(os.listdir(tmp_path / "run"))
    assert names == ["checkpoint-00000001.safetensors", "checkpoint-00000002.safetensors", "lock"]
    again = maker()().fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(whole)


def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(tmp_path):
    x, y = rows()
    model = maker()().fit(x, y, checkpoint=Checkpoint(tmp_path / "run", "1 epoch", keep=3))
    files = sorted((tmp_path / "run").glob("*.safetensors"))
    assert len(files) == 3
    files[-1].write_bytes(files[-1].read_bytes()[:-3])
    with pytest.warns(UserWarning, match=f"{files[-1].name} is damaged.*{files[-2].name}"):
        again = maker()().fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(model)
    for file in (tmp_path / "run").glob("*.safetensors"):
        file.write_bytes(b"12345678")
    with pytest.raises(ModelFileError, match="checkpoint-0"):
        maker()().fit(x, y, checkpoint=tmp_path / "run", resume=True)


def test_what_a_kill_left_half_written_is_removed(tmp_path):
    (tmp_path / "run").mkdir()
    half = tmp_path / "run" / ".checkpoint-00000007.safetensors.0123456789ab.tmp"
    half.write_text("half")
    maker(max_iter=1)().fit(*rows(), checkpoint=tmp_path / "run")
    assert not half.exists()


# -- how often -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("every", "meaning"),
    [(7, (7, "epoch")), ("1 epoch", (1, "epoch")), ("500 steps", (500, "step")),
     ("30s", (30, "s")), ("1.5 min", (90, "s")), ("2h", (7200, "s")), ("5 mins", (300, "s"))],
)  # fmt: skip
def test_how_often(every, meaning):
    assert Checkpoint("run", every).interval() == meaning


@pytest.mark.parametrize("wrong", [0, -1, True, 2.5, "", "often", "5", "0s", "-3 steps", None])
def test_how_often_is_checked(wrong):
    with pytest.raises(ValueError, match="every must be a time such as"):
        Checkpoint("run", wrong)


def test_where_and_how_many_are_checked():
    for path in (None, 3, ""):
        with pytest.raises(ValueError, match="checkpoint must be a path"):
            Checkpoint(path)
    for keep in (0, 1.5, True):
        with pytest.raises(ValueError, match="keep must be"):
            Checkpoint("run", keep=keep)
    with pytest.raises(ValueError, match="checkpoint must be a path"):
        maker()().fit(*rows(), checkpoint=3)


def test_time_goes_by(tmp_path):
    clock = iter([0.0, 10.0, 29.0, 31.0, 31.0, 40.0])
    with CheckpointFolder(tmp_path / "run", 2) as folder:
        keeper = checkpoints.Keeper(Checkpoint("run", "30s"), folder, clock=lambda: next(clock))
        record = checkpoints.Record({}, {})
        keeper.start(0, 0, lambda: record)
        assert [keeper.due(step, 0) for step in (1, 2, 3)] == [False, False, True]
        keeper.save(3, 0, lambda: record)
        assert not keeper.due(4, 0)


def test_a_checkpoint_holds_no_code_and_is_no_model(tmp_path):
    maker(max_iter=1)().fit(*rows(), checkpoint=tmp_path / "run")
    path = sorted((tmp_path / "run").glob("*.safetensors"))[-1]
    header, arrays = read_record(path, CHECKPOINT)
    assert header["xpnn"] == xpnn.__version__
    assert arrays["theta"].ndim == 1
    with pytest.raises(ModelFileError, match="but no xpnn model"):
        xpnn.load(path)


def test_a_diverged_training_stays_one_whatever_a_callback_asks_for():
    x, y = rows()
    model = maker("adaptive", cls=MLPRegressor, learning_rate_init=1e200, callbacks=lambda e: True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with pytest.raises(xpnn.DivergedError):
            model().fit(x, y)
