"""Arrays that are sparse, of few bits, or wrapped: taken, or told with the cure."""

import dlpack_only
import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from foreign import FITS, NETWORK, RNG, Coo, X, Y, on

from xpnn import MLPClassifier, TabularClassifier, TabularRegressor
from xpnn.backends import to_numpy

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.dtypes("float32"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
SPARSE = X * (X > 0)
WEIGHT = np.abs(X[:, 0])


# ---- scores of tabular models, whose predictions are where X is ---------------------------------


@pytest.mark.targets("cupy:0", "torch:cpu", "foreign:dlpack")
@pytest.mark.parametrize("make", [TabularClassifier, TabularRegressor])
def test_a_tabular_model_scores_arrays_of_any_library(target, make):
    few = {"n_members": 2, "hidden": (5,), "epochs": 1, "random_state": 0}
    y = Y if make is TabularClassifier else X[:, 1]
    placed = [target.backend.asarray(a) for a in (X, y, WEIGHT)]
    model, plain = make(**few).fit(*placed[:2]), make(**few).fit(X, y)
    for weight, host in ((None, None), (placed[2], WEIGHT)):
        for labels in (placed[1], y):
            found = model.score(placed[0], labels, sample_weight=weight)
            assert type(found) is float
            assert found == pytest.approx(plain.score(X, y, sample_weight=host), rel=1e-3)


# ---- numbers of few bits ------------------------------------------------------------------------

NARROW = {"bfloat16": np.float32, "float8_e4m3fn": np.float32, "int4": np.int8, "uint4": np.uint8}


@pytest.mark.targets("numpy", "torch:cpu")
@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("name", FITS)
def test_numbers_of_few_bits(target, name, dtype):
    if target.name == "torch:cpu" and dtype.endswith("int4"):
        pytest.skip("torch makes no tensors of int4")
    assert_taken(target, name, dtype)


@pytest.mark.slow
@pytest.mark.targets("jax:cpu")
@pytest.mark.parametrize("dtype", ["bfloat16", "int4"])
@pytest.mark.parametrize("name", FITS)
def test_numbers_of_few_bits_of_jax(target, name, dtype):
    assert_taken(target, name, dtype)


def assert_taken(target, name, dtype):
    """As features, labels and targets, weights, and in scores."""
    narrow, wide = getattr(ml_dtypes, dtype), NARROW[dtype]
    y = X[:, 0] if name == "regressor" else Y
    host = [(2 * np.abs(a)).astype(narrow) for a in (X, y, X[:, 1])]
    given = [of_few_bits(target, a) for a in host]
    same = [target.backend.asarray(a.astype(wide)) for a in host]
    model, plain = FITS[name]().fit(*given[:2]), FITS[name]().fit(*same[:2])
    predicted = model.predict(given[0])
    if name != "regressor":
        assert to_numpy(predicted).dtype == wide
    expected = to_numpy(plain.predict(same[0]))
    np.testing.assert_allclose(to_numpy(predicted), expected, rtol=1e-4, atol=1e-5)
    weight = {} if name == "perceptron" else {"sample_weight": given[2]}
    assert np.isfinite(model.score(*given[:2], **weight))


def of_few_bits(target, a):
    if target.name == "numpy":
        return a
    if target.name == "jax:cpu":
        return target.xp.asarray(a)
    import torch

    return torch.from_numpy(a.astype(np.float32)).to(getattr(torch, a.dtype.name))


def test_an_unknown_library_of_few_bits(monkeypatch):
    monkeypatch.setattr(
        dlpack_only.Array, "__array__", lambda self, *_, **__: Y.astype(ml_dtypes.int4)
    )
    assert to_numpy(on(1)).dtype == np.int8


# ---- sparse -------------------------------------------------------------------------------------


class Compressed:
    """As `sparse.GCXS`: no `tocsr`, but a way to the matrix that has it."""

    __module__ = "sparse"

    def __init__(self, x):
        self.x, self.shape, self.ndim, self.dtype = x, x.shape, x.ndim, x.dtype

    def asformat(self, name):
        assert name == "coo"
        return Coo(self.x)

    def todense(self):
        return self.x

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("cannot convert a sparse array to dense automatically")


@pytest.mark.parametrize("name", ["classifier", "perceptron"])
def test_sparse_arrays_without_tocsr_are_csr_too_and_labels_and_weights_dense(name):
    weight = {} if name == "perceptron" else {"sample_weight": Compressed(WEIGHT)}
    plain = {} if name == "perceptron" else {"sample_weight": WEIGHT}
    model = FITS[name]().fit(Compressed(SPARSE), Compressed(Y), **weight)
    expected = FITS[name]().fit(sp.csr_array(SPARSE), Y, **plain)
    np.testing.assert_array_equal(model.predict(Compressed(SPARSE)), expected.predict(SPARSE))
    assert model.score(Compressed(SPARSE), Compressed(Y)) == expected.score(SPARSE, Y)


@pytest.mark.parametrize("kind", [Compressed, Coo, sp.csr_array])
def test_a_tabular_model_takes_no_sparse_table(kind):
    model = FITS["tabular"]().fit(X, Y)
    for call in (lambda x: FITS["tabular"]().fit(x, Y), model.predict, lambda x: model.score(x, Y)):
        with pytest.raises(TypeError, match=r"dense tables alone: use X\.toarray\(\)"):
            call(kind(SPARSE))


def test_pydata_sparse():
    sparse = pytest.importorskip("sparse")
    expected = MLPClassifier((5,), max_iter=2, random_state=0).fit(sp.csr_array(SPARSE), Y)
    for kind in (sparse.COO, sparse.GCXS, sparse.DOK):
        model = MLPClassifier((5,), max_iter=2, random_state=0)
        model.fit(kind.from_numpy(SPARSE), sparse.COO.from_numpy(Y))
        found = model.predict(kind.from_numpy(SPARSE))
        np.testing.assert_array_equal(found, expected.predict(SPARSE))


class OnADevice:
    """As a matrix of cupyx: its CSR is of its own kind."""

    __module__ = "cupyx.scipy.sparse"
    shape, ndim, nnz, dtype = X.shape, 2, 3, X.dtype

    def tocsr(self):
        return self


@pytest.mark.parametrize("name", FITS)
def test_a_sparse_matrix_on_a_device_is_told(name):
    with pytest.raises(
        ValueError, match=r"X is a sparse matrix of cupyx, on a device.*its get\(\)"
    ):
        FITS[name]().fit(OnADevice(), Y)


@pytest.mark.targets("jax:cpu")
@pytest.mark.parametrize("name", FITS)
def test_sparse_arrays_of_jax_are_told(target, name):
    from jax.experimental.sparse import BCOO

    model, x = FITS[name]().fit(X, Y), BCOO.fromdense(target.asarray(SPARSE))
    for call in (lambda: model.predict(x), lambda: FITS[name]().fit(x, Y)):
        with pytest.raises(
            ValueError, match=r"X is a sparse array of jax \(BCOO\).*its todense\(\)"
        ):
            call()


# ---- libraries without the standard, once more where a model is fitted already ------------------


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("kind", ["mlx.core", "tinygrad.tensor"])
def test_a_library_without_the_standard_is_told_by_predict(kind, name):
    namespace = lambda self, api_version=None: np  # noqa: E731  # as mlx has it
    about = {"__module__": kind, "shape": X.shape, "__array_namespace__": namespace}
    model = FITS[name]().fit(X, X[:, 0] if name == "regressor" else Y)
    with pytest.raises(ValueError, match=r"X is an array of .* does not follow the array API"):
        model.predict(type("Tensor", (), about)())


# ---- tensors with operations of their own -------------------------------------------------------


FIRST_USE = pytest.mark.filterwarnings(  # torch's own
    "ignore:.*MaskedTensors:UserWarning", "ignore:.torch.jit.script:DeprecationWarning"
)


@FIRST_USE
@pytest.mark.targets("torch:cpu")
@pytest.mark.parametrize("name", FITS)
def test_tensors_that_are_not_plain_are_told(target, name):
    import torch
    from torch._subclasses import FakeTensorMode

    x, y = target.asarray(X), target.asarray(X[:, 0]) if name == "regressor" else Y
    model = FITS[name]().fit(x, y)
    masked, fake = torch.masked.masked_tensor(x, x > 0), FakeTensorMode().from_tensor(x)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        for given, told in (
            (masked, r"is a MaskedTensor and .* pass its to_tensor\(value\)"),
            (fake, f"is a FakeTensor and .*{NETWORK}"),
            (dual, rf"is being traced by torch\.autograd\.forward_ad.*{NETWORK}"),
        ):
            for call in (model.predict, lambda a: FITS[name]().fit(a, y)):
                with pytest.raises(ValueError, match=f"X {told}"):
                    call(given)


@FIRST_USE
@pytest.mark.targets("torch:cpu")
def test_the_network_has_derivatives_in_forward_mode(target):
    import torch

    x, direction = target.asarray(X), target.asarray(RNG.normal(size=X.shape))
    model = FITS["regressor"]().fit(x, x[:, 0])
    ahead = torch.autograd.forward_ad

    def f(a):
        return model.network_.predict(*model.parameters_, a, target.xp)

    with ahead.dual_level():
        found = ahead.unpack_dual(f(ahead.make_dual(x, direction))).tangent
    slopes = torch.func.grad(lambda a: f(a).sum())(x)
    np.testing.assert_allclose(found[:, 0], (slopes * direction).sum(dim=1), rtol=1e-3, atol=1e-5)
