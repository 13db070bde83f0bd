"""One training step stays within its budget of array-API calls and kernel launches."""

import json
import sys
from collections import Counter

import pytest
from scripts import load_script

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
    if step != budget.TABULAR:
        assert found[step]["matrix products"] == 8
    assert found[step]["waits"] == found[step]["copies to the host"] == 0


def test_the_file_has_every_step_and_number():
    assert list(BUDGET) == list(budget.STEPS)
    for numbers in BUDGET.values():
        assert list(numbers) == ["array API calls", *budget.COUNTERS]


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
