"""Pictures of images, masks, counts, predictions and learning curves."""

import numpy as np
import pytest
from pictures import NET, PAIRS, WEIGHTS, labels, texts
from targets import Target

import xpnn
from xpnn import Dense, MLPClassifier, Network, plot
from xpnn.neurons import (
    Neuron,
    and_gate,
    backpropagate,
    delta_rule,
    gradient_descent,
    perceptron_rule,
)

pytest.importorskip("matplotlib")


def test_first_layer_weights_are_images():
    matrix = np.arange(36.0).reshape(9, 4) - 18
    ax = plot.weights(matrix, most=3)
    tiles = np.asarray(ax.images[0].get_array().filled(np.nan))
    assert tiles.shape == (7, 7)
    assert np.array_equal(tiles[:3, :3], matrix[:, 0].reshape(3, 3))
    assert np.array_equal(tiles[4:, :3], matrix[:, 2].reshape(3, 3))
    assert np.isnan(tiles[4:, 4:]).all()
    low, high = ax.images[0].get_clim()
    assert low == -high == -18
    assert ax.get_title(loc="left") == "3 of 4 units"
    trace = gradient_descent(
        Network((Dense(6, 2),)), np.ones(14), np.eye(6), np.ones((6, 2)), steps=1
    )
    assert plot.weights(trace, (2, 3)).images[0].get_array().shape == (2, 7)
    with pytest.raises(ValueError, match="6 inputs are no image of 2 x 2: pass shape="):
        plot.weights(np.ones((6, 2)))


def test_a_dropout_mask_is_what_was_dropped(target_any: Target):
    net = Network((Dense(2, 40, dropout=0.5), Dense(40, 1)))
    start = net.init(seed=0)[0]
    passed = backpropagate(net, start, PAIRS, [0, 1, 1, 0], device=target_any.backend)
    ax = plot.dropout_mask(passed.masks[0])
    kept = np.asarray(ax.images[0].get_array())
    assert np.array_equal(kept, target_any.to_numpy(passed.masks[0]) > 0)
    assert (
        ax.get_title(loc="left")
        == f"{100 * (1 - kept.mean()):.0f} % dropped (dark), the others times 2"
    )


def test_confusion_counts(target_any: Target):
    truth, predicted = np.asarray([0, 0, 1, 2, 2, 2]), np.asarray([0, 1, 1, 2, 2, 0])
    ax = plot.confusion(target_any.asarray(truth), target_any.asarray(predicted))
    assert sorted(texts(ax)) == ["1", "1", "1", "1", "2"]
    assert ax.get_title(loc="left") == "2 of 6 wrong"
    np.testing.assert_allclose(ax.images[0].get_array()[2], [1 / 3, 0, 2 / 3])
    words = plot.confusion(["cat", "horse"], ["cat", "cat"], labels=["horse", "cat"])
    assert [t.get_text() for t in words.get_xticklabels()] == ["horse", "cat"]


def test_predictions_with_intervals(target_any: Target):
    truth, predicted = target_any.asarray([0.0, 1.0, 2.0, 3.0]), target_any.asarray([0.0, 1, 2, 4])
    bounds = target_any.asarray([[-1.0, 1], [0, 2], [1, 3], [3.5, 5]])
    ax = plot.predictions(truth, predicted, bounds)
    assert ax.get_title(loc="left") == "R2 0.8000, 75 % of 4 intervals hold the truth"
    inside, outside, ideal = ax.lines
    assert outside.get_xydata().tolist() == [[3, 4]]
    assert inside.get_marker() != outside.get_marker()
    assert ideal.get_xydata().tolist() == [[0, 0], [4, 4]]
    assert labels(plot.predictions([1, 2], [1, 2])) == ["rows", "as predicted"]
    with pytest.raises(ValueError, match="truth has 2 values and predicted 3"):
        plot.predictions([1, 2], [1, 2, 3])


def test_learning_curves_of_everything():
    history = {"loss": [2.0, 0.5], "val_score": [0.5, 0.9]}
    assert plot.learning_curve(history).lines[0].get_ydata().tolist() == [2.0, 0.5]
    x = np.random.default_rng(0).standard_normal((30, 3))
    model = MLPClassifier((4,), random_state=0).partial_fit(x, x[:, 0] > 0, classes=[False, True])
    assert plot.learning_curve(model).lines[0].get_ydata().tolist() == model.loss_curve_
    trace = delta_rule(0.4, 0.2, 0.7)
    ax = plot.learning_curve(trace)
    assert tuple(ax.lines[0].get_ydata()) == trace.errors
    assert ax.get_yscale() == "log"
    rule = perceptron_rule(PAIRS, [0, 0, 0, 1])
    ax = plot.learning_curve({"AND": rule})
    assert ax.lines[0].get_xydata().tolist() == [[1, 2], [2, 3], [3, 3], [4, 2], [5, 1], [6, 0]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "mistakes")
    several = plot.learning_curve({"one": trace, "two": [1.0, 0.5]}, title="both")
    assert labels(several) == ["one", "two"]
    assert len({line.get_linestyle() for line in several.lines}) == 2
    with pytest.raises(ValueError, match="MLPClassifier has no learning curve: fit it first"):
        plot.learning_curve(MLPClassifier())
    with pytest.raises(ValueError, match="no error to draw"):
        plot.learning_curve([])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.neuron(Neuron((1, 2)), [1]), "x has 1 entries for 2 inputs"),
        (lambda: plot.neuron(Neuron((1, 2)), names="a"), "names has 1 entries for 2 inputs"),
        (lambda: plot.network(backpropagate(NET, WEIGHTS, [1, 0, 1], 1), row=1), "there are 1 row"),
        (lambda: plot.gate(and_gate(), names=["a"]), "expected two: one for each input"),
        (lambda: plot.decision_boundary(Neuron((1, 1)), PAIRS, [1, 0]), "for 4 points"),
    ],
)
def test_what_does_not_fit_the_picture_is_told(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_weights_of_a_layer_that_has_no_image():
    table = xpnn.TabularRegressor(epochs=1, n_members=2, hidden=2, random_state=0)
    with pytest.raises(ValueError, match="whose weights are no image"):
        plot.weights(table.fit(np.arange(40.0).reshape(20, 2), np.arange(20.0)))
