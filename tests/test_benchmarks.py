"""The comparison runs, and what it reports is what it measured."""

import importlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xpnn.steps import compiled

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    """A file of benchmarks/ as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("name", ["tiny", "digits", "tab", "mnist", "wide"])
def test_workloads_are_those_announced(module, name):
    work = next(w for w in module("workloads").WORKLOADS if w.name == name)
    x, y = work.data()
    assert x.shape == (work.rows, work.sizes[0])
    assert x.dtype == np.float32
    assert set(np.unique(y)) <= set(range(work.sizes[-1]))


def test_products_are_those_of_a_step(module, monkeypatch):
    """Forward, weight gradients, and gradients of all inputs but the first layer's."""
    work = next(w for w in module("workloads").WORKLOADS if w.name == "tab")
    work, count = replace(work, rows=work.batch), []
    original = np.matmul

    def counted(a, b, out):
        count.append(2 * a.shape[0] * a.shape[1] * b.shape[1])
        return original(a, b, out)

    monkeypatch.setattr(np, "matmul", counted)
    module("peers").products(work)(1)
    assert len(count) == 8
    assert sum(count) == work.flops


@pytest.mark.skipif(compiled.library() is None, reason="the compiled steps are not there")
def test_two_libraries_take_the_same_steps_in_turn(module):
    libraries, work = module("libraries"), module("workloads").WORKLOADS[0]
    about = replace(work, rows=160, dropout=0.5), np.dtype(np.float64), "batch"
    both = [libraries.Contestant(str(compiled._FILE), *about) for _ in range(2)]
    begin = both[0].carry.theta.copy()
    assert all(each.seconds(1) > 0 for each in both)
    np.testing.assert_array_equal(both[0].carry.theta, both[1].carry.theta)
    assert (begin != both[0].carry.theta).any()
    times, ratio = libraries.compare(both, 3)
    assert [len(t) for t in times] == [3, 3]
    assert min(b / a for a, b in zip(*times, strict=True)) <= ratio


def test_peers_see_the_rows_in_the_same_order(module):
    orders = module("peers").orders(10, 2)
    assert [sorted(o) for o in orders] == [list(range(10))] * 2
    assert orders[0].tolist() != orders[1].tolist()


def test_report_says_what_was_measured(module, tmp_path):
    report = module("report")
    row = {
        "workload": "w", "name": "w", "sizes": (1, 2), "batch": 1, "dropout": 0.0,
        "median": {"xpnn": 2.0, "torch": 8.0, "products": 1.0},
        "min": {"xpnn": 1.0, "torch": 2.0, "products": 1.0},
        "accuracy": {"xpnn": 0.5, "torch": 0.5},
    }  # fmt: skip
    report.write({"machine": report.machine(), "training": [row, row]}, tmp_path)
    text = (tmp_path / "compare.md").read_text()
    assert "xpnn against torch: 4.00 times as fast in the geometric mean, worst 4.00" in text
    assert "no dropout: w 2.00, w 2.00" in text
    assert json.loads((tmp_path / "compare.json").read_text())["training"][0]["batch"] == 1
    assert (tmp_path / "compare.png").stat().st_size > 1000
    assert math.isnan(report.geometric_mean([]))


def test_report_says_what_to_switch_on_a_gpu(module):
    report = module("report")
    times = {"xpnn": 400.0, "xpnn-graph": 100.0, "xpnn-whole": 200.0, "torch": 800.0}
    rows = [
        {"workload": "tiny", "median": times},
        {"workload": "wide", "median": {**times, "xpnn": 50.0, "torch-graph": 25.0}},
    ]
    text = "\n".join(report.switches(rows, "median"))
    assert "| tiny | XPNN_CUDA_STEPS=graph | 4.00x launches, 8.00x torch |" in text
    assert "| wide | XPNN_CUDA_STEPS=launches | 1.00x launches, 16.00x torch, 0.50x torch" in text
    assert report.switches([{"workload": "w", "median": {"xpnn": 1.0}}], "median") == []


def test_ways_are_among_the_peers_of_a_gpu(module):
    peers = module("peers").ON_GPU
    assert set(module("report").WAYS) == {name for name in peers if name.startswith("xpnn")}


def test_pytorch_with_a_graph_is_pytorch(module, torch):
    """On its CPU, where a graph is the step itself."""
    peers, work = module("peers"), replace(module("workloads").WORKLOADS[0], rows=100)
    eager, graph = (
        peers.make(name, work, "cpu")(20)(work.data()[0]) for name in ("torch", "torch-graph")
    )
    np.testing.assert_array_equal(eager, graph)


@pytest.mark.targets("cupy:0")
@pytest.mark.dtypes("float32")
@pytest.mark.own_context
@pytest.mark.parametrize("name", ["xpnn", "xpnn-graph", "xpnn-whole"])
def test_ways_of_a_step_on_cupy_learn_alike(module, target, name):
    peers, work = module("peers"), replace(module("workloads").WORKLOADS[0], rows=100)
    predict = peers.make(name, work, target.backend.name)(60)
    assert peers.accuracy(predict, work, target.backend.name) > 0.8


def test_a_setting_is_measured_beside_the_plain_step(module):
    cliffs = module("cliffs")
    found = cliffs.ratios(["plain", "gelu", "clip_norm"], "float64", rounds=1, epochs=1)
    assert found["plain"][1:] == [1.0, 1.0]
    assert all(x > 0 for row in found.values() for x in row)
    for name, setting in cliffs.SETTINGS.items():
        cliffs.bench_of(name, "float32")
        assert set(setting) <= {"network", "loss", "config"}


@pytest.mark.slow
def test_comparison_runs(tmp_path):
    code = (
        "import sys; sys.argv = ['compare.py', '--quick', '--rounds', '1', '--workloads', 'tiny',"
        f" '--peers', 'xpnn-numpy,products', '--out', {str(tmp_path)!r}]\n"
        "import workloads, dataclasses\n"
        "workloads.WORKLOADS = tuple(dataclasses.replace(w, epochs=2) for w in workloads.WORKLOADS)"
        "\nimport compare; compare.WORKLOADS = workloads.WORKLOADS\n"
        "if __name__ == '__main__': compare.main()\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path])}
    subprocess.run([sys.executable, script], check=True, env=environment, capture_output=True)
    rows = json.loads((tmp_path / "compare.json").read_text())["training"]
    assert [r["dropout"] for r in rows] == [0.0, 0.5]
    assert all(r["median"][name] > 0 for r in rows for name in ("xpnn-numpy", "products"))


@pytest.mark.slow  # it imports much
def test_tables_are_read_whatever_stands_around_their_rows(module, tmp_path):
    """Rows in quotes, as one of the real tables has them, under a name that is not theirs."""
    pytest.importorskip("pandas")
    rows = [f"{i},{i % 7}.5,{i % 3}" for i in range(40)]
    (tmp_path / "plain.csv").write_text("\n".join(["a,b,target", *rows]))
    (tmp_path / "quoted.csv").write_text("\n".join(["target", *(f'"{row}"' for row in rows)]))
    read = module("tabular").read
    plain, target, _ = read(tmp_path / "plain.csv", "regression")
    quoted, same, task = read(tmp_path / "quoted.csv", "regression")
    assert task == "regression"
    assert np.array_equal(quoted.to_numpy(), plain.to_numpy())
    assert np.array_equal(same, target)
