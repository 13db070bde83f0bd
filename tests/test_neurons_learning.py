"""Small networks and rules: weights by layer, deltas, dropout, names of losses, several inputs."""

import numpy as np
import pytest
from targets import Target

import xpnn
from xpnn import Dense, Network
from xpnn.neurons import (
    backpropagate,
    delta_rule,
    error_measures,
    gradient_descent,
    hill_climbing,
    hot_and_cold,
    mask_layer,
    truth_table,
)

PAIRS = [[0, 0], [0, 1], [1, 0], [1, 1]]
AND = [0, 0, 0, 1]


# -- weights in and out ---------------------------------------------------------------------------


def test_weights_by_layer_by_name_and_as_a_vector(target_any: Target) -> None:
    net = Network((Dense(2, 3, "tanh"), Dense(3, 1)))
    rng = np.random.default_rng(0)
    shapes = [((2, 3), (3,)), ((3, 1), (1,))]
    pairs = [tuple(rng.standard_normal(s).astype(np.float32) for s in pair) for pair in shapes]
    (w0, b0), (w1, b1) = pairs
    vector = np.concatenate([w0.ravel(), w1.ravel(), b0, b1])
    named = {"weight_0": w0, "bias_0": b0, "weight_1": w1, "bias_1": b1}
    lists = [(w.tolist(), b.tolist()) for w, b in pairs]
    moved = [tuple(map(target_any.asarray, pair)) for pair in pairs]
    ends = []
    for weights in (
        vector,
        pairs,
        named,
        lists,
        moved,
        vector.tolist(),
        target_any.asarray(vector),
    ):
        trace = gradient_descent(net, weights, PAIRS, AND, steps=3, device=target_any.backend)
        ends.append(target_any.to_numpy(trace.theta))
        for (w, b), given in zip(trace.weights, shapes, strict=True):
            assert (tuple(w.shape), tuple(b.shape)) == given
    assert all(np.array_equal(end, ends[0]) for end in ends)
    once = gradient_descent(net, pairs, PAIRS, AND, steps=2, device=target_any.backend)
    again = gradient_descent(net, once, PAIRS, AND, steps=1, device=target_any.backend)
    assert np.array_equal(target_any.to_numpy(again.theta), ends[0])


def test_weights_without_bias_are_arrays_alone() -> None:
    net = Network((Dense(2, 2, bias=False), Dense(2, 1, bias=False)))
    w0, w1 = [[0.5, 0.25], [1.0, 2.0]], [[1.0], [-1.0]]
    for weights in ([w0, w1], [np.asarray(w0), np.asarray(w1)], [(w0,), (w1,)]):
        assert backpropagate(net, weights, [[1, 1]], [[0]]).outputs[1].tolist() == [[-0.75]]


def test_weights_that_do_not_fit_name_the_layer_and_the_cure() -> None:
    net = Network((Dense(2, 3), Dense(3, 1)))
    good = [(np.ones((2, 3)), np.ones(3)), (np.ones((3, 1)), np.ones(1))]
    for weights, message in (
        ([(np.ones((3, 2)), np.ones(3)), good[1]], r"weight_0 .*\(3, 2\), .*\(2, 3\).*pass W.T"),
        (good[:1], "weights of 1 layers were given, this network has 2"),
        ([good[0], (np.ones((3, 1)),)], r"layer 1 was given 1 arrays, expected 2: weight \(3, 1\)"),
        ({"weight_0": 1}, "expected .*'bias_0', 'bias_1'"),
        (np.ones(3), r"theta has shape \(3,\), this network has 13 parameters"),
    ):
        with pytest.raises(ValueError, match=message):
            gradient_descent(net, weights, PAIRS, AND)
    with pytest.raises(ValueError, match=r"targets have the shape \(3,\), expected \(4, 1\)"):
        gradient_descent(net, good, PAIRS, [0, 1, 1])
    with pytest.raises(ValueError, match=r"steps must be a whole number of at least 0, got 1\.5"):
        gradient_descent(net, good, PAIRS, AND, steps=1.5)


# -- deltas and factors ---------------------------------------------------------------------------


def test_deltas_and_factors_are_the_chain_rule(target: Target) -> None:
    net = Network((Dense(2, 3, "tanh"), Dense(3, 2, "sigmoid")))
    theta, _ = net.init(seed=3)
    x, y = target.asarray([[0.5, -1.0], [2.0, 0.25]]), target.asarray([[0.0, 1.0], [1.0, 0.0]])
    found = backpropagate(net, theta, x, y)
    w0, w1 = theta[:6].reshape(2, 3), theta[6:12].reshape(3, 2)
    rows = np.asarray([[0.5, -1.0], [2.0, 0.25]])
    h = np.tanh(rows @ w0)
    o = 1 / (1 + np.exp(-h @ w1))
    error = (o - np.asarray([[0.0, 1.0], [1.0, 0.0]])) / 2  # the mean of two rows
    delta_1 = error * o * (1 - o)
    delta_0 = (delta_1 @ w1.T) * (1 - h * h)
    target.assert_close(found.deltas[1], delta_1)
    target.assert_close(found.deltas[0], delta_0)
    target.assert_close(found.factors[1].error, error)
    target.assert_close(found.factors[1].slope, o * (1 - o))
    target.assert_close(found.factors[0].slope, 1 - h * h)
    target.assert_close(found.factors[0].error, delta_1 @ w1.T)
    target.assert_close(found.factors[1].inputs, h)
    target.assert_close(found.gradients["weight_1"], h.T @ delta_1)
    target.assert_close(found.gradients["weight_0"], rows.T @ delta_0)
    written = found.chain(1, (0, 1)).split(" = ")
    assert written[:2] == ["dE/dw", "dE/da * da/dz * dz/dw"]
    factors = [float(v) for v in written[2].split(" * ")]
    expected = [error[0, 1], (o * (1 - o))[0, 1], h[0, 0]]
    assert factors == pytest.approx(expected, rel=1e-4)
    assert float(written[3]) == pytest.approx(np.prod(expected), rel=1e-4)


def test_softmax_has_deltas_and_no_slope() -> None:
    net = Network((Dense(1, 2, "softmax"),))
    found = backpropagate(net, [[[[1.0, -1.0]], [0.0, 0.0]]], [[1.0]], [[1.0, 0.0]])
    assert found.factors[0].slope is None
    p = np.exp([1.0, -1.0]) / np.exp([1.0, -1.0]).sum()
    g = p - [1.0, 0.0]
    np.testing.assert_allclose(found.deltas[0][0], p * (g - (g * p).sum()), rtol=1e-12)
    assert "dE/dz * dz/dw" in found.chain(0, (0, 0))


def test_a_weight_that_is_not_there_and_several_networks_are_refused() -> None:
    found = backpropagate(Network((Dense(2, 1),)), [0.1, 0.2, 0.3], PAIRS, AND)
    for at in ((1, (0, 0)), (0, (2, 0)), (0, (0, 1)), (0, (0, 0), 4), (-1, (0, 0))):
        with pytest.raises(ValueError, match=r"there is no weight .* each counted from 0"):
            found.chain(*at)
    five = Network((Dense(2, 1),), members=5)
    with pytest.raises(
        ValueError, match=r"5 networks at once: pass one, such as network\.one_member"
    ):
        backpropagate(five, five.init()[0], PAIRS, AND)
    with pytest.raises(ValueError, match=r"spread is -1\.0"):
        hill_climbing(found.network, found.theta, PAIRS, AND, spread=-1)


def test_a_step_goes_in_as_weights() -> None:
    net = Network((Dense(2, 1),))
    first = backpropagate(net, [0.1, 0.2, 0.3], PAIRS, AND)
    second = backpropagate(net, first.step(0.5), PAIRS, AND)
    descended = gradient_descent(net, [0.1, 0.2, 0.3], PAIRS, AND, learning_rate=0.5, steps=2)
    assert second.loss == pytest.approx(descended.errors[1], rel=1e-12)


# -- dropout and normalization --------------------------------------------------------------------


@pytest.mark.usefixtures("optimized")  # two programs, one loss to the last bit
def test_dropout_and_normalization_are_trained(target_any: Target) -> None:
    hidden = Dense(2, 16, "relu", dropout=0.5, normalization="batch")
    net = Network((hidden, Dense(16, 4, "tanh", normalization="layer"), Dense(4, 1)), 0.1)
    theta, _ = net.init(seed=0)
    x, y = target_any.asarray(np.asarray(PAIRS, dtype=float)), AND
    trace = gradient_descent(net, theta, x, y, steps=4, learning_rate=0.05, seed=5)
    assert trace.buffers.shape == (32,)
    assert not np.allclose(target_any.to_numpy(trace.buffers)[:16], 0.0)
    first = backpropagate(net, theta, x, y, seed=5)
    assert first.loss == trace.errors[0]  # the same masks
    mask = target_any.to_numpy(first.masks[0])
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert first.masks[1] is None
    silent = mask == 0
    assert np.all(target_any.to_numpy(first.outputs[0])[silent] == 0)
    assert np.all(target_any.to_numpy(first.deltas[0])[silent] == 0)
    target_any.assert_close(  # the delta of each neuron gives the gradient of its shift
        target_any.xp.sum(first.deltas[0], axis=0), target_any.to_numpy(first.gradients["bias_0"])
    )
    calm = backpropagate(net, theta, x, y, train=False)
    assert calm.masks == (None, None, None)
    went_on = gradient_descent(net, trace, x, y, steps=1)
    assert not np.array_equal(
        target_any.to_numpy(went_on.buffers), target_any.to_numpy(trace.buffers)
    )
    assert hill_climbing(net, theta, x, y, steps=2).errors[0] == pytest.approx(calm.loss)


# -- losses by other names ------------------------------------------------------------------------


def test_other_names_of_losses() -> None:
    for alias, name in (
        ("mse", "squared_error"),
        ("mean_squared_error", "squared_error"),
        ("mae", "absolute_error"),
        ("mean_absolute_error", "absolute_error"),
        ("cross_entropy", "softmax_cross_entropy"),
        ("bce", "binary_cross_entropy"),
    ):
        assert xpnn.get_loss(alias).name == name
    with pytest.raises(ValueError, match="did you mean 'mean_squared_error'"):
        xpnn.get_loss("mean_square_error")
    with pytest.raises(ValueError, match="unknown loss 'half_square_error'; did you mean 'half_sq"):
        gradient_descent(Network((Dense(1, 1),)), [0, 0], [1], [1], loss="half_square_error")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_take_the_other_names() -> None:
    x, y, classes = np.arange(8.0).reshape(4, 2), np.arange(4.0), [0, 1, 2, 0]
    few, table = {"max_iter": 2, "random_state": 0}, {"epochs": 2, "random_state": 0}
    for cls, target, alias, name, options in (
        (xpnn.MLPRegressor, y, "mse", "squared_error", few),
        (xpnn.MLPRegressor, y, "mean_absolute_error", "absolute_error", few),
        (xpnn.TabularRegressor, y, "mae", "absolute_error", table),
        (xpnn.MLPClassifier, classes, "cross_entropy", "log_loss", few),
        (xpnn.MLPClassifier, AND, "bce", "log_loss", few),
    ):
        found, wanted = (cls(loss=n, **options).fit(x, target) for n in (alias, name))
        np.testing.assert_array_equal(found.predict(x), wanted.predict(x))
        assert found.history_["loss"] == wanted.history_["loss"]
    for wrong in ("cross_entropy", "mze"):
        with pytest.raises(ValueError, match=r"loss"):
            xpnn.MLPRegressor(loss=wrong).fit(x, y)
    with pytest.raises(ValueError, match="does not fit binary labels: take 'log_loss'"):
        xpnn.MLPClassifier(loss="cross_entropy").fit(x, AND)


def test_cross_entropy_is_of_one_probability_or_of_classes() -> None:
    one, three = Network((Dense(2, 1),)), Network((Dense(2, 3),))
    found = backpropagate(one, np.zeros(3), PAIRS, AND, loss="cross_entropy")
    assert found.loss == pytest.approx(np.log(2))
    found = backpropagate(three, np.zeros(9), PAIRS, [0, 1, 2, 0], loss="cross_entropy")
    assert found.loss == pytest.approx(np.log(3))


# -- rules of one neuron --------------------------------------------------------------------------


def test_the_delta_rule_with_several_inputs(target_any: Target) -> None:
    x, w, t = [0.5, -1.0, 2.0], [0.1, 0.2, 0.3], 0.7
    trace = delta_rule(x, w, t, learning_rate=0.1, steps=3, device=target_any.backend)
    v = np.asarray(w)
    for i in range(3):
        assert trace.predictions[i] == pytest.approx(v @ x, rel=1e-5)
        v = v - 0.1 * (v @ x - t) * np.asarray(x)
        np.testing.assert_allclose(trace.weights[i], v, rtol=1e-5)
    target_any.assert_close(trace.theta, v)
    assert trace.evaluations == 6


def test_rules_take_the_rows_in_turn() -> None:
    rows, targets = [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], [1.0, -1.0, 0.5]
    trace = delta_rule(rows, [0.0, 0.0], targets, learning_rate=0.5, steps=5)
    v = np.zeros(2)
    for t in range(5):
        x = np.asarray(rows[t % 3])
        v = v - 0.5 * (v @ x - targets[t % 3]) * x
    np.testing.assert_allclose(trace.weights[-1], v, rtol=1e-12)
    assert delta_rule([1.0, 2.0], 0.0, [1.0, 2.0], learning_rate=0.1, steps=2).weights[1] == (
        pytest.approx(0.46)
    )


def test_hot_and_cold_with_several_inputs(target_any: Target) -> None:
    about = {"step": 0.01, "device": target_any.backend}
    trace = hot_and_cold([8.5, 0.65, 1.2], [0.1, 0.2, 0.0], 1.0, steps=2, **about)
    np.testing.assert_allclose(trace.weights, [(0.1, 0.2, 0.01), (0.1, 0.21, 0.01)], atol=1e-6)
    assert trace.evaluations == 7 * 2
    best = hot_and_cold([1.0, -1.0], [0.0, 0.0], 0.5, step=0.1, steps=9)
    assert best.errors[-1] == pytest.approx(0.0, abs=1e-20)


def test_shapes_that_do_not_fit_a_rule() -> None:
    for x, w, t in (([1, 2], [0.1], 1), ([1, 2], [0.1, 0.2], [1, 2]), ([[1, 2]], 0.5, 1)):
        with pytest.raises(ValueError, match="pass one weight for each input"):
            delta_rule(x, w, t)


def test_hill_climbing_tries_the_opposite_sign(target_any: Target) -> None:
    """On a slope each step but those at the bottom succeeds: one of the two signs is downhill."""
    net, x, y = Network((Dense(1, 1, bias=False),)), [[1.0]], [[1000.0]]
    trace = hill_climbing(net, [0.0], x, y, steps=50, spread=0.1, device=target_any.backend)
    assert all(b < a for a, b in zip(trace.errors, trace.errors[1:], strict=False))
    assert trace.evaluations == 101


# -- measures -------------------------------------------------------------------------------------


def test_all_measures_of_the_same_outputs(target: Target) -> None:
    found = error_measures(target.asarray([2.0, 3, 5, 9]), target.asarray([1.0, 5, 3, 6]))
    assert (found.squared, found.mean_squared, found.mean_absolute) == (18, 4.5, 2)
    assert np.isnan(found.cross_entropy)
    p = error_measures(target.asarray([1.0, 0, 1]), target.asarray([0.9, 0.2, 0.5]))
    expected = -np.log(np.float32([0.9, 0.8, 0.5]).astype(float)).sum()
    assert p.cross_entropy == pytest.approx(expected, rel=1e-6)
    assert error_measures([1, 0], [1, 0]).cross_entropy == 0
    assert error_measures([1, 0], [0, 0]).cross_entropy == np.inf
    with pytest.raises(ValueError, match=r"\(2,\) and outputs \(3,\)"):
        error_measures([1, 2], [1, 2, 3])


def test_a_mask_of_other_numbers_or_length_is_refused() -> None:
    for mask in ([1, 2, 0], [1, 0]):
        with pytest.raises(ValueError, match="one 0 or 1 for each unit"):
            mask_layer([1.0, 2.0, 3.0], mask, 0.5)


def test_labels_that_name_no_output_are_refused() -> None:
    net = Network((Dense(2, 3),), link="softmax")
    theta = np.zeros(net.layout.size)
    for wrong in (3, -1, 0.5):
        for learn in (gradient_descent, hill_climbing, backpropagate):
            with pytest.raises(ValueError, match=f"target {wrong} is no class: the network has 3"):
                learn(net, theta, PAIRS, [0, 1, 2, wrong], loss="cross_entropy")


def test_rates_that_diverge_or_are_no_numbers() -> None:
    assert np.inf in delta_rule(2.0, 0.2, 0.7, learning_rate=5.0, steps=300).errors
    net = Network((Dense(2, 1),))
    for call in (
        lambda: delta_rule(2.0, 0.2, 0.7, learning_rate="a"),
        lambda: gradient_descent(net, np.zeros(3), PAIRS, AND, learning_rate="a"),
    ):
        with pytest.raises(ValueError, match="learning_rate is 'a', expected a finite number"):
            call()


def test_a_truth_table_has_a_whole_number_of_inputs() -> None:
    for wrong in (2.5, "a", None):
        with pytest.raises(ValueError, match="1 to 16 inputs, got n_inputs="):
            truth_table(lambda x: x[:, 0], wrong)
