"""Trainings that are cut off and go on, and how to tell that nothing was lost."""

import contextlib

import numpy as np
import pytest

from xpnn import Checkpoint, CheckpointError, MLPClassifier
from xpnn.training import checkpoint as checkpoints

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


def refused(folder, match, *args, make=None, **fit):
    model = (make or maker())()
    before = dict(vars(model))
    with pytest.raises(CheckpointError, match=match):
        model.fit(*args, checkpoint=folder, **fit)
    assert vars(model) == before
