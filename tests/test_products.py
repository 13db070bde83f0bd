"""Our own matrix products against NumPy's at awkward shapes; steps and predictions by them."""

import numpy as np
import pytest
from steps_alike import LOSS, network, train_steps
from test_compiled_outputs import check

from xpnn.optimizers import get_optimizer
from xpnn.steps import compiled
from xpnn.steps.compiled.plan import address, function
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules

pytestmark = pytest.mark.skipif(
    compiled.library() is None, reason="the compiled steps are not there"
)
BEST = compiled.library().xpnn_tiles() if compiled.library() else 0
KINDS = range(1, BEST + 1) if BEST else [pytest.param(0, marks=pytest.mark.skip("no tiles"))]
EDGE = 7.5  # beside the numbers of a matrix
NARROW, ACROSS = 4, 5  # forms of a product of few columns: A as it lies, or transposed


def stored(values, transposed, rng):
    """A matrix as it lies in memory: its rows apart, NaN between them and after the last number."""
    lies = values.T if transposed else values
    around = np.full((lies.shape[0], lies.shape[1] + int(rng.integers(0, 4))), np.nan, lies.dtype)
    around[:, : lies.shape[1]] = lies
    numbers = around.size - (around.shape[1] - lies.shape[1])
    return around.ravel()[:numbers].copy(), around.shape[1]


def product(kind, a, b, form=0, seed=0):
    """A B by tiles of a kind, see `xpnn_product`; that nothing is written beside it."""
    rng = np.random.default_rng(seed)
    (m, depth), n, dtype = a.shape, b.shape[1], a.dtype
    (left, lda), (right, ldb) = stored(a, form & 1, rng), stored(b, form >> 1 & 1, rng)
    ldc = n + (0 if form & NARROW else int(rng.integers(0, 4)))
    out = np.full((m + 1, ldc), EDGE, dtype)
    about = address(left), lda, address(right), ldb, address(out), ldc
    assert function("product", dtype)(kind, m, n, depth, form, *about)
    assert (out[:, n:] == EDGE).all()
    assert (out[m] == EDGE).all()
    return out[:m, :n]


def matrices(m, n, depth, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, depth)).astype(dtype), rng.normal(size=(depth, n)).astype(dtype)


def assert_product(kind, m, n, depth, dtype, form):
    """Each sum is within the bound of its rounding errors (Higham 2002, 3.1)."""
    a, b = matrices(m, n, depth, dtype, seed=m + 71 * n)
    found = product(kind, a, b, form, seed=depth)
    wide = np.longdouble if dtype == np.float64 else np.float64
    off = np.abs(found - a.astype(wide) @ b.astype(wide))
    bound = (depth + 2) * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
    assert (off <= bound).all(), (m, n, depth, form)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_products_of_any_shape(kind, dtype):
    rng = np.random.default_rng(0)
    for m, n, depth in [(1, 1, 1), (70, 1, 3), (1, 70, 2), *rng.integers(1, 71, (60, 3))]:
        for form in range(4):
            assert_product(kind, m, n, depth, dtype, form)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [NARROW, ACROSS])
def test_products_of_few_columns(form, kind, dtype):
    """Of every number of them, more rows and deeper than what stays in the cache among them."""
    rng = np.random.default_rng(0)
    for n in range(1, 32):
        assert_product(kind, int(rng.integers(1, 40)), n, int(rng.integers(1, 40)), dtype, form)
    for m, n, depth in [(1, 1, 1), (300, 7, 5), (5, 31, 300), (530, 3, 129)]:
        assert_product(kind, m, n, depth, dtype, form)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1500, 3, 5), (20, 450, 600), (9, 33, 1100)])
def test_products_of_more_than_one_block(shape, kind, dtype):
    """More rows than are packed, more columns than stay in the cache, deeper than a panel."""
    for form in range(4):
        assert_product(kind, *shape, dtype, form)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_infinity_reach_what_they_are_multiplied_with(kind, dtype):
    a, b = matrices(30, 37, 20, dtype)
    a[13, 4], b[7, 36], b[2, 0] = np.nan, np.inf, -np.inf
    for form in range(4):
        found = product(kind, a, b, form)
        with np.errstate(invalid="ignore"):
            expected = a @ b
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_array_equal(found[:, 36] > 0, expected[:, 36] > 0)
    for form in (NARROW, ACROSS):
        found = product(kind, a, b[:, 20:], form)
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected[:, 20:]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_how_rows_and_columns_are_shared(kind, dtype):
    """Nor on the kind of tiles."""
    a, b = matrices(83, 75, 600, dtype)
    for form in range(4):
        whole = product(kind, a, b, form)
        np.testing.assert_array_equal(product(1, a, b, form), whole)
        for parts in (2, 3, 7):
            rows = [product(kind, p, b, form) for p in np.array_split(a, parts)]
            columns = [product(kind, a, p, form) for p in np.array_split(b, parts, axis=1)]
            np.testing.assert_array_equal(np.concatenate(rows), whole)
            np.testing.assert_array_equal(np.concatenate(columns, axis=1), whole)
    for form in (NARROW, ACROSS):
        few = product(kind, a, b[:, :9], form)
        np.testing.assert_array_equal(product(1, a, b[:, :9], form), few)
        for parts in (2, 3, 7):
            rows = [product(kind, p, b[:, :9], form) for p in np.array_split(a, parts)]
            np.testing.assert_array_equal(np.concatenate(rows), few)


@pytest.mark.targets("numpy")
@pytest.mark.parametrize("hidden", [(150, 300), (150, 90)])  # weights learn in pieces, or at once
@pytest.mark.parametrize("kind", range(BEST + 1))
def test_steps_with_each_kind(target, kind, hidden, monkeypatch):
    """Products of a step, large enough for tiles, in one to three threads."""
    monkeypatch.setenv("XPNN_PRODUCTS", compiled.PRODUCTS[kind])
    rules = Rules(network(dropout=0.2, sizes=(7, *hidden, 5)), LOSS, get_optimizer("adam"))
    reference = ReferenceSteps(rules, target.backend, target.dtype)
    size = {"rows": 400, "batch": 133, "count": 3}
    expected = train_steps(target, reference, rules, **size)
    tol = 1e-4 if target.dtype_name == "float32" else 1e-11
    for parts in (1, 2, 3):
        monkeypatch.setattr(CompiledSteps, "threads", lambda self, rows, parts=parts: parts)
        steps = CompiledSteps(rules, lambda: reference)
        found = train_steps(target, steps, rules, **size)
        assert (steps.plan.tiles, steps.plan.parts, steps.suits) == (kind, parts, True)
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=tol, atol=tol * max(np.abs(e).max(), 1e-30))


@pytest.mark.parametrize("kind", range(BEST + 1))
def test_predictions_with_each_kind(kind, monkeypatch):
    monkeypatch.setenv("XPNN_PRODUCTS", compiled.PRODUCTS[kind])
    check(network("tanh", sizes=(64, 100, 90, 5)), 333)


def test_the_environment_names_less_than_the_processor_has(monkeypatch):
    monkeypatch.delenv("XPNN_PRODUCTS", raising=False)
    assert compiled.tiles() == BEST
    for said, kind in (("blas", 0), ("AVX2", min(1, BEST)), ("avx512", BEST), ("", BEST)):
        monkeypatch.setenv("XPNN_PRODUCTS", said)
        assert compiled.tiles() == kind
        assert f"large products by {compiled.PRODUCTS[kind]};" in compiled.state()
    monkeypatch.setenv("XPNN_PRODUCTS", "mkl")
    with pytest.raises(ValueError, match="XPNN_PRODUCTS is 'mkl': it may be one of BLAS, AVX2"):
        compiled.tiles()


def room_of_steps(sizes):
    """Bytes that steps of fifty rows work in."""
    rules = Rules(network(sizes=sizes), LOSS, get_optimizer("sgd"))
    steps, theta = CompiledSteps(rules, lambda: None), rules.network.init(0)[0]
    data = Batch(np.zeros((50, sizes[0])), np.zeros(50, dtype=np.int64), None)
    carry = Carry(theta, np.zeros(0), (), np.float64(0))
    steps.on_rows(carry, Rows(data, None, 0, 50), None, [(0.1,)])
    return steps.held["room"].size


def test_a_network_of_small_products_takes_no_room_for_panels():
    assert room_of_steps((7, 13, 5)) < 100_000


@pytest.mark.skipif(BEST == 0, reason="no tiles")
def test_tiles_begin_where_they_pay(monkeypatch):
    found = {}
    for kind in compiled.PRODUCTS[: compiled.tiles() + 1]:
        monkeypatch.setenv("XPNN_PRODUCTS", kind)
        found[kind] = room_of_steps((32, 32, 5))
    assert found["AVX2"] > found["BLAS"]  # which packs so little, too
    assert found.get("AVX512", found["BLAS"]) == found["BLAS"]  # whose small products do not
