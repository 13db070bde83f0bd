"""Single neurons and the textbook figures, on every target."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
from targets import Target

from xpnn import Dense, Network
from xpnn.neurons import (
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
    hot_and_cold,
    mask_layer,
    nand_gate,
    nor_gate,
    not_gate,
    or_gate,
    perceptron_rule,
    truth_table,
)

PAIRS = np.asarray([[0.0, 0], [0, 1], [1, 0], [1, 1]])
XOR = np.asarray([[0.0], [1], [1], [0]])
F_ROWS = np.asarray(list(product((0.0, 1.0), repeat=3)))
F = np.asarray([[float(bool(x and y) or not z)] for x, y, z in F_ROWS])


def tight(target: Target) -> float:
    """For figures printed to ten digits or more."""
    return 1e-9 if target.dtype_name == "float64" else 1e-5


# -- McCulloch-Pitts ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_gates(target_any: Target, n: int) -> None:
    for gate, rule in (
        (and_gate, all),
        (or_gate, any),
        (nand_gate, lambda row: not all(row)),
        (nor_gate, lambda row: not any(row)),
    ):
        inputs, outputs = truth_table(gate(n), n, target_any.backend)
        expected = [float(rule(row)) for row in product((0, 1), repeat=n)]
        target_any.assert_close(outputs, expected)
        target_any.assert_here(inputs)


def test_not_gate() -> None:
    np.testing.assert_array_equal(truth_table(not_gate(), 1)[1], [1, 0])


def test_inhibition_is_absolute() -> None:
    neuron = McCullochPitts(range(5), threshold=1, inhibitory=(5,))
    assert neuron(np.asarray([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]])).tolist() == [1, 0]


def test_xor_is_a_circuit(target_any: Target) -> None:
    xor = Circuit(2, [[or_gate(), nand_gate()], [and_gate()]])
    target_any.assert_close(truth_table(xor, 2, target_any.backend)[1], XOR)


def test_circuit_of_three_inputs(target_any: Target) -> None:
    both, not_z = McCullochPitts((0, 1), threshold=2), McCullochPitts((), 0, inhibitory=(2,))
    circuit = Circuit(3, [[both, not_z], [or_gate()]])
    target_any.assert_close(truth_table(circuit, 3, target_any.backend)[1], F)
    target_any.assert_close(circuit(target_any.asarray(F_ROWS)), F)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_any_truth_table(n: int) -> None:
    for table in product((0, 1), repeat=2**n):
        circuit = Circuit.of_truth_table(table)
        np.testing.assert_array_equal(truth_table(circuit, n)[1][:, 0], table)


def test_bad_circuits() -> None:
    with pytest.raises(ValueError, match=r"2, 4, 8, \.\.\. outputs .*\[0, 1, 1\]"):
        Circuit.of_truth_table([0, 1, 1])
    with pytest.raises(ValueError, match="needs 2 inputs, got 1"):
        Circuit(1, [[and_gate()]])
    with pytest.raises(ValueError, match="at least one layer"):
        Circuit(1, [])
    with pytest.raises(ValueError, match=r"\[0\] cannot be excitatory and inhibitory"):
        McCullochPitts((0,), 1, (0,))
    with pytest.raises(ValueError, match="binary inputs"):
        and_gate()(np.asarray([[0.5, 1.0]]))


# -- threshold unit -------------------------------------------------------------------------------


def test_threshold_unit(target: Target) -> None:
    unit = ThresholdUnit((2, 1, 0.5), 1000)
    x = target.asarray(np.asarray([[1000.0, 5, 2], [200, 3, 1], [30, 2, 2]]))
    target.assert_close(unit.sums(x), [2006, 403.5, 63])
    target.assert_close(unit(x), [1.0, 0, 0])
    target.assert_close(ThresholdUnit((2, 1, 0.5), 1000, (-1, 1))(x), [1.0, -1, -1])
    trick = unit.with_bias_trick()
    assert trick.weights == (-1000, 2, 1, 0.5)
    assert trick.threshold == 0
    target.assert_close(trick(add_constant(x)), [1.0, 0, 0])


def test_a_sum_equal_to_the_threshold_fires() -> None:
    assert ThresholdUnit((1,), 2)(np.asarray([[2.0], [1.9]])).tolist() == [1, 0]


@pytest.mark.parametrize("eta", [0.1, 0.3, 0.7])
def test_the_unit_of_a_report_answers_as_it_learned(target: Target, eta: float) -> None:
    """Sums that are the threshold in exact arithmetic; the weights are tenths and the like."""
    rng = np.random.default_rng(0)
    converged = 0
    for d in (5, 12, 20):
        x = rng.integers(-1, 2, (150, d)).astype(target.dtype_name)
        y = (x @ rng.integers(-2, 3, d) >= 0).astype(int)
        report = perceptron_rule(target.asarray(x), y, eta=eta, max_epochs=500)
        found = target.to_numpy(report.unit(target.asarray(x)))
        bias, *weights = report.weights
        expected = []
        for row in x.astype(np.float64).tolist():
            total = 0.0  # not `sum`, which compensates for rounding from Python 3.12 on
            for w, v in zip(weights, row, strict=True):
                total += w * v
            expected.append(total + bias >= 0.0)
        if target.dtype_name == "float64":
            assert found.tolist() == expected
        if report.converged and "float64" in target.backend.dtypes:
            converged += 1
            assert found.tolist() == y.tolist()
    assert converged or "float64" not in target.backend.dtypes


def test_relu_unit(target: Target) -> None:
    neuron = Neuron((1, -1, 5), activation="relu")
    target.assert_close(neuron(target.asarray([[2.0, 3, 4], [-2, 3, -4]])), [19.0, 0])


def test_neuron_says_how_many_inputs_it_needs() -> None:
    with pytest.raises(ValueError, match=r"\(n, 3\), one column for each weight, got \(2, 2\)"):
        Neuron((1, 2, 3))(np.ones((2, 2)))


# -- perceptron rule ------------------------------------------------------------------------------

GATES = {
    "and": ([0, 0, 0, 1], (-3, 2, 1)),
    "or": ([0, 1, 1, 1], (-1, 1, 1)),
    "nand": ([1, 1, 1, 0], (2, -2, -1)),
    "nor": ([1, 0, 0, 0], (0, -1, -1)),
}


@pytest.mark.parametrize("name", GATES)
def test_perceptron_rule_learns_gates(target: Target, name: str) -> None:
    targets, weights = GATES[name]
    x = target.asarray(PAIRS)
    report = perceptron_rule(x, targets)
    assert report.weights == weights
    assert report.converged
    assert report.separable
    assert report.mistakes[-1] == 0
    assert sum(report.mistakes) <= report.bound
    assert target.to_numpy(report.unit(x)).tolist() == targets
    assert "Converged after" in str(report)


def test_perceptron_rule_mistakes_are_counted() -> None:
    """By the rule written out."""
    w, mistakes = np.zeros(3), []
    while not mistakes or mistakes[-1]:
        mistakes.append(0)
        for x, d in zip(PAIRS, GATES["and"][0], strict=True):
            error = d - (1 if w[0] + w[1:] @ x >= 0 else 0)
            w = w + error * np.asarray([1, *x])
            mistakes[-1] += error != 0
    assert perceptron_rule(PAIRS, GATES["and"][0]).mistakes == tuple(mistakes)


def test_perceptron_rule_never_learns_xor(target_any: Target) -> None:
    report = perceptron_rule(target_any.asarray(PAIRS), XOR[:, 0], max_epochs=50)
    assert not report.converged
    assert not report.separable
    assert report.epochs == 50
    assert min(report.mistakes) > 0
    assert math.isinf(report.bound)
    assert math.isnan(report.margin)
    assert "never converges" in str(report)


def test_margin_is_the_largest() -> None:
    """One point a class on a line: the plane through the origin is known."""
    report = perceptron_rule(np.asarray([[1.0], [3.0]]), [0, 1])
    # in front of the plane with normal (-2, 1): (1, 3), and mirrored (-1, -1), both at 1 / sqrt(5)
    assert report.margin == pytest.approx(1 / np.sqrt(5), rel=1e-12)
    assert report.radius == pytest.approx(np.sqrt(10))


def test_boundary() -> None:
    line = perceptron_rule(PAIRS, GATES["and"][0]).boundary
    assert str(line) == "x2 = -2 x1 + 3"
    assert line.slope == -2
    assert line(0.5) == 2
    vertical = perceptron_rule(np.asarray([[1.0, 0], [3, 0]]), [0, 1]).boundary
    assert str(vertical).startswith("x1 = ")
    assert math.isinf(vertical.slope)
    with pytest.raises(ValueError, match="two inputs"):
        _ = perceptron_rule(F_ROWS, [0] * 7 + [1]).boundary


def test_perceptron_rule_refuses() -> None:
    with pytest.raises(ValueError, match="4 numbers 0 or 1"):
        perceptron_rule(PAIRS, [0, 1, 2, 0])
    with pytest.raises(ValueError, match="4 numbers 0 or 1"):
        perceptron_rule(PAIRS, [0, 1])
    with pytest.raises(ValueError, match="eta must be above 0, got 0"):
        perceptron_rule(PAIRS, [0, 0, 0, 1], eta=0)
    with pytest.raises(ValueError, match="max_epochs must be at least 1"):
        perceptron_rule(PAIRS, [0, 0, 0, 1], max_epochs=0)


# -- learning by error ----------------------------------------------------------------------------


def test_delta_rule_to_the_last_digit() -> None:
    trace = delta_rule(0.4, 0.2, 0.7, steps=20)
    assert trace.errors[:4] == (
        0.38439999999999985,
        0.2712326399999999,
        0.19138175078399997,
        0.13503896335319035,
    )
    assert len(trace.errors) == 20
    assert trace.errors[-1] == 0.0005097957955105112
    assert trace.weights[-1] == 1.7025848182730323
    assert 0.4 * trace.weights[-1] == 0.681033927309213


def test_delta_rule_everywhere(target_any: Target) -> None:
    trace = delta_rule(0.4, 0.2, 0.7, device=target_any.backend)
    target_any.assert_close(trace.theta, [1.7025848182730323])


def test_delta_rule_with_a_learning_rate() -> None:
    slow, fast = (delta_rule(0.4, 0.2, 0.7, learning_rate=r).errors[-1] for r in (0.1, 2.0))
    weight = 0.2
    for _ in range(19):
        weight -= 0.1 * (0.4 * weight - 0.7) * 0.4
    assert slow == pytest.approx((0.4 * weight - 0.7) ** 2, rel=1e-12)
    assert fast < delta_rule(0.4, 0.2, 0.7).errors[-1] < slow


def test_hot_and_cold(target_any: Target) -> None:
    trace = hot_and_cold(0.5, 0.5, 0.8, step=0.01, steps=120, device=target_any.backend)
    assert trace.errors[-1] <= (0.5 * 0.01) ** 2
    assert all(b <= a for a, b in zip(trace.errors, trace.errors[1:], strict=False))
    assert trace.evaluations == 3 * 120
    up = hot_and_cold(1.0, 0.0, 1.0, step=0.25, steps=6)
    assert up.weights == (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
    assert hot_and_cold(1.0, 0.0, -1.0, step=0.5, steps=2).weights == (-0.5, -1.0)


def test_perturbation_beside_backpropagation(target_any: Target) -> None:
    network = Network((Dense(2, 4, "tanh"), Dense(4, 1)))
    theta, _ = network.init(seed=0)
    x, y = target_any.asarray(PAIRS), target_any.asarray(XOR)
    climbed = hill_climbing(network, theta, x, y, steps=900)
    descended = gradient_descent(network, theta, x, y, steps=400, learning_rate=0.5)
    assert all(b <= a for a, b in zip(climbed.errors, climbed.errors[1:], strict=False))
    assert climbed.errors[0] == pytest.approx(descended.errors[0], rel=1e-6)
    needed, by_chance = descended.evaluations_to(1e-3), climbed.evaluations_to(1e-3)
    assert needed is not None
    assert by_chance is not None
    assert needed < by_chance
    assert descended.evaluations_to(-1.0) is None
    assert "900 steps, 1801 evaluations" in str(climbed)


# -- backpropagation ------------------------------------------------------------------------------


def test_backpropagation_by_hand(target: Target) -> None:
    network = Network((Dense(3, 3, "sigmoid", bias=False), Dense(3, 1, "sigmoid", bias=False)))
    hidden = np.asarray([[0.9, 0.8, 0.1], [0.3, 0.5, 0.6], [0.2, 0.3, 0.7]]).T  # by columns
    theta = np.concatenate([hidden.ravel(), [0.3, 0.5, 0.9]])
    x, y = target.asarray([[1.0, 0, 1]]), target.asarray([[0.0]])
    found, rtol = backpropagate(network, theta, x, y), tight(target)
    target.assert_close(found.sums[0], [[1.0, 0.9, 0.9]], rtol=rtol)
    target.assert_close(found.outputs[0], [[0.731058578630, 0.710949502625, 0.710949502625]], rtol)
    target.assert_close(found.outputs[1], [[0.7711201275]], rtol=rtol)
    assert found.loss == pytest.approx(0.29731312553, rel=rtol)
    target.assert_close(found.gradients["weight_1"][:1, :], [[0.0994955962]], rtol=rtol)
    target.assert_close(found.step(0.5)["weight_1"][:1, :], [[0.2502522019]], rtol=rtol)


def test_online_descent_of_a_small_network(target_any: Target) -> None:
    network = Network((Dense(3, 2, "sigmoid"), Dense(2, 1)))
    theta = np.random.default_rng(0).uniform(-0.1, 0.1, network.layout.size)
    x, y = target_any.asarray([[0.1, 0.2, 0.1]]), target_any.asarray([[0.3]])
    trace = gradient_descent(network, theta, x, y, learning_rate=0.01, steps=1200, online=True)
    output = network.forward(trace.theta, trace.theta[:0], x, target_any.xp)
    assert abs(float(target_any.to_numpy(output)[0, 0]) - 0.3) < 0.003
    assert trace.errors[0] > 100 * trace.errors[-1]


def test_online_takes_the_rows_in_turn() -> None:
    network, rows = Network((Dense(1, 1, bias=False),)), np.asarray([[1.0], [2.0], [3.0]])
    trace = gradient_descent(
        network, np.zeros(1), rows, np.ones((3, 1)), learning_rate=0.1, steps=4, online=True
    )
    w = 0.0
    for x in (1.0, 2.0, 3.0, 1.0):
        w -= 0.1 * (w * x - 1.0) * x
    np.testing.assert_allclose(trace.theta, [w], rtol=1e-12)


@pytest.mark.slow
def test_wide_relu_network(target_any: Target) -> None:
    network = Network((Dense(1000, 100, "relu", bias=False), Dense(100, 1, bias=False)))
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(network.layout.size)
    x, y = rng.standard_normal((128, 1000)), rng.standard_normal((128, 1))
    trace = gradient_descent(
        *(network, theta, target_any.asarray(x), target_any.asarray(y)),
        loss="sum_squared_error",
        learning_rate=1e-6,
        steps=500,
    )
    reported = [trace.errors[t] for t in (*range(0, 101, 10), 200, 300, 400)]
    assert 3e6 < reported[0] < 3e7
    assert all(b < a for a, b in pairwise(reported))
    assert trace.errors[-1] < 1e-4 * trace.errors[0]


@pytest.mark.parametrize(("x", "y"), [(PAIRS, XOR), (F_ROWS, F)], ids=["xor", "xy + not z"])
def test_mlp_learns_without_error(target_any: Target, x: np.ndarray, y: np.ndarray) -> None:
    network = Network((Dense(x.shape[1], 8, "tanh"), Dense(8, 1)), link="sigmoid")
    theta, _ = network.init(seed=0)
    rows = target_any.asarray(x)
    trace = gradient_descent(
        *(network, theta, rows, target_any.asarray(y)),
        loss="binary_cross_entropy",
        optimizer="adam",
        steps=200,
    )
    p = network.predict(trace.theta, trace.theta[:0], rows, target_any.xp)
    np.testing.assert_array_equal(target_any.to_numpy(p) > 0.5, y > 0.5)


def test_theta_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\), this network has 2 parameters"):
        gradient_descent(Network((Dense(1, 1),)), np.zeros(3), np.ones((1, 1)), np.ones((1, 1)))


def test_descent_leaves_theta(target_any: Target) -> None:
    theta = target_any.asarray(np.asarray([0.5, 0.25]))
    x = target_any.asarray(np.ones((2, 1)))
    gradient_descent(Network((Dense(1, 1),)), theta, x, x, steps=3)
    target_any.assert_close(theta, [0.5, 0.25])


# -- error measures and dropout -------------------------------------------------------------------


def test_error_measures(target: Target) -> None:
    found = error_measures(target.asarray([2.0, 3, 5, 9]), target.asarray([1.0, 5, 3, 6]))
    assert (found.signed, found.absolute, found.half_squared) == (4, 8, 9)
    assert "cancel" in type(found).__doc__


def test_dropout_by_hand(target: Target) -> None:
    layer = [0.5, 2, 4, 0.6, 0.11, 0.43, 0.67, 0.78, 0.3, 0.8]
    mask = [1, 1, 0, 0, 1, 1, 0, 0, 1, 0]
    deltas = np.arange(1.0, 11.0)
    found = mask_layer(target.asarray(layer), target.asarray(mask), 0.5, target.asarray(deltas))
    target.assert_close(found.outputs, [1, 4, 0, 0, 0.22, 0.86, 0, 0, 0.6, 0])
    target.assert_close(found.deltas, 2.0 * deltas * np.asarray(mask))
    with pytest.raises(ValueError, match=r"\(0, 1\], got 0"):
        mask_layer(target.asarray(layer), target.asarray(mask), 0)
