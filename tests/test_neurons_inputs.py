"""Single neurons as a class uses them: lists, tables, numbers, devices, print."""

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from targets import Target

import xpnn
from xpnn import Dense, Network
from xpnn.neurons import (
    Boundary,
    Circuit,
    McCullochPitts,
    Neuron,
    ThresholdUnit,
    add_constant,
    and_gate,
    backpropagate,
    delta_rule,
    error_measures,
    gradient_descent,
    hill_climbing,
    mask_layer,
    nand_gate,
    nor_gate,
    not_gate,
    or_gate,
    perceptron_rule,
    truth_table,
)

PAIRS = [[0, 0], [0, 1], [1, 0], [1, 1]]
AND = [0, 0, 0, 1]


def test_one_import_is_enough() -> None:
    assert xpnn.neurons.perceptron_rule is perceptron_rule
    assert {"neurons", "plot", "losses"} <= set(dir(xpnn))
    with pytest.raises(AttributeError, match="no attribute 'neuron'"):
        _ = xpnn.neuron


# -- inputs ---------------------------------------------------------------------------------------


def test_numbers_give_a_number() -> None:
    assert and_gate()(1, 1) == 1.0
    assert and_gate()(1, 0) == 0.0
    assert type(or_gate()(0, 1)) is float
    assert not_gate()(0) == 1.0
    assert Neuron((1, -1, 5), activation="relu")(2, 3, 4) == 19.0
    assert ThresholdUnit((2, 1, 0.5), 1000)(1000, 5, 2) == 1.0
    assert ThresholdUnit((2, 1, 0.5), 1000).sums(1000, 5, 2) == 2006.0
    xor = Circuit(2, [[or_gate(), nand_gate()], [and_gate()]])
    assert [xor(*row) for row in PAIRS] == [0.0, 1.0, 1.0, 0.0]
    assert Circuit(2, [[or_gate(), nand_gate()]])(1, 1) == (1.0, 0.0)


def test_columns_and_single_rows() -> None:
    assert or_gate()([0, 0, 1, 1], [0, 1, 0, 1]).tolist() == [0, 1, 1, 1]
    assert or_gate()(0, [0, 1]).tolist() == [0, 1]  # a number meets a column
    assert or_gate()([0, 1]) == 1
    assert not_gate()([0, 1, 1]).tolist() == [1, 0, 0]  # of one input: a value a row
    assert Neuron((2,), 1)([1, 2, 3]).tolist() == [3, 5, 7]
    assert add_constant([5, 2]).tolist() == [1, 5, 2]


def tables() -> dict[str, object]:
    columns = {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]}
    made = {"lists": PAIRS, "tuples": tuple(map(tuple, PAIRS)), "mapping": columns}
    made["truths"] = np.asarray(PAIRS, dtype=bool)
    for name in ("pandas", "polars"):
        try:
            made[name] = __import__(name).DataFrame(columns)
        except ImportError:
            continue
    return made


@pytest.mark.parametrize("name", tables())
def test_every_kind_of_table(name: str) -> None:
    x = tables()[name]
    assert and_gate()(x).tolist() == AND
    assert Neuron((1, 1))(x).tolist() == [0, 1, 1, 2]
    assert perceptron_rule(x, AND).weights == (-3, 2, 1)
    assert add_constant(x)[3].tolist() == [1, 1, 1]
    net = Network((Dense(2, 1),))
    start = [([[0.0], [0.0]], [0.0])]
    trace = gradient_descent(net, start, x, AND, steps=5)
    assert len(trace.errors) == 5
    assert trace.predict(x).shape == (4, 1)


def test_a_table_with_words_is_refused() -> None:
    with pytest.raises(ValueError, match=r"columns \['b'\] of the table are not numbers"):
        Neuron((1, 1))({"a": [1, 2], "b": ["x", "y"]})
    with pytest.raises(ValueError, match=r"shape \(n, 2\), one column for each weight"):
        Neuron((1, 1))(1, 2, 3)
    with pytest.raises(ValueError, match="no inputs: pass 2 numbers"):
        Neuron((1, 1))()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: and_gate()("1", 1), "'1' is not made of real numbers"),
        (lambda: and_gate()(None, 1), "None is not made of real numbers"),
        (lambda: and_gate()([[0, 0], [0]]), "rows of different lengths: make them equal"),
        (lambda: and_gate()(0.5, 1), "binary inputs: 0 and 1 only"),
        (lambda: Neuron("ab"), "weights must be numbers in a row, got 'ab'"),
        (lambda: Neuron([[1, 2]]), "weights must be numbers in a row"),
        (lambda: ThresholdUnit((1,), 0, (0, 1, 2)), r"coding is \(0, 1, 2\), expected two numbers"),
        (lambda: perceptron_rule([], []), r"x must have the shape \(n, d\)"),
        (lambda: perceptron_rule([[np.nan]], [1]), "NaN or infinite values: leave these rows out"),
        (lambda: perceptron_rule(PAIRS, AND, eta="a"), "eta must be above 0, got 'a'"),
        (lambda: delta_rule([], [], 1), r"weights must be numbers in a row, got \[\]"),
        (lambda: error_measures([1, 2], ["a", 2]), r"\['a', 2\] is not made of real numbers"),
    ],
)
def test_what_is_no_number_is_refused_by_name(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_device_names_where_lists_are_computed(target_any: Target) -> None:
    where = {"device": target_any.backend}
    for found in (
        and_gate()(PAIRS, **where),
        ThresholdUnit((1, 1), 2)(PAIRS, **where),
        Neuron((1, 1), -2, "step")(PAIRS, **where),
        truth_table(and_gate(), **where).outputs,
        Circuit(2, [[and_gate()]])(PAIRS, **where)[:, 0],
    ):
        target_any.assert_close(found, np.asarray(AND, dtype=float))
    target_any.assert_here(add_constant(PAIRS, **where))
    assert perceptron_rule(PAIRS, AND, **where).weights == (-3, 2, 1)
    assert error_measures([2, 3], [1, 5], **where).absolute == 3
    target_any.assert_here(mask_layer([1.0, 2.0], [1, 0], 0.5, **where).outputs)
    net = Network((Dense(2, 2, "tanh"), Dense(2, 1)))
    theta, _ = net.init(seed=0)
    for learn in (gradient_descent, hill_climbing):
        trace = learn(net, theta, PAIRS, AND, steps=2, **where)
        target_any.assert_here(trace.theta)
        target_any.assert_here(trace.predict(PAIRS))
    target_any.assert_here(backpropagate(net, theta, PAIRS, AND, **where).deltas[0])


# -- circuits of any neurons ----------------------------------------------------------------------


def test_circuits_of_units_rules_and_estimators(target_any: Target) -> None:
    learned = perceptron_rule(PAIRS, [0, 1, 1, 1])
    fitted = xpnn.Perceptron(shuffle=False).fit(np.asarray(PAIRS, dtype=float), [1, 1, 1, 0])
    if target_any.backend.name != "numpy":
        fitted.to_device(target_any.backend)
    nand = ThresholdUnit((-1, -1), -1)
    for hidden in ([learned, fitted], [learned, nand], [or_gate(), nand], [learned.unit, fitted]):
        circuit = Circuit(2, [hidden, [and_gate()]])
        found = truth_table(circuit, device=target_any.backend)
        target_any.assert_close(found.outputs[:, 0], [0.0, 1, 1, 0])
    reals = Circuit(2, [[Neuron((1, 2)), ThresholdUnit((1, 1), 0.5, (-1, 1))], [Neuron((1, 1))]])
    target_any.assert_close(reals(target_any.asarray([[0.25, 0.5]])), [[2.25]])


def test_a_neuron_that_does_not_fit_its_layer() -> None:
    with pytest.raises(ValueError, match="neuron of layer 2 needs 2 inputs, got 1"):
        Circuit(2, [[or_gate()], [ThresholdUnit((1, 1), 2)]])
    with pytest.raises(ValueError, match="neuron of layer 1 needs 1 inputs, got 2"):
        Circuit(2, [[Neuron((1,))]])
    with pytest.raises(ValueError, match="layer 1 has 3, expected a neuron"):
        Circuit(2, [[3]])
    with pytest.raises(ValueError, match="1 to 16 inputs, got n_inputs=None: pass n_inputs="):
        truth_table(lambda x: x)


# -- perceptron rule ------------------------------------------------------------------------------


def test_targets_of_both_codings_give_the_same_weights(target: Target) -> None:
    x = target.asarray(np.asarray(PAIRS, dtype=float))
    for eta in (1.0, 0.3):
        a, b = (perceptron_rule(x, t, eta=eta) for t in (AND, [-1, -1, -1, 1]))
        assert a.weights == b.weights
        assert a.mistakes == b.mistakes
    assert target.to_numpy(b.unit(x)).tolist() == [-1, -1, -1, 1]
    assert b.coding == (-1, 1)
    assert perceptron_rule(x, [True, False, False, False]).coding == (0, 1)
    assert perceptron_rule(x, target.asarray(np.asarray([[0], [0], [0], [1]]))).converged
    with pytest.raises(ValueError, match="0 or 1, or -1 or 1"):
        perceptron_rule(x, [-1, 0, 1, 1])


def test_the_weights_of_each_epoch(target_any: Target) -> None:
    """By the rule written out."""
    report = perceptron_rule(target_any.asarray(np.asarray(PAIRS, dtype=float)), AND)
    w, history = np.zeros(3), []
    for _ in report.mistakes:
        for x, d in zip(PAIRS, AND, strict=True):
            w = w + (d - float(w[0] + w[1:] @ x >= 0)) * np.asarray([1, *x])
        history.append(tuple(w.tolist()))
    assert report.history == tuple(history)
    assert report.history[-1] == report.weights == (-3, 2, 1)


# -- print ----------------------------------------------------------------------------------------


@cache
def everything() -> dict[str, object]:
    net = Network((Dense(2, 40, "tanh", dropout=0.5), Dense(40, 1)))
    theta, _ = net.init(seed=0)
    return {
        "gate": nor_gate(),
        "neuron": Neuron((1, -1, 0.5), -2, "relu"),
        "wide_neuron": Neuron(range(100)),
        "unit": ThresholdUnit((0, -1), 0),
        "but_not": McCullochPitts((0,), 1, (1,), weight=2),
        "circuit": Circuit.of_truth_table([0, 1] * 128),
        "table": truth_table(nor_gate(9)),
        "report": perceptron_rule(PAIRS, [1, 0, 0, 0]),
        "boundary": perceptron_rule(PAIRS, [1, 0, 0, 0]).boundary,
        "trace": gradient_descent(net, theta, PAIRS, AND, steps=2000),
        "rule": delta_rule([1.0] * 50, [0.0] * 50, 1.0, steps=2000, learning_rate=0.01),
        "pass": backpropagate(net, theta, PAIRS, AND),
        "measures": error_measures([2, 3], [3, 2]),
        "masked": mask_layer([-1.0] * 50, [0, 1] * 25, 0.5),
    }


THINGS = "gate neuron wide_neuron unit but_not circuit table report boundary trace rule pass"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", [*THINGS.split(), "measures", "masked"])
def test_everything_prints_as_a_small_table(name: str) -> None:
    thing = everything()[name]
    shown = str(thing)
    assert " at 0x" not in shown + repr(thing)
    assert re.search(r"-0(?![.\d])", shown) is None, shown
    lines = shown.split("\n")
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    if name in ("trace", "rule", "pass", "report"):
        assert repr(thing) == shown


def test_what_is_printed() -> None:
    assert str(and_gate()) == "fires if x1 + x2 >= 2"
    assert str(nor_gate()) == "fires if none of x1, x2 is on"
    assert str(not_gate()) == "fires if x1 is off"
    assert str(McCullochPitts((), 1, (0,))) == "fires if 0 >= 1 and x1 is off"  # never
    assert str(McCullochPitts((0,), 1, (1,))) == "fires if x1 >= 1 and x2 is off"
    assert str(Neuron((1, -1, 0.5), -2, "relu")) == "relu(1 x1 - 1 x2 + 0.5 x3 - 2)"
    assert repr(Neuron((1,), activation="relu")).endswith("activation=Activation('relu'))")
    assert str(perceptron_rule(PAIRS, [1, 0, 0, 0]).boundary) == "x2 = -x1"
    assert str(Boundary(-0.5, (-1, 1))) == "x2 = x1 + 0.5"
    assert str(Boundary(2, (11, 1))) == "x2 = -11 x1 - 2"
    assert str(Boundary(2, (0.1, 1))) == "x2 = -0.1 x1 - 2"
    assert [str(Boundary(b, (0, 1))) for b in (-2, 0)] == ["x2 = 2", "x2 = 0"]
    assert "Weights, bias first: 0, -1, -1" in str(perceptron_rule(PAIRS, [1, 0, 0, 0]))
    lines = str(error_measures([2, 3, 5, 9], [1, 5, 3, 6])).split("\n")
    assert [line.split() for line in lines[2:4]] == [["signed", "4"], ["absolute", "8"]]
    assert " at 0x" not in repr(xpnn.get_loss("huber"))
