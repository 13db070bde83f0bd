"""`xpnn train --checkpoint` and `--resume`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import call

import xpnn
from xpnn.training import checkpoint as checkpoints

OPTIONS = ("iris", "--epochs", "12", "--hidden", "8", "--device", "numpy", "--refit", "-q")

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def train(*options, code=0):
    return call("train", *OPTIONS, *options, code=code)


def predictions(folder):
    return xpnn.load(f"{folder}/model.safetensors").oof_prediction_


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process there at once")
def test_sigterm_and_resume():
    often = ("--checkpoint", "run", "--every", "1 epoch", "--epochs", "100000")
    process = subprocess.Popen(
        [sys.executable, "-c", "from xpnn.cli import main; main()", "train", *OPTIONS, *often],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    # the last two are kept, so that the third may be gone between two looks
    while not any(int(p.stem[-8:]) >= 3 for p in Path("run").glob("checkpoint-*.safetensors")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.terminate()
    out, err = process.communicate(timeout=60)
    told = "A checkpoint is in 'run': resume=True (xpnn train --resume) goes on from there."
    assert (process.returncode, out) == (143, "")
    assert err == f"xpnn: warning: Training ended by SIGTERM. {told}\n"
    result = train("--checkpoint", "run", "--resume", code=1)
    assert "is of another training: epochs was 100000 and is 12" in result.stderr


def test_ctrl_c_writes_results_and_a_checkpoint(monkeypatch):
    train("--out", "whole")
    save, count = checkpoints.Keeper.save, []

    def counted(self, *args):
        save(self, *args)
        count.append(1)
        if len(count) in (3, 20):  # in the first fit, and of those that go on in the refit
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(checkpoints.Keeper, "save", counted)
    often = ("--checkpoint", "run", "--every", "1 epoch", "--out", "o")
    with pytest.warns(UserWarning, match="interrupted by user. A checkpoint is in 'run'"):
        train(*often, code=130)
    assert len(predictions("o")) < 150  # not trained on all rows
    with pytest.warns(UserWarning, match=r"interrupted by user. A checkpoint is in 'run.refit'"):
        train(*often, "--resume", code=130)
    train(*often, "--resume")
    np.testing.assert_array_equal(predictions("o"), predictions("whole"))


def test_options_are_checked():
    assert "--resume goes on from a checkpoint: give its folder" in train("--resume", code=2).stderr
    told = train("--checkpoint", "run", "--every", "often", code=2).stderr
    assert "--every: every must be a time such as '30s'" in told
    assert "does not exist. Make it first" in train("--checkpoint", "no/run", code=1).stderr
