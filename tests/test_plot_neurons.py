"""Pictures of neurons and networks, by what they contain: lines, labels, limits."""

import sys

import numpy as np
import pytest
from pictures import NET, PAIRS, WEIGHTS, labels, texts
from targets import Target

import xpnn
from xpnn import Dense, MLPClassifier, Network, plot
from xpnn.neurons import (
    Circuit,
    Neuron,
    ThresholdUnit,
    and_gate,
    backpropagate,
    delta_rule,
    gradient_descent,
    nand_gate,
    nor_gate,
    or_gate,
    perceptron_rule,
)
from xpnn.plotting.canvas import BLUE, CYCLE, ORANGE, PALE

matplotlib = pytest.importorskip("matplotlib")


def drawings():
    """One call of each function, without axes."""
    net, line = Network((Dense(1, 1, bias=False),)), [0.1, 0.2]
    return {
        "activation": lambda **a: plot.activation("relu", **a),
        "neuron": lambda **a: plot.neuron(Neuron((1, 2)), **a),
        "network": lambda **a: plot.network(NET, **a),
        "truth_table": lambda **a: plot.truth_table(and_gate(), **a),
        "gate": lambda **a: plot.gate(and_gate(), **a),
        "decision_boundary": lambda **a: plot.decision_boundary(Neuron((1, 1)), PAIRS, **a),
        "loss_surface": lambda **a: plot.loss_surface(net, [1], [0.4], [0.7], **a),
        "tangent": lambda **a: plot.tangent(np.square, 2.0, **a),
        "learning_curve": lambda **a: plot.learning_curve(line, **a),
        "weights": lambda **a: plot.weights(np.eye(4), **a),
        "dropout_mask": lambda **a: plot.dropout_mask([1, 0], **a),
        "confusion": lambda **a: plot.confusion([0, 1], [0, 1], **a),
        "predictions": lambda **a: plot.predictions([0, 1], [0, 1], **a),
    }


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", drawings())
def test_each_draws_on_given_axes_on_new_ones_and_into_a_file(name, tmp_path):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    draw = drawings()[name]
    ax = Figure().subplots()
    assert draw(ax=ax) is ax
    assert ax.has_data() or ax.texts
    shown = draw()
    assert shown.figure.number in pyplot.get_fignums()  # a notebook shows it
    sizes = [t.get_fontsize() for t in shown.findobj(matplotlib.text.Text) if t.get_text()]
    assert min(sizes) >= 8.5  # legible at 100 dpi
    count = len(pyplot.get_fignums())
    draw(path=tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert len(pyplot.get_fignums()) == count  # nothing is left open


def test_all_are_documented_and_say_how_to_get_matplotlib(monkeypatch):
    assert set(drawings()) <= set(plot.__all__ if hasattr(plot, "__all__") else dir(plot))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in drawings().values():
        with pytest.raises(ImportError, match=r'pip install "xpnn\[plot\]"'):
            draw()


def luminance(colour):
    r, g, b = (
        v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4
        for v in matplotlib.colors.to_rgb(colour)
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_colours_are_told_apart_in_grey_and_on_white():
    for colour in (BLUE, ORANGE):
        assert 1.05 / (luminance(colour) + 0.05) > 3.0  # WCAG's contrast of graphics
    assert (luminance(ORANGE) + 0.05) / (luminance(BLUE) + 0.05) > 1.7
    assert all(luminance(p) > 0.7 for p in PALE)
    assert len(set(CYCLE)) == len(CYCLE)


# -- curves ---------------------------------------------------------------------------------------


def test_an_activation_and_its_derivative():
    ax = plot.activation("sigmoid", span=(-6, 6))
    value, slope = ax.lines[-2:]
    z = value.get_xdata()
    assert (z[0], z[-1]) == (-6, 6) == ax.get_xlim()
    s = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(value.get_ydata(), s, rtol=1e-12)
    np.testing.assert_allclose(slope.get_ydata(), s * (1 - s), rtol=1e-9)
    assert labels(ax) == ["sigmoid(z)", "sigmoid'(z)"]
    assert value.get_linestyle() != slope.get_linestyle()


def test_a_jump_is_a_gap_and_no_line():
    step = plot.activation("step").lines[-1].get_ydata()
    assert np.isnan(step).sum() == 1
    assert np.isnan(plot.activation("relu").lines[-1].get_ydata()).sum() == 1  # its derivative
    for name in ("gelu", "softplus", "exp", "hard_sigmoid", "identity"):
        assert not np.isnan(plot.activation(name).lines[-2].get_ydata()).any()
    with pytest.raises(ValueError, match="softmax is no curve"):
        plot.activation("softmax")


def test_tangents_say_which_way_to_go():
    ax = plot.tangent(lambda x: x * x, [4, -4], span=(-6, 6))
    assert labels(ax) == ["y", "slope 8 at 4: go left", "slope -8 at -4: go right"]
    x, y = ax.lines[1].get_data()
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(8)
    assert np.interp(4.0, x, y) == pytest.approx(16)
    arrows = [a for a in ax.texts if a.arrow_patch is not None]
    assert [np.sign(a.xy[0] - a.get_position()[0]) for a in arrows] == [-1, 1]
    assert labels(plot.tangent(lambda x: x * x, 0.0))[1] == "slope 0 at 0"
    assert labels(plot.tangent(np.abs, 2, derivative=np.sign))[1] == "slope 1 at 2: go left"


def test_the_loss_over_one_weight_is_a_parabola_with_the_steps():
    net = Network((Dense(1, 1, bias=False),))
    trace = delta_rule(0.4, 0.2, 0.7)
    ax = plot.loss_surface(net, [1.75], [0.4], [0.7], visited=[0.2, *trace.weights])
    w, loss = ax.lines[0].get_data()
    np.testing.assert_allclose(loss, 0.5 * (0.4 * w - 0.7) ** 2, rtol=1e-9, atol=1e-15)
    steps = ax.lines[1].get_ydata()
    np.testing.assert_allclose(2 * steps[:-1], trace.errors, rtol=1e-9)
    assert w.min() <= 0.2


def test_the_loss_over_two_weights():
    net = Network((Dense(2, 2),))
    x, y = np.eye(2), np.eye(2)
    ax = plot.loss_surface(net, np.zeros(6), x, y, vary=(0, 3), visited=[[0, 0], [1, 1]])
    assert ax.get_xlabel() == "weight 0 [0, 0]"
    assert ax.get_ylabel() == "weight 0 [1, 1]"
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    with pytest.raises(ValueError, match=r"vary is 6, expected one or two places in 0 \.\.\. 5"):
        plot.loss_surface(net, np.zeros(6), x, y, vary=6)


# -- drawings -------------------------------------------------------------------------------------


def test_a_neuron_with_its_numbers():
    ax = plot.neuron(ThresholdUnit((2, 1, 0.5), 1000), [1000, 5, 2], names=["kg", "legs", "ears"])
    shown = texts(ax)
    assert {"kg = 1000", "legs = 5", "2", "1", "0.5", "2006", ">= 1000 ?", "y = 1"} <= set(shown)
    widths = [line.get_linewidth() for line in ax.lines]
    assert widths == sorted(widths, reverse=True)
    minus = plot.neuron(Neuron((1, -1), 0.5, "relu")).lines[1]
    assert minus.get_color() == ORANGE
    assert minus.get_linestyle() == "--"
    assert {"sum\n+ 0.5", "relu", "y"} <= set(texts(plot.neuron(Neuron((1,), 0.5, "relu"))))
    assert ">= 3 ?" in texts(plot.neuron(perceptron_rule(PAIRS, [0, 0, 0, 1])))
    for wrong in (NET, Neuron(range(20))):
        with pytest.raises(ValueError, match=r"no single neuron|up to 12"):
            plot.neuron(wrong)


def test_a_network_with_values_and_deltas(target_any: Target):
    where = {"device": target_any.backend}
    passed = backpropagate(NET, WEIGHTS, [[1, 0, 1]], [[0]], **where)
    shown = texts(plot.network(passed))
    assert {"input\n(3)", "sigmoid\n(3)", "sigmoid\n(1)"} <= set(shown)
    assert "0.771\n\u03b4 0.14" in shown
    assert "0.731\n\u03b4 0.008" in shown or "0.731\n\u03b4 0.0080" in shown
    for weight in ("0.9", "0.8", "0.1", "0.6", "0.7"):
        assert weight in shown


def test_weights_are_widths_colours_and_dashes():
    net = Network((Dense(2, 1),))
    ax = plot.network(net, [([[2.0], [-1.0]], [0.5])])
    (lines,) = ax.collections
    wide, narrow = lines.get_linewidths()
    assert wide > narrow
    first, second = (matplotlib.colors.to_hex(c) for c in lines.get_colors())
    assert (first, second) == (BLUE, ORANGE)
    assert lines.get_linestyles()[0] != lines.get_linestyles()[1]


def test_large_layers_are_shortened_and_estimators_drawn(target_any: Target):
    x = target_any.asarray(np.random.default_rng(0).standard_normal((40, 30)))
    y = target_any.asarray(np.arange(40) % 3)
    model = MLPClassifier((50,), random_state=0, members=2).partial_fit(x, y, classes=[0, 1, 2])
    ax = plot.network(model, most=6)
    shown = texts(ax)
    assert shown.count("\u22ee") == 2  # 30 and 50 units, not the 3 of the last layer
    assert {"input\n(30)", "relu\n(50)", "softmax\n(3)"} <= set(shown)
    assert len(ax.patches) == 6 + 6 + 3
    with pytest.raises(ValueError, match="MLPClassifier holds no network"):
        plot.network(MLPClassifier())


def test_scales_are_lines_of_their_own_and_tabular_models_have_weights():
    from xpnn.network import Scale

    ax = plot.network(Network((Scale(3), Dense(3, 1))), np.asarray([1.0, 2, 3, 0, 1, -1, 2]))
    first, second = ax.collections
    assert len(first.get_segments()) == 3
    assert len(second.get_segments()) == 3
    x = np.random.default_rng(0).standard_normal((60, 2))
    model = xpnn.TabularRegressor(epochs=1, random_state=0).fit(x, x[:, 0])
    assert len(set(plot.network(model).collections[-1].get_linewidths().tolist())) > 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.predictions([1, 2], [1, 2], [1, 2]), r"shape \(2,\), expected \(2, 2\)"),
        (lambda: plot.weights([1.0, 2.0]), r"shape \(2,\), expected \(inputs, units\)"),
        (lambda: plot.dropout_mask([]), r"shape \(1, 0\), expected"),
        (lambda: plot.tangent(np.square, []), "no point to draw a tangent at"),
        (lambda: plot.gate(and_gate(3)), "at least 3"),
    ],
)
def test_what_cannot_be_drawn_says_what_was_expected(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


# -- planes ---------------------------------------------------------------------------------------


def test_a_truth_table_as_a_picture():
    ax = plot.truth_table(or_gate(), names=["a", "b", "out"])
    assert texts(ax)[:3:1][0] == "a"
    assert {"a", "b", "out"} <= set(texts(ax))
    assert len(ax.patches) == 3  # the rows that fire
    assert len(plot.truth_table(nor_gate(3)).patches) == 1
    with pytest.raises(ValueError, match="64 rows; 5 inputs fit"):
        plot.truth_table(and_gate(6))


def test_a_gate_with_its_line(target_any: Target):
    ax = plot.gate(ThresholdUnit((2, 1), 3))
    assert labels(ax) == ["2 x1 + x2 = 3", "1", "0"]
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(2 * x + y, 3)
    points = [c for c in ax.collections if len(c.get_offsets()) in (1, 3)]
    assert {tuple(p) for p in points[-2].get_offsets().tolist()} == {(1.0, 1.0)}
    assert labels(plot.gate(nand_gate()))[0] == "-x1 - x2 = -1.5"
    assert labels(plot.gate(Neuron((-1, 0), 0.5, "step")))[0] == "-x1 = -0.5"
    fitted = xpnn.Perceptron(shuffle=False, tol=None).fit(
        np.asarray(PAIRS, dtype=float), [0, 0, 0, 1]
    )
    assert "x1" in labels(plot.gate(fitted))[0]


def test_the_line_of_each_epoch():
    report = perceptron_rule(PAIRS, [0, 0, 0, 1])
    ax = plot.gate(report, epochs=True)
    assert labels(ax)[:6] == [*(f"after epoch {i}" for i in range(1, 6)), "2 x1 + x2 = 3"]
    for line, (bias, w1, w2) in zip(ax.lines, report.history, strict=True):
        x, y = line.get_data()
        np.testing.assert_allclose(bias + w1 * np.asarray(x) + w2 * np.asarray(y), 0, atol=1e-12)
    shades = [float(line.get_color()) for line in ax.lines[:-1]]
    assert shades == sorted(shades, reverse=True)  # later is darker


def test_two_lines_of_a_circuit():
    ax = plot.gate(Circuit(2, [[or_gate(), nand_gate()], [and_gate()]]))
    assert labels(ax) == ["x1 + x2 = 0.5", "-x1 - x2 = -1.5", "1", "0"]
    (filled,) = (path for c in ax.collections[:1] for path in c.get_paths())
    inside = [filled.contains_point(p) for p in ((0.5, 0.5), (0, 1), (1, 0), (0, 0), (1, 1))]
    assert inside == [True, True, True, False, False]  # between the lines, where it fires


def test_a_circuit_of_one_layer_is_filled_as_its_first_neuron():
    one, two = (plot.gate(Circuit(2, [layer])) for layer in ([or_gate()], [or_gate(), and_gate()]))
    paths = [ax.collections[0].get_paths()[0] for ax in (one, two)]
    points = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9)]
    assert [[path.contains_point(p) for p in points] for path in paths] == [[False, True, True]] * 2


def test_regions_of_classes_and_shades_of_numbers(target_any: Target):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    model = xpnn.Perceptron(random_state=0).fit(target_any.asarray(x), y)
    ax = plot.decision_boundary(model, x, y, names=("a", "b"))
    assert labels(ax) == ["0", "1", "2"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    low, high = ax.get_xlim()
    assert low < x[:, 0].min() < x[:, 0].max() < high
    regions = ax.collections[0].get_array()
    assert set(np.unique(regions)) == set(np.unique(target_any.to_numpy(model.predict(
        target_any.asarray(x)))))  # fmt: skip
    net = Network((Dense(2, 4, "tanh"), Dense(4, 1)), link="sigmoid")
    start = net.init(seed=0)[0]
    trace = gradient_descent(net, start, PAIRS, [0, 1, 1, 0], steps=2, device=target_any.backend)
    shaded = plot.decision_boundary(trace, PAIRS, [0, 1, 1, 0])
    assert len(shaded.figure.axes) == 2  # a bar that says what shades mean
    with pytest.raises(ValueError, match=r"two features, X has the shape \(4, 3\)"):
        plot.decision_boundary(model, np.ones((4, 3)))
