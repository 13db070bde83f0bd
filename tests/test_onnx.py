"""ONNX models compute what the estimators do, by onnxruntime: every part, and tables inside."""

import numpy as np
import pytest
from exchanged import CODES, LABELS, SHAPES, X, network, table_with_everything
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import xpnn
from xpnn.activations import ACTIVATIONS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(proto, feeds):
    """The outputs by name."""
    options = {"providers": ["CPUExecutionProvider"]}
    session = onnxruntime.InferenceSession(proto.SerializeToString(), **options)
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def close(found, wanted, scale=1.0):
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=1e-5, atol=1e-5)


def check_classifier(model, found, x):
    wanted = model.predict(x)
    assert found["label"].tolist() == wanted.tolist()
    if "scores" in found:
        close(found["scores"], model.decision_function(x))
    else:
        close(found["probabilities"], model.predict_proba(x))


# -- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    model = xpnn.MLPClassifier((6, 5), name, random_state=0).initialize(X, CODES)
    check_classifier(model, run(xpnn.to_onnx(model), {"X": X}), X)
    far = np.float32(1e3) * X
    found = run(xpnn.to_onnx(model), {"X": far})
    assert np.isfinite(found["probabilities"]).all()


OUTPUTS = ("int", "binary words", "multilabel")  # one of each kind of output
PAIRS = [(s, name) for s in SHAPES for name in LABELS if s in ("plain", "all") or name in OUTPUTS]


@pytest.mark.parametrize(("shape", "labels"), PAIRS)
def test_every_shape_and_label(shape, labels):
    model = network(xpnn.MLPClassifier, LABELS[labels], **SHAPES[shape])
    check_classifier(model, run(xpnn.to_onnx(model), {"X": X}), X)


@pytest.mark.parametrize("labels", ["int", "binary words", "multilabel"])
def test_margins_are_scores(labels):
    for members in (1, 2):
        model = network(xpnn.MLPClassifier, LABELS[labels], loss="hinge", members=members)
        check_classifier(model, run(xpnn.to_onnx(model), {"X": X}), X)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_link_of_numbers(shape):
    targets = {"squared_error": X[:, :2], "poisson": CODES}
    for loss, y in targets.items():
        model = network(xpnn.MLPRegressor, y, loss=loss, **SHAPES[shape])
        found = run(xpnn.to_onnx(model), {"X": X})
        close(found["variable"], model.predict(X).reshape(len(X), -1))


@pytest.mark.parametrize("labels", ["int", "words", "bool"])
def test_a_perceptron(labels):
    model = xpnn.Perceptron(penalty="l1").fit(X, LABELS[labels])
    check_classifier(model, run(xpnn.to_onnx(model), {"X": X}), X)
    check_classifier(model, run(xpnn.to_onnx(model.sparsify()), {"X": X}), X)


def test_a_network_that_goes_by_float64_and_one_row():
    x = X.astype(np.float64)
    model = network(xpnn.MLPRegressor, x[:, 0], dtype="float64")
    proto = xpnn.to_onnx(model, X=x)
    assert proto.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    close(run(proto, {"X": x[:1]})["variable"][:, 0], model.predict(x[:1]))
    whole = xpnn.to_onnx(model, X=np.arange(8, dtype=np.int64).reshape(2, 4))
    assert run(whole, {"X": np.zeros((2, 4), dtype=np.int64)})["variable"].shape == (2, 1)


# -- tables ---------------------------------------------------------------------------------------


def feeds_of(proto, frame):
    """A pandas table as the inputs say, in the way of docs/exchange.md."""
    feeds = {}
    for value in proto.graph.input:
        column, kind = frame[value.name.rstrip("_")], value.type.tensor_type.elem_type
        if kind == onnx.TensorProto.STRING:
            values = column.astype(object).where(column.notna(), "").to_numpy()
        elif kind == onnx.TensorProto.INT64:
            values = column.to_numpy().astype("datetime64[us]").astype(np.int64)
        else:
            values = column.to_numpy(dtype=np.float64)
        feeds[value.name] = values.reshape(-1, 1)
    return feeds


@pytest.mark.parametrize("embedding", ["auto", None, "piecewise", "periodic"])
def test_a_table_of_everything_with_classes(embedding):
    train, new, y = table_with_everything()
    words = np.where(y > np.median(y), "hi", "lo")
    model = xpnn.TabularClassifier(epochs=4, random_state=0, embedding=embedding).fit(train, words)
    proto = xpnn.to_onnx(model)
    check_classifier(model, run(proto, feeds_of(proto, new)), new)


@pytest.mark.parametrize("quantiles", [None, (0.1, 0.5, 0.9)])
def test_a_table_of_everything_with_numbers(quantiles, tmp_path):
    train, new, y = table_with_everything()
    model = xpnn.TabularRegressor(epochs=4, random_state=0, quantiles=quantiles).fit(train, y)
    proto = xpnn.to_onnx(model, tmp_path / "m.onnx")
    assert onnx.load(tmp_path / "m.onnx") == proto
    found = run(proto, feeds_of(proto, new))
    close(found["variable"][:, 0], model.predict(new), y.std())
    if quantiles:
        close(found["quantiles"], model.predict_quantiles(new), y.std())
    else:
        both = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0)
        both.fit(train, np.stack([y, -y], axis=1))
        proto = xpnn.to_onnx(both)
        close(run(proto, feeds_of(proto, new))["variable"], both.predict(new), y.std())


def test_each_date_has_its_parts():
    """Every day from 1900 to 2100, by whole numbers alone."""
    from xpnn.exchange.onnx.columns import add_columns
    from xpnn.exchange.onnx.graph import Graph
    from xpnn.tables.encoding import Encoding
    from xpnn.tables.kinds import Dates, Spread, date_parts
    from xpnn.tables.values import parse_as

    days = np.arange("1899-12-30", "2101-01-02", dtype="datetime64[D]").astype("datetime64[us]")
    days = days + np.random.default_rng(0).integers(0, 86_400_000_000, len(days))
    names = list(date_parts(days[:1]))
    column = Dates("d", {}, {part: Spread(1970.0, 0.1) for part in names}, True)
    graph = Graph()
    value = graph.input("d", "int64", (None, 1))
    made = add_columns(graph, Encoding((column,)), {"d": (value, "int64")})
    graph.output(made, "Y", "float32", (None, len(names) + 1))
    days[5], days[6:8] = np.datetime64("NaT"), ["9999-12-31T23:00", "0001-01-01"]
    found = run(graph.model("dates"), {"d": days.astype(np.int64).reshape(-1, 1)})["Y"]
    numbers, flags = column.encode(parse_as(days, "datetime", {}, "d"))
    np.testing.assert_array_equal(found, np.stack([*numbers, *flags], axis=1, dtype=np.float32))


def test_inputs_are_named_by_column_or_x():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"label": X[:, 0], "a b": CODES, "same": 1.0})
    model = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0).fit(frame, X[:, 1])
    proto = xpnn.to_onnx(model)
    assert [v.name for v in proto.graph.input] == ["label_", "a b"]  # `label` is an output
    feeds = {"label_": X[:, :1].astype(np.float64), "a b": CODES[:, None].astype(np.float64)}
    close(run(proto, feeds)["variable"][:, 0], model.predict(frame))
    assert [o.version for o in proto.opset_import] == [17, 3]
    assert proto.ir_version == 8
    like = xpnn.to_onnx(model, X=frame)
    kinds = [v.type.tensor_type.elem_type for v in like.graph.input]
    assert kinds == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64]
    matrix = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0).fit(X, X[:, 1])
    close(run(xpnn.to_onnx(matrix, X=X), {"X": X})["variable"][:, 0], matrix.predict(X))
    rows = np.array([["a", 1.5], ["b", 2.5]] * 20, dtype=object)
    words = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0).fit(rows, np.arange(40.0))
    assert [v.name for v in xpnn.to_onnx(words).graph.input] == ["x0", "x1"]


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_table_with_a_skewed_target(loss):
    """Learned as its logarithm too, or as a rate."""
    y = np.exp(1.5 * X[:, 1].astype(np.float64))
    model = xpnn.TabularRegressor(2, (8,), loss=loss, epochs=4, random_state=0).fit(X, y)
    assert (model.log_share_ is None) == (loss == "poisson")
    found = run(xpnn.to_onnx(model, X=X), {"X": X})["variable"]
    assert found.shape == (len(X), 1)
    close(found[:, 0], model.predict(X), y.std())


def test_a_table_that_says_nothing():
    frame = {"same": np.ones(30)}
    model = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0).fit(frame, np.arange(30.0))
    found = run(xpnn.to_onnx(model), {"same": np.array([["x"]] * 30, dtype=object)})
    close(found["variable"][:, 0], model.predict(frame), 10.0)


# -- what cannot be -------------------------------------------------------------------------------


def test_what_no_file_can_hold_is_refused():
    own = network(xpnn.MLPRegressor, X[:, 0], activation=(lambda z, xp: z, lambda z, a, xp: 1.0))
    with pytest.raises(ValueError, match="your own function, which a file cannot hold"):
        xpnn.to_onnx(own)
    large = network(xpnn.MLPClassifier, CODES.astype(np.uint64) + 2**63)
    for export in (xpnn.to_onnx, xpnn.to_c):
        with pytest.raises(ValueError, match="is more than 9223372036854775807, the greatest"):
            export(large)
    with pytest.raises(TypeError, match="Only fitted estimators of xpnn can be exported, got 3"):
        xpnn.to_onnx(3)
    with pytest.raises(TypeError, match=r"got Pipeline: skl2onnx takes .*register_converters"):
        xpnn.to_onnx(make_pipeline(own))
    with pytest.raises(NotFittedError):
        xpnn.to_onnx(xpnn.MLPClassifier())
    mixed = network(xpnn.MLPRegressor, X[:, 0])
    with pytest.raises(FileNotFoundError):
        xpnn.to_onnx(mixed, "no such folder/m.onnx")


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "xpnn\[onnx\]"'):
        xpnn.to_onnx(network(xpnn.MLPRegressor, X[:, 0]))
