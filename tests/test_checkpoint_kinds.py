"""Perceptrons and estimators of tables that are cut off go on to the same bits, too."""

import contextlib
import functools
import shutil

import numpy as np
import pytest
import scipy.sparse
from checkpoints import CutOff, N, cut_off_after, in_pieces, refused, rows

import xpnn
from xpnn import (
    Checkpoint,
    Perceptron,
    TabularClassifier,
    TabularRegressor,
)
from xpnn.perceptron import samples as samples_of_perceptrons
from xpnn.steps.compiled import steps as compiled_steps
from xpnn.tabular import run as tabular_run
from xpnn.tabular.plan import Plan

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# -- perceptrons -----------------------------------------------------------------------------------

RULES = {
    "several classes, rows held out": {"early_stopping": True, "random_state": None},
    "averaged, penalty l2": {"average": True, "penalty": "l2", "alpha": 0.01},
    "penalty l1": {"penalty": "l1", "alpha": 0.001, "dtype": "float32"},
    "pocket": {"pocket": True},
    "in batches": {"batch_size": 8, "average": True},
}


def samples(rule):
    x, _ = rows()
    rng = np.random.default_rng(5)
    return x, rng.integers(0, 3 if "several" in rule else 2, N)


def learned(model):
    arrays = [model.coef_, model.intercept_, *getattr(model, "_last", {}).values()]
    host = [xpnn.to_numpy(a).tobytes() for a in arrays]
    return host, repr(model.history_), model.n_iter_, model.t_


@pytest.mark.parametrize("rule", RULES)
def test_the_bits_of_a_perceptron(rule, tmp_path, monkeypatch):
    x, y = samples(rule)
    random = np.random.RandomState(4) if "random_state" in RULES[rule] else 0
    make = functools.partial(
        Perceptron, max_iter=20, tol=1e-2, n_iter_no_change=9, **RULES[rule] | {"random_state": 1}
    )
    if "random_state" in RULES[rule]:
        make.keywords["random_state"] = random
        state = random.get_state()
    whole = make().fit(x, y)
    if "random_state" in RULES[rule]:
        random.set_state(state)
    again = in_pieces(make, tmp_path / "run", monkeypatch, x, y, every="2 epochs", writes=1)
    assert learned(again) == learned(whole)
    once_more = make().fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert learned(once_more) == learned(whole)
    refused(tmp_path / "run", "y: sha256", x, 1 - y, make=make, resume=True)
    assert whole.n_iter_ > 8


def test_a_perceptron_of_sparse_rows_on_a_device(target_any, tmp_path, monkeypatch):
    x, y = samples("")
    make = functools.partial(Perceptron, max_iter=12, tol=None, batch_size=16)
    x = target_any.asarray(x) if target_any.name != "numpy" else scipy.sparse.csr_matrix(x)
    whole = make().fit(x, y)
    again = in_pieces(make, tmp_path / "run", monkeypatch, x, y, every=4, writes=1)
    assert learned(again) == learned(whole)


@pytest.mark.parametrize("piece", [32, 1 << 16])
def test_ctrl_c_within_an_epoch_of_a_perceptron(piece, tmp_path, monkeypatch):
    """The checkpoint is of the pieces before; the model has what it learned since."""
    from xpnn.perceptron import compiled, fit, numpy

    monkeypatch.setattr(samples_of_perceptrons, "PIECE", piece)
    monkeypatch.setattr(compiled, "_AT_ONCE", 32 * 3)
    monkeypatch.setattr(numpy, "CHUNK", 32)
    asked = iter([False] * 16)
    x, y = samples("")
    make = functools.partial(Perceptron, max_iter=9, tol=None)
    whole = make().fit(x, y)
    with monkeypatch.context() as patch:
        stop = contextlib.nullcontext(lambda: next(asked, True))
        patch.setattr(fit, "interruptible", lambda: stop)
        cut = make()
        with pytest.raises(KeyboardInterrupt, match=r"interrupted by user; .* A checkpoint is in"):
            cut.fit(x, y, checkpoint=tmp_path / "run")
    assert 1 < cut.n_iter_ < 9
    again = make().fit(x, y, checkpoint=tmp_path / "run", resume=True)
    assert learned(again) == learned(whole)


# -- tables ----------------------------------------------------------------------------------------


def table():
    rng = np.random.default_rng(0)
    return {
        "size": rng.normal(size=90),
        "colour": rng.choice(["red", "green", "blue"], 90),
        "age": np.where(rng.random(90) < 0.2, np.nan, rng.normal(size=90)),
    }


def known(model):
    arrays = [*model._arrays.values(), model._held, model.oof_prediction_]
    facts = model.history_, model.valleys_, model._weights, model.outcome_
    return [xpnn.to_numpy(a).tobytes() for a in arrays], repr(facts)


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_the_bits_of_a_table(kind, target_any, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_steps.CompiledSteps, "stride", lambda self, batch: 1)
    monkeypatch.setattr(tabular_run, "CALM", np.inf)  # dropout ends at the first valley
    columns, weight = table(), np.linspace(0, 1, 90)
    y = np.where(columns["size"] > 0, "large", "small")
    y = y if kind is TabularClassifier else columns["size"] ** 2
    options = {"device": target_any.backend.name, "dtype": target_any.dtype_name, "epochs": 8}
    make = functools.partial(kind, random_state=None, n_members=2, hidden=8, **options)
    folder = tmp_path / "run"
    with cut_off_after(1, monkeypatch), pytest.raises(CutOff):
        make().fit(columns, y, weight, checkpoint=Checkpoint(folder, "1 step"))
    shutil.copytree(folder, tmp_path / "other")  # a seed was drawn
    whole = make().fit(columns, y, weight, checkpoint=tmp_path / "other", resume=True)
    again = in_pieces(make, folder, monkeypatch, columns, y, weight, every="3 steps", writes=1)
    assert known(again) == known(whole)
    assert len(again.history_["loss"]) == 8
    refused(folder, "X: sha256", columns | {"age": columns["size"]}, y, weight, make=make,
            resume=True)  # fmt: skip


def test_the_time_of_all_parts_counts():
    now = 100.0
    plan = Plan(20, lambda state: (0.5, np.zeros(2)), 50.0, lambda: now)
    now += 30.0
    saved = plan.save_state()
    later = Plan(20, lambda state: (0.5, np.zeros(2)), 50.0, lambda: now)
    later.load_state(*saved)
    assert not later.late()
    now += 21.0
    assert later.late()
