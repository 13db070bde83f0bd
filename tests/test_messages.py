"""Messages name the cause, and a cure that there is."""

import pickle

import numpy as np
import pytest

import xpnn
from xpnn import DivergedError, MLPClassifier, MLPRegressor, Perceptron, TabularClassifier
from xpnn.tabular import run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = np.arange(20) % 2
CLASSIFIERS = {
    "MLPClassifier": lambda **kw: MLPClassifier((3,), max_iter=2, **kw),
    "Perceptron": lambda **kw: Perceptron(**kw),
    "TabularClassifier": lambda **kw: TabularClassifier(n_members=2, hidden=2, epochs=4, **kw),
}


def test_divergence_advises_what_the_solver_has():
    huge = 1e200 * X
    with pytest.raises(DivergedError, match=r"iteration \d of L-BFGS: scale .* target") as lbfgs:
        MLPRegressor(hidden_layer_sizes=3, solver="lbfgs").fit(huge, huge[:, 0])
    assert "learning_rate" not in str(lbfgs.value)
    assert "clip_norm" not in str(lbfgs.value)
    assert lbfgs.value.learning_rate is None
    with pytest.raises(
        DivergedError, match=r"at learning rate 0\.001: .*target.*clip_norm"
    ) as adam:
        MLPRegressor(hidden_layer_sizes=3).fit(huge, huge[:, 0])
    for error in (lbfgs.value, adam.value):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_tabular_model_advises_what_it_has(monkeypatch):
    def diverge(*args, **kwargs):
        raise DivergedError(3, 0.1, None)

    monkeypatch.setattr(run, "train", diverge)
    with pytest.raises(DivergedError, match=r"epoch 3 at .*dtype='float64'") as error:
        CLASSIFIERS["TabularClassifier"]().fit(X, Y)
    assert "learning_rate_init" not in str(error.value)


def test_a_target_that_float32_cannot_hold(target_any):
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=2, dtype="float32")
    match = r"Input y contains .*float32.*scale y"
    if "float64" in target_any.backend.dtypes:
        x, y = (target_any.backend.asarray(a) for a in (X, 1e39 * X[:, 0]))
        with pytest.raises(ValueError, match=match):
            model.fit(x, y)
    with pytest.raises(ValueError, match=f"validation_data: {match}"):
        model.fit(X, X[:, 0], validation_data=(X, 1e39 * X[:, 0]))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_class_weights_that_are_none(name):
    for bad in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="class_weight must be finite and at least 0, got"):
            CLASSIFIERS[name](class_weight={0: bad, 1: 1}).fit(X, Y)


def test_classes_that_leave_no_weight():
    about = {"class_weight": {0: 0.0, 1: 1.0}}
    for name in ("MLPClassifier", "TabularClassifier"):
        model = CLASSIFIERS[name](**about)
        with pytest.raises(ValueError, match=r"class_weight=.* no row .* beside sample_weight"):
            model.fit(X, Y, sample_weight=(Y == 0) + 0.0)
    model = CLASSIFIERS["MLPClassifier"](**about).partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"class_weight=.* leaves no row of these a weight"):
        model.partial_fit(X[Y == 0], Y[Y == 0])
    with pytest.raises(ValueError, match=r"sample_weight times class_weight goes up to 1e\+308"):
        CLASSIFIERS["MLPClassifier"](class_weight={0: 1e308}).fit(X, Y)


@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
def test_a_bad_weight_is_named_with_its_row(target_any, value):
    x, y, weight = (target_any.asarray(a) for a in (X, Y, np.where(np.arange(20) == 3, value, 1)))
    match = rf"sample_weight must be finite and not negative, got {value} in row 3\.$"
    for make in (MLPClassifier, Perceptron):
        with pytest.raises(ValueError, match=match):
            make(dtype=target_any.dtype_name).fit(x, y, sample_weight=weight)


def test_errors_of_validation_data_say_so():
    model = MLPRegressor(hidden_layer_sizes=3)
    for held in ((X * np.nan, Y), (X[:, :2], Y), (X, Y[:3]), (X, Y, -Y)):
        with pytest.raises(ValueError, match=r"^validation_data: "):
            model.fit(X, Y, validation_data=held)
    with pytest.raises(ValueError, match=r"must be a tuple \(X, y\) .*, got tuple of 1\.$"):
        model.fit(X, Y, validation_data=(X,))
    with pytest.raises(ValueError, match=r"without validation_data=\(X, y\)"):
        MLPRegressor(early_stopping=True).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"there are none: pass validation_data=\(X, y\)\.$"):
        MLPRegressor(solver="lbfgs", early_stopping=True, monitor="val_loss").fit(X, Y)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor", "Perceptron"])
def test_tensors_that_are_not_dense(torch, name):
    x, y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y)
    model = getattr(xpnn, name)()
    quantized = torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)
    nested = torch.nested.nested_tensor([x[0], x[1]], layout=torch.jagged)
    for args, match in (
        ((x.to_sparse(), y), r"X has the layout .* its to_dense"),
        ((x, y.to_sparse()), r"y has the layout .* its to_dense"),
        (
            (x, y, None, None, y.to_sparse()) if name == "Perceptron" else (x, y, y.to_sparse()),
            "sample_weight",
        ),
        ((quantized, y), "X is quantized .* dequantize"),
        ((nested, y[:2]), "X is a nested tensor"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(*args)
    with pytest.raises(ValueError, match=r"sample_weight has the layout .* its to_dense"):
        model.fit(x, y, sample_weight=y.to_sparse())


def _poisson():
    MLPRegressor(hidden_layer_sizes=3, loss="poisson").fit(X, X[:, 0])


def _smoothed():
    MLPClassifier(hidden_layer_sizes=3, loss="hinge", label_smoothing=0.1).fit(X, Y)


def _outputs():
    MLPRegressor(hidden_layer_sizes=3).partial_fit(X, X[:, :2]).partial_fit(X, Y)


def _features():
    xpnn.data.Blocks(np.column_stack([X, Y]), target=3, columns=[0, 3])


def _twice():
    xpnn.data.Blocks(np.column_stack([X, Y]), target=3).with_targets(Y)


def _weightless():
    xpnn.TabularRegressor(epochs=1).fit(X, Y, sample_weight=np.zeros(20))


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (_poisson, r"needs y of at least 0, got -\d.*: take another loss"),
        (_smoothed, r"label_smoothing=0\.1 goes with .*, got loss='hinge': take that loss, or"),
        (_outputs, r"y has 1 outputs, but this .* with 2: pass as many, or start anew"),
        (_features, r"columns has 3, which is the target or the weight: name features alone"),
        (_twice, r"y is given twice: .* Leave y out, or make the Blocks without a target"),
        (_weightless, r"sample_weight is zero in all rows: give at least one a weight above 0"),
        (lambda: xpnn.neurons.and_gate()(0, 0.5), r"0 and 1 only, got 0\.5"),
        (lambda: xpnn.Network(()), r"at least one layer, got none: pass \[Dense"),
    ],
)  # fmt: skip
def test_each_names_the_value_and_a_cure(act, match):
    with pytest.raises(ValueError, match=match):
        act()
