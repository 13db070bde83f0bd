"""The table of activations that people read says what the functions compute."""

import math

import numpy as np
import pytest

from xpnn.activations import ACTIVATIONS, NOTES, activation_table

NAMES = {"exp": math.exp, "log": math.log, "tanh": math.tanh, "max": max, "min": min, "abs": abs}
COUPLED = {"softmax", "log_softmax"}


def test_each_activation_has_its_row() -> None:
    assert list(NOTES) == list(ACTIVATIONS)
    lines = activation_table().split("\n")
    assert len(lines) == 2 + 4 * len(ACTIVATIONS)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", [n for n in NOTES if n not in COUPLED])
def test_formula_derivative_and_range_are_the_functions(name: str) -> None:
    note, f = NOTES[name], ACTIVATIONS[name]
    z = np.asarray([[-7.0, -2.5, -0.75, -0.01, 0.01, 0.4, 1.5, 2.9, 6.0]])
    a = f(z, np)
    slopes = None if f.derivative is None else np.broadcast_to(f.derivative(z, a, np), z.shape)
    assert (note.derivative == "-") == (slopes is None)
    for k, x in enumerate(z[0].tolist()):
        own = {"z": x, "a": a[0, k], "s": 1 / (1 + math.exp(-x))}
        own["t"] = math.tanh(0.797885 * (x + 0.044715 * x**3))
        rounded = {"rel": 2e-5, "abs": 1e-5}  # the constants are printed in six digits
        assert eval(note.formula, NAMES, own) == pytest.approx(a[0, k], **rounded)
        if slopes is not None:
            assert eval(note.derivative, NAMES, own) == pytest.approx(slopes[0, k], **rounded)


@pytest.mark.parametrize("name", [n for n in NOTES if n not in COUPLED | {"step"}])
def test_ranges(name: str) -> None:
    low, high = (float(v) for v in NOTES[name].range.strip("[]()").split(","))
    a = ACTIVATIONS[name](np.linspace(-30, 30, 60001)[:, None], np)
    assert a.min() == pytest.approx(low, abs=0.05) or (low == -np.inf and a.min() < -0.2)
    assert a.min() >= low - 1e-4
    assert a.max() <= high
    assert a.max() == pytest.approx(high, abs=0.05) or (high == np.inf and a.max() > 25)
