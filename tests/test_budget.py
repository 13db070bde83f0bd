"""One training step stays within its budget of array-API calls and kernel launches."""

import json
import sys
from collections import Counter

import pytest
from scripts import load_script

from xpnn.activations import ACTIVATIONS
from xpnn.losses import LOSSES
from xpnn.optimizers import OPTIMIZERS

budget = load_script("ci/budget.py")
BUDGET = json.loads(budget.FILE.read_text())
CURE = "mend it; if it has to be, edit ci/budget.json by hand and say why in the commit"

pytestmark = [pytest.mark.own_context, pytest.mark.dtypes("float32")]


@pytest.mark.targets("strict:device1")
@pytest.mark.parametrize("step", budget.STEPS)
def test_array_api_calls_of_a_step(target, step):
    calls = budget.per_step(budget.strict_calls, budget.STRICT, step)
    found = {step: {"array API calls": sum(calls.values())}}
    assert not budget.risen(found, BUDGET), f"{dict(+Counter(calls))}: {CURE}"


@pytest.mark.targets("cupy:0")
@pytest.mark.parametrize("step", budget.STEPS)
def test_launches_of_a_step(target, step):
    if not budget.on_host_double():
        pytest.skip("a GPU has no counters; the host double has")
    found = {step: budget.per_step(budget.cupy_counts, budget.CUPY, step)}
    assert not budget.risen(found, BUDGET), CURE


@pytest.mark.slow
@pytest.mark.targets("cupy:0")
@pytest.mark.parametrize("fit", budget.FIRST_FITS)
def test_a_first_fit_compiles_what_its_budget_says(target, fit, tmp_path):
    """With nothing in CuPy's cache; what they are is kept there."""
    pytest.importorskip("cupy_on_cpu")
    found = {budget.row_of(fit): budget.first_fit(fit, str(tmp_path))}
    assert not budget.risen(found, BUDGET), CURE
    if fit == "classifier":
        assert not any(budget.first_fit(fit, str(tmp_path)).values())


@pytest.mark.targets("cupy:0")
@pytest.mark.parametrize("step", [budget.TABULAR, "every rule, weights", "batch normalization"])
def test_a_step_asks_cupy_for_no_kernel_of_its_own(target, step):
    """So it is the same whichever way CuPy reduces: by CUB, its default on a GPU, or without."""
    if not budget.on_host_double():
        pytest.skip("a GPU has no counters; the host double has")
    import cupy_on_cpu

    def kernels(steps):
        with cupy_on_cpu.count() as counts:
            budget.train(budget.CUPY, step, steps)
        return Counter(counts["kernels"])

    kernels(2)
    further = kernels(4) - kernels(2)
    assert further
    assert not [name for name in further if name.startswith("cupy_")]


# The most launches beside the products that a step of two hidden layers may have, see README.md.
GOALS = {"activation": 12, "loss": 16, "": 16, "layer": 20, "batch": 22, budget.TABULAR: 30}


@pytest.mark.parametrize("step", budget.STEPS)
def test_every_step_is_within_its_goal_and_moves_nothing(step):
    numbers, sizes = BUDGET[step], budget.STEPS[step].sizes
    goal = GOALS.get(step.split()[0], GOALS[""])
    assert numbers["kernel launches"] <= goal + 2 * (len(sizes) - len(budget.SIZES))
    more = step in (budget.TABULAR, "scale", "embedding")  # a layer before wants its gradient
    assert numbers["matrix products"] == 3 * (len(sizes) - 1) - 1 + more
    assert not any(numbers[name] for name in list(budget.COUNTERS)[2:])


@pytest.mark.parametrize("fit", budget.FIRST_FITS)
def test_every_first_fit_is_within_its_goal(fit):
    most = (12, 3 if fit == "perceptron" else 2)
    numbers = [BUDGET[budget.row_of(fit)][name] for name in budget.COMPILED]
    assert all(number <= limit for number, limit in zip(numbers, most, strict=True))


def test_every_kind_of_step_has_a_row():
    for kind, names in (
        ("activation", [n for n, a in ACTIVATIONS.items() if a.differentiable]),
        ("loss", LOSSES),
        ("optimizer", OPTIMIZERS),
    ):
        rows = {step.split(",")[0] for step in budget.STEPS}
        assert {f"{kind} {name}" for name in names} <= rows


def test_the_file_has_every_step_and_number():
    fits = [budget.row_of(fit) for fit in budget.FIRST_FITS]
    assert list(BUDGET) == [*budget.STEPS, *fits]
    for row, numbers in BUDGET.items():
        of_step = ["array API calls", *budget.COUNTERS]
        assert list(numbers) == (list(budget.COMPILED) if row in fits else of_step)


def test_a_rise_is_told():
    found = {step: {**numbers, "kernel launches": 10**6} for step, numbers in BUDGET.items()}
    assert len(budget.risen(found, BUDGET)) == len(BUDGET)
    assert budget.risen({"new": {"waits": 1}}, BUDGET) == ["new: waits: 1, budget 0"]
    assert not budget.risen(BUDGET, BUDGET)


@pytest.mark.targets("strict:device1")
def test_one_more_operation_a_step_is_seen(target, monkeypatch):
    before = budget.per_step(budget.strict_calls, budget.STRICT, "no dropout")
    original = budget.Adam.update

    def update(self, theta, gradient, *arguments):
        return original(self, theta, gradient + 0.0, *arguments)

    monkeypatch.setattr(budget.Adam, "update", update)
    after = budget.per_step(budget.strict_calls, budget.STRICT, "no dropout")
    assert sum(after.values()) == sum(before.values()) + 1


@pytest.mark.parametrize("change", [-1, 1])
def test_the_script_writes_falls_alone(monkeypatch, tmp_path, change, capsys):
    found = {"dropout": {"kernel launches": 10 + change}}
    monkeypatch.setattr(budget, "FILE", tmp_path / "budget.json")
    monkeypatch.setattr(budget, "measure", lambda: found)
    monkeypatch.setattr(sys, "argv", ["budget.py", "--write"])
    budget.FILE.write_text(json.dumps({"dropout": {"kernel launches": 10, "waits": 0}}))
    assert budget.main() == (change > 0)
    written = json.loads(budget.FILE.read_text())["dropout"]
    assert written == {"kernel launches": min(10, 10 + change), "waits": 0}
    assert ("RISEN" in capsys.readouterr().out) == (change > 0)
