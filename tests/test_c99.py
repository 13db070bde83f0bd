"""Models as C99: compiled without a warning, they compute what the estimators do."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from exchanged import CODES, LABELS, SHAPES, X, network, table_with_everything

import xpnn
from xpnn.activations import ACTIVATIONS

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, cc")
STRICT = ["-std=c99", "-O0", "-Wall", "-Wextra", "-Wshadow", "-pedantic", "-Werror"]
FLOAT, DOUBLE = np.float32, np.float64


@pytest.fixture
def build(tmp_path):
    """Compiles models, each with names of its own, into a library."""

    def library(*models):
        files, made = [], tmp_path / f"{len(list(tmp_path.iterdir()))}.so"
        for i, model in enumerate(models):
            files.append(made.with_suffix(f".{i}.c"))
            xpnn.to_c(model, files[-1], name=f"xpnn{i}" if i else "xpnn")
        command = ["cc", *STRICT, "-shared", "-fPIC", *map(str, files), "-o", str(made), "-lm"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr[-2000:]
        return ctypes.CDLL(str(made))

    return library


def at(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def predict(library, rows, width, dtype=FLOAT, name="xpnn"):
    """`xpnn_predict` of each row: of an array, or of a list of structures."""
    function, out = getattr(library, f"{name}_predict"), np.zeros((len(rows), width), dtype)
    for row, to in zip(rows, out, strict=True):
        function(at(row) if isinstance(row, np.ndarray) else ctypes.byref(row), at(to))
    return out


def labels_of(library, rows, kind, n):
    """The labels of the rows by the file's own list."""
    each = [at(r) if isinstance(r, np.ndarray) else ctypes.byref(r) for r in rows]
    known = (kind * n).in_dll(library, "xpnn_classes")
    return [known[library.xpnn_class(row)] for row in each]


def close(found, wanted, scale=1.0):
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=1e-5, atol=1e-5)


# -- networks -------------------------------------------------------------------------------------


@needs_cc
@pytest.mark.slow
def test_every_activation(build):
    rows = X[:200]
    models = [xpnn.MLPClassifier((6, 5), f, random_state=0) for f in ACTIVATIONS]
    library = build(*(model.initialize(X, CODES) for model in models))
    for i, model in enumerate(models):
        found = predict(library, rows, 3, name=f"xpnn{i}" if i else "xpnn")
        close(found, model.predict_proba(rows))
        assert np.isfinite(predict(library, FLOAT(1e3) * rows, 3)).all()


@needs_cc
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(build, shape):
    model = network(xpnn.MLPClassifier, CODES, **SHAPES[shape])
    library = build(model)
    close(predict(library, X, 3), model.predict_proba(X))
    found = labels_of(library, X, ctypes.c_longlong, 3)
    assert found == model.predict(X).tolist()


@pytest.mark.sampled(3)
@needs_cc
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("int", ctypes.c_longlong),
        ("words", ctypes.c_char_p),
        ("float", ctypes.c_double),
        ("bool", ctypes.c_longlong),
        ("binary words", ctypes.c_char_p),
        ("one class", ctypes.c_longlong),
    ],
)
def test_every_type_of_label(build, name, kind):
    model = network(xpnn.MLPClassifier, LABELS[name])
    library, n = build(model), len(model.classes_)
    close(predict(library, X, n), model.predict_proba(X))
    found = labels_of(library, X, kind, n)
    found = [label.decode() if isinstance(label, bytes) else label for label in found]
    assert found == model.predict(X).tolist()


@needs_cc
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_several_labels_a_row(build, loss):
    model = network(xpnn.MLPClassifier, LABELS["multilabel"], loss=loss, members=2)
    library, found = build(model), np.zeros((len(X), 3), dtype=np.intc)
    for row, to in zip(X, found, strict=True):
        library.xpnn_labels(at(row), at(to))
    assert (found == model.predict(X)).all()
    wanted = model.decision_function(X) if loss == "hinge" else model.predict_proba(X)
    close(predict(library, X, 3), wanted)


@needs_cc
def test_numbers_and_scores(build):
    model = network(xpnn.MLPRegressor, X[:, :2], members=2)
    close(predict(build(model), X, 2), model.predict(X))
    model = network(xpnn.MLPRegressor, CODES, loss="poisson")
    close(predict(build(model), X, 1)[:, 0], model.predict(X))
    for name in ("int", "bool"):
        model = xpnn.Perceptron().fit(X, LABELS[name])
        library, wanted = build(model), model.decision_function(X).reshape(len(X), -1)
        close(predict(library, X, wanted.shape[1]), wanted)
        found = labels_of(library, X, ctypes.c_longlong, len(model.classes_))
        assert found == model.predict(X).tolist()


# -- tables ---------------------------------------------------------------------------------------

KINDS = {"numeric": ctypes.c_double, "words": ctypes.c_char_p, "datetime": ctypes.c_int64}


def structures(model, frame):
    """Rows of a pandas table as the file's `xpnn_row`."""
    columns = model.encoding_.columns
    fields = [(f"c{i}", KINDS[c.kind]) for i, c in enumerate(columns)]
    row = type("Row", (ctypes.Structure,), {"_fields_": fields})
    values = []
    for c in columns:
        column = frame[c.name]
        if c.kind == "datetime":
            values.append(column.to_numpy().astype("datetime64[us]").astype(np.int64).tolist())
        elif c.kind == "numeric":
            values.append(column.to_numpy(dtype=DOUBLE).tolist())
        else:
            texts = column.astype(object).where(column.notna(), None).tolist()
            values.append([None if text is None else text.encode() for text in texts])
    return [row(*cells) for cells in zip(*values, strict=True)]


@needs_cc
@pytest.mark.slow
@pytest.mark.parametrize("embedding", ["auto", "piecewise"])
def test_a_table_of_everything(build, embedding):
    train, new, y = table_with_everything()
    new.loc[::31, "word"] = "  red\t"  # C strips as we do
    options = {"epochs": 3, "random_state": 0, "embedding": embedding}
    model = xpnn.TabularRegressor(2, (16, 8), **options).fit(train, y)
    rows = structures(model, new)
    close(predict(build(model), rows, 1, DOUBLE)[:, 0], model.predict(new), y.std())
    words = np.where(y > np.median(y), "hi", "lo")
    model = xpnn.TabularClassifier(2, (16, 8), **options).fit(train, words)
    library = build(model)
    close(predict(library, rows, 2), model.predict_proba(new))
    found = labels_of(library, rows, ctypes.c_char_p, 2)
    assert [label.decode() for label in found] == model.predict(new).tolist()


@needs_cc
def test_tables_of_other_kinds(build):
    matrix = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0).fit(X, X[:, :2])
    found = predict(build(matrix), X.astype(DOUBLE), 2, DOUBLE)
    close(found, matrix.predict(X))
    levels = {"quantiles": (0.1, 0.5, 0.9), "epochs": 2, "random_state": 0}
    model = xpnn.TabularRegressor(2, (8,), **levels).fit(X, X[:, 1])
    close(predict(build(model), X.astype(DOUBLE), 1, DOUBLE)[:, 0], model.predict(X))
    y = np.exp(1.5 * X[:, 1].astype(DOUBLE))  # skewed: learned as its logarithm too
    skewed = xpnn.TabularRegressor(2, (8,), epochs=4, random_state=0).fit(X, y)
    assert skewed.log_share_
    close(predict(build(skewed), X.astype(DOUBLE), 1, DOUBLE)[:, 0], skewed.predict(X), y.std())
    nothing = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0)
    nothing.fit({"same": np.ones(30)}, np.arange(30.0))
    found = predict(build(nothing), [ctypes.c_int(0)] * 2, 1, DOUBLE)
    close(found[:, 0], nothing.predict({"same": np.ones(2)}), 10.0)


def test_names_that_c_takes():
    table = {"int": np.arange(30.0), "a b": np.arange(30.0) % 7, "*/ a": list("xyz") * 10}
    model = xpnn.TabularRegressor(2, (8,), epochs=2, random_state=0).fit(table, np.arange(30.0))
    text = xpnn.to_c(model, name="price")
    assert "double c_int; /* int: a number" in text
    assert "double a_b;" in text
    assert "/* * / a: UTF-8" in text
    assert "void price_predict(const price_row *row, double *out)" in text
    assert "#define PRICE_N_OUT 1" in text
    with pytest.raises(ValueError, match=r"name is '1', expected one that C takes"):
        xpnn.to_c(model, name="1")


def test_what_no_file_can_hold_is_refused():
    own = network(xpnn.MLPRegressor, X[:, 0], activation=(lambda z, xp: z, lambda z, a, xp: 1.0))
    with pytest.raises(ValueError, match="your own function, which a file cannot hold"):
        xpnn.to_c(own)
    with pytest.raises(TypeError, match="Only fitted estimators of xpnn can be exported"):
        xpnn.to_c("model")
