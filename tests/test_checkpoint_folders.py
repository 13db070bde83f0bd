"""Folders of checkpoints: what they refuse, what they keep, and how often they are written to."""

import os
import re
import warnings

import numpy as np
import pytest
from checkpoints import N, bits, maker, refused, rows
from sklearn.exceptions import ConvergenceWarning

import xpnn
from xpnn import Checkpoint, MLPRegressor
from xpnn.files.checkpoints import CheckpointFolder
from xpnn.files.record import CHECKPOINT, ModelFileError, read_record
from xpnn.training import checkpoint as checkpoints

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# -- refusals ------------------------------------------------------------------------------------


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
    again = maker(dtype="float32", device="numpy", verbose=True, callbacks=print)()
    again.fit(pandas.DataFrame(x), list(y), checkpoint=tmp_path / "run", resume=True)
    assert bits(again) == bits(model)


def test_labels_that_are_times(tmp_path):
    x, y = rows()
    times = np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]")[(y > y.min()).astype(int)]
    make = maker()
    model = make().fit(x, times, checkpoint=tmp_path / "run")
    again = make().fit(x, times, checkpoint=tmp_path / "run", resume=True)
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
    with pytest.warns(
        UserWarning, match=r"No checkpoint was written after step \d+: .*No space[^.]*\. Training"
    ):
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
