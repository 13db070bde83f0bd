"""skl2onnx and hummingbird convert our estimators, alone and inside of scikit-learn's."""

import pickle
import sys
import warnings

import numpy as np
import pytest
from exchanged import CODES, LABELS, X, network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import xpnn
from xpnn import MLPClassifier, MLPRegressor, Perceptron, TabularClassifier, TabularRegressor

ROWS, Y = X[:300], CODES[:300]
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0}
TABLE = {"n_members": 2, "hidden": (4,), "epochs": 2, "random_state": 0}


@pytest.fixture(autouse=True)
def _unconverged():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture
def to_onnx():
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    assert xpnn.register_converters("skl2onnx") == ("skl2onnx",)

    def run(model, rows, **options):
        """The outputs of a model that skl2onnx has written, for the rows of a dict or a matrix."""
        feeds = rows if isinstance(rows, dict) else {"X": rows}
        proto = skl2onnx.to_onnx(model, rows[:1] if feeds is not rows else None, **options)
        session = runtime.InferenceSession(
            proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(None, feeds)

    return run


def close(found, wanted):
    np.testing.assert_allclose(np.asarray(found).reshape(np.shape(wanted)), wanted, 1e-4, 1e-5)


def test_other_libraries_are_refused_by_name(monkeypatch):
    with pytest.raises(ValueError, match="takes 'skl2onnx' or 'hummingbird', got 'onnx'"):
        xpnn.register_converters("onnx")
    for module, package in (("skl2onnx", "skl2onnx"), ("hummingbird", "hummingbird-ml")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=f"needs the package {package}; get it with"):
            xpnn.register_converters(module)
    monkeypatch.setattr("xpnn.exchange.converters.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"neither skl2onnx nor hummingbird .* pip install"):
        xpnn.register_converters()


# -- skl2onnx -------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pipeline_of_each_type_of_labels(to_onnx, labels, dtype):
    y, rows = LABELS[labels][:300], ROWS.astype(dtype)
    model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).fit(rows, y)
    label, found = to_onnx(model, rows, options={"zipmap": False})
    assert label.shape == y.shape
    np.testing.assert_array_equal(label, model.predict(rows))
    close(found, model.predict_proba(rows))
    assert found.dtype == dtype


@pytest.mark.parametrize(
    "about",
    [{"normalization": "layer"}, {"members": 2, "embedding": "periodic"}, {"activation": "gelu"}],
    ids=str,
)
@pytest.mark.parametrize("opset", [13, 17, None])
def test_networks_in_several_versions_of_onnx(to_onnx, about, opset):
    model = MLPRegressor(**SMALL | about).fit(ROWS, ROWS[:, :2])
    (found,) = to_onnx(model, ROWS, target_opset=opset)
    close(found, model.predict(ROWS))
    if opset == 13:
        with pytest.raises(ValueError, match=r"target_opset=12 is too old .* pass 13 or more"):
            to_onnx(model, ROWS, target_opset=12)


def test_scores_where_there_are_no_probabilities(to_onnx):
    for model in (Perceptron(), MLPClassifier(loss="hinge", **SMALL)):
        for y in (Y, Y > 0):
            label, scores = to_onnx(model.fit(ROWS, y), ROWS, options={"zipmap": False})
            np.testing.assert_array_equal(label, model.predict(ROWS))
            wanted = model.decision_function(ROWS)
            close(scores, wanted if wanted.ndim == 2 else np.column_stack([-wanted, wanted]))


def test_a_dictionary_of_probabilities_as_skl2onnx_has_it(to_onnx):
    model = network(MLPClassifier, LABELS["words"])
    _, found = to_onnx(model, ROWS)
    assert sorted(found[0]) == list(model.classes_)
    close([[row[c] for c in model.classes_] for row in found], model.predict_proba(ROWS))


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("labels", ["int", "binary words"])
def test_inside_of_scikit_learns(to_onnx, labels, members):
    ours, y = MLPClassifier(**SMALL, members=members), LABELS[labels][:300]
    tried = [
        GridSearchCV(make_pipeline(StandardScaler(), ours), {"mlpclassifier__alpha": [1, 2]}, cv=2),
        CalibratedClassifierCV(ours, cv=2),  # by the scores of decision_function
        VotingClassifier([("a", ours)], voting="soft", flatten_transform=False),
    ]
    for model in tried[: None if labels == "int" else 2]:
        label, found = to_onnx(model.fit(ROWS, y), ROWS, options={"zipmap": False})
        np.testing.assert_array_equal(label, model.predict(ROWS))
        close(found, model.predict_proba(ROWS))


def test_tables(to_onnx):
    pd = pytest.importorskip("pandas")
    types = pytest.importorskip("skl2onnx.common.data_types")
    frame = pd.DataFrame(ROWS, columns=list("abcd"))
    matrix = make_pipeline(StandardScaler(), TabularRegressor(**TABLE)).fit(ROWS, ROWS[:, 0])
    scaler = StandardScaler().set_output(transform="pandas")
    named = make_pipeline(scaler, TabularRegressor(**TABLE)).fit(frame, ROWS[:, 0])
    quantiles = TabularRegressor(**TABLE, quantiles=(0.1, 0.5, 0.9)).fit(ROWS, ROWS[:, 0])
    for model, rows in ((matrix, ROWS), (named, frame), (quantiles, ROWS)):
        close(to_onnx(model, ROWS)[0], model.predict(rows))
    frame["word"] = np.array(["große", "kleine"])[Y % 2]
    model = TabularClassifier(**TABLE).fit(frame, LABELS["words"][:300])
    columns = [(name, types.FloatTensorType([None, 1])) for name in "abcd"]
    columns.append(("word", types.StringTensorType([None, 1])))
    feeds = {name: frame[[name]].to_numpy(np.float32) for name in "abcd"}
    feeds["word"] = frame[["word"]].to_numpy(object)
    label, found = to_onnx(model, feeds, initial_types=columns, options={"zipmap": False})
    np.testing.assert_array_equal(label, model.predict(frame))
    close(found, model.predict_proba(frame))


# -- hummingbird ----------------------------------------------------------------------------------


@pytest.fixture
def convert():
    pytest.importorskip("torch")
    pytest.importorskip("hummingbird.ml")
    assert xpnn.register_converters("hummingbird") == ("hummingbird",)
    from hummingbird.ml import convert

    return convert


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["torch", "torch.jit"])
def test_hummingbird_predicts_the_same(convert, backend):
    for y in (Y, 3 * Y - 1, Y > 0, 0 * Y):
        model = make_pipeline(StandardScaler(), MLPClassifier(**SMALL)).fit(ROWS, y)
        found = convert(model, backend, ROWS)
        np.testing.assert_array_equal(found.predict(ROWS), model.predict(ROWS))
        close(found.predict_proba(ROWS), model.predict_proba(ROWS))
    numbers = MLPRegressor(**SMALL, normalization="batch", dtype="float64").fit(ROWS, ROWS[:, 0])
    found = convert(numbers, backend, ROWS)
    close(found.predict(ROWS), numbers.predict(ROWS))
    if backend == "torch":
        close(pickle.loads(pickle.dumps(found)).predict(ROWS), numbers.predict(ROWS))


@pytest.mark.filterwarnings("ignore")
def test_what_hummingbird_cannot_hold_is_told(convert):
    for options, y, match in (
        ({}, LABELS["words"][:300], "one whole number a row: use xpnn.to_onnx"),
        ({}, LABELS["multilabel"][:300], "of the kind 'multilabel'"),
        ({"loss": "hinge"}, Y, "gives no probabilities"),
        ({"members": 2}, Y, "members and embedding have no counterpart"),
    ):
        with pytest.raises(ValueError, match=match):
            convert(MLPClassifier(**SMALL, **options).fit(ROWS, y), "torch", ROWS)
