"""Perceptron epochs: the reference against formulas, every kernel against it bit by bit."""

import importlib
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import array_api_compat.numpy as np_xp
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from perceptron_rule import BATCHES, FEATURES, RULES, one_by_one, problem
from targets import Target

from xpnn.perceptron import batches, reference
from xpnn.perceptron.choice import permutation, select_epoch
from xpnn.perceptron.reference import Data, Rule, State, initial_state
from xpnn.steps import compiled

OVERRIDES = ("compiled", "numpy")


def run(
    epoch: Any, p: dict[str, np.ndarray], rule: Rule, epochs: int, move: Any, xp: Any
) -> dict[str, Any]:
    """The same by an `epoch`; the data are checked to be unchanged afterwards."""
    k, d = len(p["labels"]), p["x"].shape[1]
    real = {name: move(p[name]) for name in ("weight", "class_weight")}
    x = scipy.sparse.csr_matrix(p["x"]) if rule.sparse else move(p["x"])
    if rule.sparse:
        x = x.astype("float32" if "32" in str(real["weight"].dtype) else "float64")
    data = Data(x, move(p["y"]), real["weight"], move(p["labels"]), real["class_weight"])
    order = p["order"] if rule.sparse else move(p["order"])
    state = initial_state(move(np.zeros((k, d))), move(np.zeros(k)), xp)
    sums = []
    for _ in range(epochs):
        state, total = epoch(state, data, order, rule, xp)
        sums.append(total)
    return {
        "coef": state.weights(xp),
        "intercept": state.intercept,
        "mean": state.mean,
        "mean_intercept": state.mean_intercept,
        "sums": xp.stack(sums),
    }


def names(rule: Rule) -> list[str]:
    return ["coef", "intercept", "sums", *(["mean", "mean_intercept"] if rule.average else [])]


def epoch_of(module: str) -> Any:
    if module == "compiled" and compiled.library() is None:
        pytest.skip("xpnn's compiled library is not here")
    return importlib.import_module(f"xpnn.perceptron.{module}").epoch


def converted(dtype: str) -> Any:
    return lambda a: a.astype(dtype) if a.dtype.kind == "f" else a


@cache
def ruled(k: int, rule: Rule) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A problem, and what the rule leaves after two epochs."""
    p = problem(k, sparse=rule.sparse)
    return p, one_by_one(p, rule, epochs=2)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("k", [1, 4])
def test_reference_is_the_rule(dtype: str, rule: Rule, k: int) -> None:
    p, expected = ruled(k, rule)
    found = run(reference.epoch, p, rule, 2, converted(dtype), np_xp)
    rtol = 1e-11 if dtype == "float64" else 1e-3
    for name in names(rule):
        atol = rtol * np.abs(expected[name]).max()
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=atol)


@pytest.mark.long_to_compile
@pytest.mark.parametrize("rule", BATCHES.values(), ids=BATCHES.keys())
@pytest.mark.parametrize("k", [1, 4])
def test_batches_are_the_rule(target: Target, rule: Rule, k: int) -> None:
    p, expected = ruled(k, rule)
    found = run(select_epoch(target.xp, rule), p, rule, 2, target.asarray, target.xp)
    for name in names(rule):
        scale = 1e-11 if target.dtype_name == "float64" else 1e-3
        target.assert_close(found[name], expected[name], rtol=scale)


ON_CUPY = [name for name, r in RULES.items() if r.alpha == 0.0 and not r.sparse]


@pytest.mark.parametrize("name", ON_CUPY)
@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.targets("cupy:0", "cupy:1")
def test_cupy_is_the_reference(target: Target, name: str, k: int) -> None:
    p, rule = problem(k), RULES[name]
    expected = run(reference.epoch, p, rule, 3, converted(target.dtype_name), np_xp)
    epoch = select_epoch(target.xp, rule)
    assert epoch.__module__ == "xpnn.perceptron.cupy"
    found = run(epoch, p, rule, 3, target.asarray, target.xp)
    for name in names(rule):
        if name in ("coef", "intercept"):
            np.testing.assert_array_equal(target.to_numpy(found[name]), expected[name])
        rtol = 1e-11 if target.dtype_name == "float64" else 1e-5
        target.assert_close(found[name], expected[name], rtol=rtol, dtype=found[name].dtype)


@cache
def reference_found(k: int, rule: Rule, dtype: str) -> dict[str, Any]:
    """What the reference, which is slow, leaves after three epochs."""
    return run(reference.epoch, problem(k, sparse=rule.sparse), rule, 3, converted(dtype), np_xp)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("override", "dtype"), [*product(OVERRIDES, ("float64", "float32"))])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("k", [1, 4])
def test_override_is_the_reference(override: str, dtype: str, rule: Rule, k: int) -> None:
    epoch = epoch_of(override)
    expected = reference_found(k, rule, dtype)
    found = run(epoch, problem(k, sparse=rule.sparse), rule, 3, converted(dtype), np_xp)
    assert found["coef"].dtype == dtype
    for name in names(rule):
        if name.startswith("mean"):  # made of other sums
            rtol = 1e-11 if dtype == "float64" else 1e-6
            atol = rtol * np.abs(expected[name]).max()
            np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=atol)
        else:
            np.testing.assert_array_equal(found[name], expected[name], name)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_override_is_the_reference_where_mistakes_are_rare(override: str, dtype: str) -> None:
    """Several chunks of rows, of which the later ones have few mistakes, and rows not in order."""
    epoch = epoch_of(override)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5000, 6))
    side = (x.sum(axis=1) > 0).astype(np.int32)
    p = {
        "x": x + 0.2 * (2 * side[:, None] - 1),
        "y": side,
        "weight": np.ones(5000),
        "labels": np.asarray([0, 1], dtype=np.int32),
        "class_weight": np.ones((2, 2)),
        "order": rng.permutation(5000)[:4900],
    }
    rule = Rule(eta=0.1, average=True)
    expected = run(reference.epoch, p, rule, 2, converted(dtype), np_xp)
    found = run(epoch, p, rule, 2, converted(dtype), np_xp)
    assert 0 < expected["sums"][0][2].max() < 0.02 * 4900
    for name in ("coef", "intercept", "sums"):
        np.testing.assert_array_equal(found[name], expected[name], name)
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-6)


@pytest.mark.parametrize("override", ["reference", *OVERRIDES])
@pytest.mark.parametrize(
    ("n", "d"), [(0, 3), (1, 1), (1, 70), (31, 1), (33, 5), (65, 3), (130, 300)]
)
def test_odd_shapes(override: str, n: int, d: int) -> None:
    epoch = epoch_of(override)
    rng = np.random.default_rng(n + d)
    p = {
        "x": rng.standard_normal((n, d)),
        "y": rng.integers(0, 2, n).astype(np.int32),
        "weight": np.ones(n),
        "labels": np.asarray([1], dtype=np.int32),
        "class_weight": np.ones((2, 1)),
        "order": np.arange(n),
    }
    expected = one_by_one(p, Rule(), epochs=2)
    found = run(epoch, p, Rule(), 2, lambda a: a, np_xp)
    for name in names(Rule()):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("override", ["reference", *OVERRIDES])
@pytest.mark.parametrize("name", ["plain", "l2 average", "elasticnet"])
def test_inputs_stay(override: str, name: str) -> None:
    epoch, rule = epoch_of(override), RULES[name]
    p = problem(4)
    strided = np.asfortranarray(np.repeat(p["x"], 2, axis=1))[:, ::2]  # neither C nor F
    data = Data(*(p[key] for key in ("x", "y", "weight", "labels", "class_weight")))
    data = data._replace(x=strided)
    state = initial_state(np.ones((4, FEATURES)), np.ones(4), np_xp)
    before = [np.array(a) for a in (*state[:6], *data, p["order"])]
    for a in (*state[:6], *data, p["order"]):
        a.flags.writeable = False
    first, _ = epoch(state, data, p["order"], rule, np_xp)
    again, _ = epoch(state, data._replace(x=p["x"].copy()), p["order"], rule, np_xp)
    np.testing.assert_array_equal(first.coef, again.coef)
    for a, kept in zip((*state[:6], *data, p["order"]), before, strict=True):
        np.testing.assert_array_equal(a, kept)


@pytest.mark.targets("strict:device1", "strict:no_x64")
def test_batches_do_not_wait_for_the_device(target: Target) -> None:
    p = problem(4)
    k, rule = 4, Rule(alpha=0.01, average=True, batch_size=8)
    keys = ("x", "y", "weight", "labels", "class_weight")
    data, order = Data(*(target.asarray(p[key]) for key in keys)), target.asarray(p["order"])
    state = initial_state(
        target.asarray(np.zeros((k, FEATURES))), target.asarray(np.zeros(k)), target.xp
    )
    with target.forbid_sync():
        batches.epoch(state, data, order, rule, target.xp)


@pytest.mark.targets("cupy:0")
@pytest.mark.dtypes("float64")
def test_cupy_does_not_wait_and_launches_once_for_many_rows(target: Target) -> None:
    cupy_on_cpu = pytest.importorskip("cupy_on_cpu", reason="counts calls of the host double")
    p, epoch = problem(4), select_epoch(target.xp, Rule())
    keys = ("x", "y", "weight", "labels", "class_weight")
    data, order = Data(*(target.asarray(p[key]) for key in keys)), target.asarray(p["order"])
    state = initial_state(
        target.asarray(np.zeros((4, FEATURES))), target.asarray(np.zeros(4)), target.xp
    )
    epoch(state, data, order, Rule(), target.xp)  # compiles
    with target.forbid_sync(), cupy_on_cpu.count() as counted:
        epoch(state, data, order, Rule(), target.xp)
    assert counted["d2h"] == counted["synchronisations"] == 0
    assert sum(name == "perceptron_rows" for name in counted["kernels"]) == 1


def test_without_a_library_numpy_has_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    epoch_of("compiled")  # or it is not here
    assert select_epoch(np_xp, Rule()).__module__ == "xpnn.perceptron.compiled"
    monkeypatch.setenv("XPNN_COMPILED", "0")
    assert select_epoch(np_xp, Rule()).__module__ == "xpnn.perceptron.numpy"


@given(data=st.data())
def test_compiled_is_the_reference_on_any_rows(data: st.DataObject) -> None:
    """One row, one feature, no row, empty CSR rows, columns not in order; every rule."""
    epoch = epoch_of("compiled")
    rule = replace(
        data.draw(st.sampled_from(list(RULES.values()))),
        eta=data.draw(st.sampled_from([0.1, 1.0, 3.0])),
        sparse=data.draw(st.booleans()),
    )
    n, d, k = (data.draw(st.integers(low, high)) for low, high in ((0, 40), (1, 140), (1, 3)))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    x = rng.integers(-2, 3, (n, d)) * 0.1 * (rng.random((n, d)) < data.draw(st.floats(0, 1)))
    x = x.astype(dtype)
    if rule.sparse:
        x = scipy.sparse.csr_matrix(x)
        for i in range(n):  # each row from right to left
            row = slice(x.indptr[i], x.indptr[i + 1])
            x.indices[row], x.data[row] = x.indices[row][::-1].copy(), x.data[row][::-1].copy()
        x.has_sorted_indices = False
    samples = Data(
        x,
        rng.integers(0, 3, n).astype(np.int32),
        rng.integers(0, 3, n).astype(dtype),
        np.arange(k, dtype=np.int32),
        (rng.uniform(0.5, 2.0, (2, k)) ** data.draw(st.sampled_from([0, 1]))).astype(dtype),
    )
    order = rng.integers(0, n, data.draw(st.integers(0, 60))) if n else np.arange(0)
    start = initial_state(rng.integers(-1, 2, (k, d)).astype(dtype), np.zeros(k, dtype), np_xp)
    state, sums = epoch(start, samples, order, rule, np_xp)
    expected, counted = reference.epoch(start, samples, order, rule, np_xp)
    np.testing.assert_array_equal(sums, counted)
    for name in ("coef", "intercept", "norms", "clipped", "scale", "clip", "t"):
        np.testing.assert_array_equal(getattr(state, name), getattr(expected, name), name)
    atol = (1e-5 if dtype == "float32" else 1e-12) * (1.0 + np.abs(expected.coef).max())
    np.testing.assert_allclose(state.mean, expected.mean, rtol=0, atol=atol)


@pytest.mark.parametrize("override", ["reference", *OVERRIDES, "batches"])
def test_an_epoch_that_is_told_to_stop_has_learnt_its_first_rows(
    override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch, rule = epoch_of(override), Rule(average=True)
    monkeypatch.setattr(importlib.import_module("xpnn.perceptron.numpy"), "CHUNK", 40)
    monkeypatch.setattr(importlib.import_module("xpnn.perceptron.compiled"), "_AT_ONCE", 40 * 28)
    p, looks = problem(4), iter([False, False, True])
    data = Data(*(p[key] for key in ("x", "y", "weight", "labels", "class_weight")))
    start = initial_state(np.zeros((4, FEATURES)), np.zeros(4), np_xp)
    state, sums = epoch(start, data, p["order"], rule, np_xp, lambda: next(looks))
    learnt = {"compiled": 80, "numpy": 80}.get(override, 2)
    assert state.t == start.t + learnt
    expected, counted = epoch(start, data, p["order"][:learnt], rule, np_xp)
    np.testing.assert_array_equal(sums, counted)
    for name in ("coef", "intercept", "mean", "mean_intercept"):
        np.testing.assert_array_equal(getattr(state, name), getattr(expected, name), name)


def test_no_call_of_the_library_is_long() -> None:
    """Ctrl-C waits for a call: a few million weights, whatever the shape of the data."""
    from xpnn.perceptron.compiled import _parts

    for n, d, k in ((10**6, 54, 1), (10**5, 784, 10), (7, 10**6, 100), (1, 1, 1)):
        parts = _parts(n, d * k, np.broadcast_to(0.0, (n, d)))
        assert [first for first, _ in parts[1:]] == [last for _, last in parts[:-1]]
        assert (parts[0][0], parts[-1][1]) == (0, n)
        assert all((b - a) * d * k <= 1 << 21 or b - a == 1 for a, b in parts)
    x = scipy.sparse.csr_matrix((np.ones(500), np.arange(500), [0, *[0] * 499, 500]), (500, 9999))
    assert _parts(500, 9999, x) == [(0, 500)]
    assert _parts(0, 5, np.ones((0, 5))) == []


def test_state_weights_are_coef_times_scale() -> None:
    state = initial_state(np.ones((1, 2)), np.zeros(1), np_xp)._replace(scale=0.5)
    assert isinstance(state, State)
    np.testing.assert_array_equal(state.weights(np_xp), [[0.5, 0.5]])


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_compiled_permutation_is_the_same(
    n: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch_of("compiled")  # or it is not here
    found = permutation(n, seed)
    monkeypatch.setenv("XPNN_COMPILED", "0")
    np.testing.assert_array_equal(found, permutation(n, seed))


@pytest.mark.parametrize("n", [1, 2, 100])
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_permutation_names_each_row_once(n: int, seed: int) -> None:
    np.testing.assert_array_equal(np.sort(permutation(n, seed)), np.arange(n))
