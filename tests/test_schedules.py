"""Learning-rate schedules: closed forms, scikit-learn's and torch's own numbers."""

import copy
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from xpnn.schedules import SCHEDULES, Progress, Schedule, get_schedule

NAMES = list(SCHEDULES)
RISING = ("one_cycle", "warmup", "coslog")
TOTAL = 100


def at(step=0, *, epoch=None, samples=0, total=TOTAL, plateaus=0):
    epochs = max(total // 10, 1)
    return Progress(step, step // 10 if epoch is None else epoch, samples, total, epochs, plateaus)


def rates(spec, total=TOTAL, base=0.1, **params):
    schedule = get_schedule(spec, **params)
    return np.asarray([schedule(base, at(i, total=total)) for i in range(total)])


def test_constant():
    np.testing.assert_array_equal(rates("constant"), np.full(TOTAL, 0.1))


@pytest.mark.parametrize("power_t", [0.5, 0.25, 2])
def test_invscaling_is_scikit_learns(power_t):
    theirs = SGDOptimizer([], 0.1, lr_schedule="invscaling", power_t=power_t)
    ours = get_schedule("invscaling", power_t=power_t)
    assert ours(0.1, at(samples=0)) == theirs.learning_rate
    for samples in (150, 300, 450):
        theirs.iteration_ends(samples)
        assert ours(0.1, at(samples=samples)) == theirs.learning_rate


def test_adaptive_is_scikit_learns():
    theirs = SGDOptimizer([], 0.1, lr_schedule="adaptive")
    ours = get_schedule("adaptive")
    for plateaus in range(20):
        assert ours(0.1, at(plateaus=plateaus)) == theirs.learning_rate
        theirs.trigger_stopping("", verbose=False)
    assert 1e-7 < ours(0.1, at(plateaus=10**9)) <= 1e-6


def test_adaptive_with_another_factor():
    schedule = get_schedule("adaptive", factor=0.5, minimum=0.03)
    assert [schedule(0.1, at(plateaus=p)) for p in range(4)] == [0.1, 0.05, 0.025, 0.025]


def test_step():
    schedule = get_schedule("step", step_size=2, gamma=0.5)
    drawn = [schedule(8.0, at(epoch=e)) for e in range(7)]
    assert drawn == [8, 8, 4, 4, 2, 2, 1]


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine(final):
    i = np.arange(TOTAL)
    expected = 0.1 * (final + (1 - final) * np.cos(math.pi * i / TOTAL / 2) ** 2)
    np.testing.assert_allclose(rates("cosine", final=final), expected, rtol=1e-12, atol=1e-15)


def test_warmup_rises_straight_then_falls_as_cosine():
    drawn = rates("warmup", warm_up=0.2, final=0.5)
    np.testing.assert_allclose(drawn[:20], 0.1 * np.arange(1, 21) / 20, rtol=1e-12)
    np.testing.assert_allclose(drawn[20:], rates("cosine", 80, final=0.5), rtol=1e-12)


@pytest.mark.parametrize("cycles", [1.0, 3.0, 4.0])
def test_coslog_has_cycles_each_twice_as_long_as_the_last(cycles):
    """From 0 up to the base rate and back, so many times; at the middle of each step."""
    drawn = rates("coslog", 2000, cycles=cycles)
    t = (np.arange(2000) + 0.5) / 2000
    turns = np.log(1 + (2**cycles - 1) * t) / np.log(2)
    np.testing.assert_allclose(drawn, 0.1 * np.sin(np.pi * turns) ** 2, rtol=1e-9, atol=1e-12)
    ends = (2 ** np.arange(cycles + 1) - 1) / (2**cycles - 1) * 2000  # each twice the last
    for start, end in pairwise(ends.round().astype(int)):
        cycle = drawn[start:end]
        assert cycle.max() == pytest.approx(0.1, rel=1e-3)
        assert max(cycle[0], cycle[-1]) < 1e-4
    assert get_schedule("coslog").params == (("cycles", 4.0),)


def test_one_cycle_is_torchs(torch):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=TOTAL)
    expected = []
    for _ in range(TOTAL):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        if len(expected) < TOTAL:
            theirs.step()
    np.testing.assert_allclose(rates("one_cycle"), expected, rtol=1e-12)


def test_one_cycle_starts_low_peaks_and_ends_lower():
    drawn = rates("one_cycle", warm_up=0.4, initial=0.1, final=0.01)
    np.testing.assert_allclose(drawn[[0, 39, -1]], [0.01, 0.1, 0.001], rtol=1e-12)
    assert np.argmax(drawn) == 39
    assert (np.diff(drawn[:40]) > 0).all()
    assert (np.diff(drawn[39:]) < 0).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RISING])
def test_it_never_rises(name):
    assert (np.diff(rates(name)) <= 0).all()


@given(
    st.integers(0, 500),
    st.integers(0, 50),
    st.integers(0, 10**9),
    st.integers(0, 300),
    st.integers(0, 30),
)
def test_between_zero_and_the_base_rate_whatever_the_progress(step, epoch, samples, total, stuck):
    progress = Progress(step, epoch, samples, total, max(total // 10, 1), stuck)
    for name in NAMES:
        rate = get_schedule(name)(0.1, progress)
        assert type(rate) is float
        assert 0.0 <= rate <= 0.1 * (1 + 1e-12)


@pytest.mark.parametrize("warm_up", [0.0, 1.0])
@pytest.mark.parametrize("name", ["one_cycle", "warmup"])
@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_all_or_nothing_of_a_warm_up(name, warm_up, total):
    drawn = rates(name, total, warm_up=warm_up)
    assert drawn.max() == pytest.approx(0.1) or total <= 2
    assert ((drawn >= 0) & (drawn <= 0.1)).all()


def test_how_often_each_is_asked():
    per_step = [name for name in NAMES if SCHEDULES[name].per == "step"]
    assert {"cosine", "one_cycle", "warmup", "coslog"} <= set(per_step)
    assert {"constant", "invscaling", "adaptive", "step"}.isdisjoint(per_step)
    with pytest.raises(ValueError, match="per is 'batch'"):
        Schedule("mine", lambda base_lr, progress: base_lr, per="batch")


@pytest.mark.parametrize("name", NAMES)
def test_pickle_copy_and_hash(name):
    schedule = SCHEDULES[name]
    assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule
    assert hash(schedule) == hash(copy.deepcopy(schedule))
    assert get_schedule(name) is schedule
    assert get_schedule(schedule) is schedule


def test_progress_taken_for_a_number_is_told_what_it_has():
    falling = get_schedule(lambda base, progress: base * (1 - progress.fraction))
    rates = [falling(0.1, Progress(step, 0, 0, 4, 1, 0)) for step in range(6)]
    assert np.allclose(rates, [0.1, 0.075, 0.05, 0.025, 0.0, 0.0])
    with pytest.raises(TypeError, match="'int' and 'Progress'") as error:
        get_schedule(lambda base, progress: base * (1 - progress))(0.1, Progress(0, 0, 0, 4, 1, 0))
    assert "progress.fraction, from 0 to 1" in error.value.__notes__[0]


def test_a_users_own_function():
    schedule = get_schedule(lambda base_lr, progress: base_lr / (1 + progress.epoch))
    assert schedule.per == "step"
    assert schedule(np.float64(0.1), at(epoch=1)) == 0.05
    for wrong in (-1.0, math.nan, math.inf, None, "fast"):
        with pytest.raises(ValueError, match="returned the learning rate"):
            get_schedule(lambda base_lr, progress, wrong=wrong: wrong)(0.1, at())


PARAMS = [(name, param) for name in NAMES for param, _ in SCHEDULES[name].params]


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, True], ids=repr)
@pytest.mark.parametrize(("name", "param"), PARAMS)
def test_a_parameter_that_is_no_number_is_an_error(name, param, value):
    with pytest.raises(ValueError, match=rf"{param} of schedule '{name}' is .*expected a finite"):
        get_schedule(name, **{param: value})


@pytest.mark.parametrize(("name", "param"), [p for p in PARAMS if p[1] != "power_t"])
def test_a_negative_parameter_is_an_error(name, param):
    with pytest.raises(ValueError, match=rf"{param} of schedule '{name}' is -0.1, expected"):
        get_schedule(name, **{param: -0.1})


def test_an_unknown_name_or_parameter_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"did you mean 'cosine'\?") as error:
        get_schedule("cosinus")
    assert all(name in str(error.value) for name in NAMES)
    with pytest.raises(ValueError, match="'step' has no parameter 'size': it takes step_size"):
        get_schedule("step", size=3)
    for spec in (None, 3, Schedule):
        with pytest.raises(ValueError, match="expected a name"):
            get_schedule(spec)
