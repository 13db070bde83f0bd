"""The lessons run as they stand, on every library, and come to the numbers that they tell."""

import ast
import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from targets import Target

from xpnn import to_numpy

pyplot = pytest.importorskip("matplotlib.pyplot")
FOLDER = Path(__file__).parents[1] / "docs" / "gallery"
LESSONS = {int(path.name.split("_")[1]): path for path in sorted(FOLDER.glob("plot_*.py"))}
pytestmark = [
    pytest.mark.targets("numpy", "strict:device1", "torch:cpu", "torch:cuda", "jax:cpu", "cupy:0"),
    pytest.mark.own_context,
]
# Hundreds of steps each: long where every operation is checked or a double's.
long = pytest.mark.targets("numpy", "torch:cpu", "torch:cuda")
eager = pytest.mark.targets("numpy", "strict:device1", "torch:cpu", "torch:cuda", "cupy:0")
Run = Callable[[int], SimpleNamespace]


@pytest.fixture
def run(
    target_any: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a lesson on the target; its names, what it printed, and how many pictures it drew."""
    monkeypatch.setattr(pyplot, "show", lambda: None)

    def lesson(number: int) -> SimpleNamespace:
        source = LESSONS[number].read_text("utf-8")
        assert source.count('\nDEVICE = "numpy"\n') == 1
        source = source.replace('DEVICE = "numpy"', f'DEVICE = "{target_any.backend.name}"')
        source = re.sub(r"\nOTHERS = \[.*\]\n", '\nOTHERS = ["numpy"]\n', source)
        names: dict[str, object] = {"__name__": "__main__"}
        exec(compile(source, LESSONS[number], "exec"), names)
        pictures = len(pyplot.get_fignums())
        return SimpleNamespace(**names, printed=capsys.readouterr().out, pictures=pictures)

    return lesson


@pytest.mark.targets("numpy")
def test_lessons_are_scripts_of_a_gallery() -> None:
    """A title first, then code and text in turn; DEVICE near the top."""
    assert list(LESSONS) == list(range(1, 10))
    for number, path in LESSONS.items():
        source = path.read_text("utf-8")
        title, line, *_ = ast.get_docstring(ast.parse(source), clean=False).strip().split("\n")
        assert title.startswith(f"{number}. ")
        assert set(line) == {"="}
        assert len(line) == len(title)
        assert source.index("\nDEVICE = ") < source.index("# %%")
        for block in re.findall(r"^# %%\n((?:#.*\n)+)", source, re.M):
            lines = [text[2:].rstrip() for text in block.split("\n")]
            for above, below in pairwise(lines):
                assert not re.fullmatch("-{3,}", below) or len(above) == len(below), above
        for block in source.split("\n# %%\n")[1:]:
            last = ast.parse(block).body[-1:]
            quiet = not last or not isinstance(last[0], ast.Expr)  # else the page shows its repr
            assert quiet or ast.unparse(last[0]).startswith(("print(", "plt.show(")), block
        assert source.rstrip().endswith("plt.show()")


def test_1_from_a_nerve_cell_to_a_threshold(run: Run) -> None:
    found = run(1)
    assert to_numpy(found.sums).tolist() == [2006, 403.5, 63]
    assert to_numpy(found.large).tolist() == to_numpy(found.same).tolist() == [1, 0, 0]
    assert to_numpy(found.xor_table.outputs)[:, 0].tolist() == [0, 1, 1, 0]
    assert to_numpy(found.majority_table.outputs)[:, 0].tolist() == [0, 0, 0, 1, 0, 1, 1, 1]
    assert found.with_bias.weights == (-1000, 2, 1, 0.5)
    assert "sums  [2006.   403.5   63. ]" in found.printed
    assert found.pictures == 7


def test_2_the_perceptron(run: Run) -> None:
    found = run(2)
    assert "learned, bias first: [-3, 2, 1]" in found.printed
    assert found.learned == [-3, 2, 1]
    weights = {name: report.weights for name, report in found.reports.items()}
    assert weights == {"OR": (-1, 1, 1), "NAND": (2, -2, -1), "NOR": (0, -1, -1)}
    assert found.signs.weights == weights["OR"]
    assert not found.xor.converged
    assert not found.xor.separable
    assert to_numpy(found.table.outputs)[:, 0].tolist() == [0, 1, 1, 0]
    assert all(sum(r.mistakes) <= r.bound for r in (found.report, *found.reports.values()))
    assert found.scaled.weights == (-24, 16, 8)
    assert found.pictures == 7


@eager
def test_3_error_and_learning(run: Run) -> None:
    found, tight = run(3), {"rel": 1e-9}
    m = found.measures
    assert (m.signed, m.absolute, m.squared, m.half_squared, m.mean_squared) == (4, 8, 18, 9, 4.5)
    assert found.cancelled.signed == 0
    assert found.trace.errors[:3] == pytest.approx((0.3844, 0.27123264, 0.191381750784), **tight)
    assert found.trace.weights[-1] == pytest.approx(1.7025848182730323, **tight)
    assert found.tried.errors[-1] < 1e-20
    ends = [trace.errors[-1] for trace in found.traces.values()]
    assert ends[3] > found.traces["too large (13)"].errors[0] > ends[0] > ends[1] > ends[2]
    assert "slope -8 at -4: go right" in [t.get_text() for t in found.ax.get_legend().get_texts()]
    assert found.pictures == 4


def test_4_a_network_by_hand(run: Run) -> None:
    found = run(4)
    assert f"{found.on_paper:.3f}" == "1.213"
    assert f"{found.paper_output:.4f}" == "0.7708"
    assert found.paper_error == pytest.approx(0.29645)
    sums, outputs = (
        [to_numpy(a)[0] for a in values] for values in (found.found.sums, found.found.outputs)
    )
    np.testing.assert_allclose(sums[0], [1, 0.9, 0.9], rtol=1e-12)
    np.testing.assert_allclose(outputs[0], [0.731058579, 0.710949503, 0.710949503], rtol=1e-8)
    np.testing.assert_allclose(outputs[1], [0.7711201275], rtol=1e-9)
    assert found.found.loss == pytest.approx(0.29731312553, rel=1e-9)
    assert found.new_weight == pytest.approx(0.2502522019, rel=1e-9)
    assert found.after.loss < found.found.loss
    assert found.difference < 1e-15
    assert found.wrong == 0
    assert found.pictures == 4


@pytest.mark.slow
@long
def test_5_networks_that_learn(run: Run) -> None:
    found = run(5)
    assert 900 < found.reached < 1000
    assert found.outputs[25] < 0.1
    assert found.online.predict(0.1, 0.2, 0.1) == pytest.approx(0.3, abs=1e-3)
    assert found.by_heart.errors[0] > 1e6
    assert found.by_heart.errors[-1] < 1e-6
    assert found.right == 8
    assert found.traces["sine"].errors[-1] < 1e-3
    by_gradient, by_chance = (t.evaluations_to(0.01) for t in (found.descended, found.climbed))
    assert by_gradient < by_chance
    assert found.lost.errors[-1] > 0.5 * found.lost.errors[0]
    assert found.pictures == 5


def test_6_activations(run: Run) -> None:
    found = run(6)
    assert found.difference < 1e-14
    assert found.activation_table() in found.printed
    assert [ax.get_title() for ax in found.axes] == found.names
    assert found.pictures == len(found.names) == 15


@pytest.mark.slow
@long
def test_7_dropout(run: Run) -> None:
    found = run(7)
    outputs = to_numpy(found.masked.outputs)
    np.testing.assert_allclose(outputs, [1, 4, 0, 0, 0.22, 0.86, 0, 0, 0.6, 0], rtol=1e-12)
    assert to_numpy(found.masked.deltas).tolist() == [2, 4, 0, 0, 10, 12, 0, 0, 18, 0]
    assert found.sums.mean() == pytest.approx(found.layer @ found.weights, rel=0.02)
    assert set(np.unique(found.drawn)) == {0, 2}
    assert not found.silent.any()
    without, with_it = found.curves.values()
    assert without[-1] > 1.1 * min(without)  # it overfits
    assert with_it[-1] < 1.05 * min(with_it)
    assert with_it[-1] < without[-1]
    assert found.right["with dropout"] > found.right["without dropout"]
    assert found.pictures == 3


@eager
def test_8_the_same_network_everywhere(run: Run, target_any: Target) -> None:
    found = run(8)
    assert found.equal
    assert found.places == list(dict.fromkeys([target_any.backend.name, "numpy"]))
    assert max(found.differences.values()) < 1e-5
    assert found.same >= 119
    assert found.pictures == 2


@pytest.mark.slow
@long
def test_9_from_lesson_to_work(run: Run) -> None:
    found = run(9)
    assert found.accuracy > 0.96
    assert found.score > 0.96
    assert (found.predicted != found.y_test).sum() == round(450 * (1 - found.accuracy))
    assert found.pictures == 5


@pytest.mark.slow
@pytest.mark.targets("jax:cpu")
@pytest.mark.parametrize("lesson", [3, 5, 7, 8, 9])
def test_the_long_lessons_on_jax(lesson: int, run: Run, target_any: Target) -> None:
    """Each program is compiled once for all steps, and comes to the same numbers."""
    {
        3: test_3_error_and_learning,
        5: test_5_networks_that_learn,
        7: test_7_dropout,
        8: partial(test_8_the_same_network_everywhere, target_any=target_any),
        9: test_9_from_lesson_to_work,
    }[lesson](run)
