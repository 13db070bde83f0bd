"""Embedding, scale and groups of parameters before and in the estimators' networks."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from mlp_extras import (
    EXTRAS,
    N_IN,
    TARGETS,
    N,
    X,
    assert_close,
    data,
    eager,
    estimator,
    host,
)
from sklearn.exceptions import ConvergenceWarning

from xpnn.network import Group, PeriodicEmbedding, Scale

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# -- embedding ---------------------------------------------------------------------------------


def test_an_embedding_and_a_scale_stand_before_the_layers():
    model = estimator(embedding="periodic").fit(X, TARGETS["multiclass"])
    embedding = PeriodicEmbedding(N_IN)
    assert model.network_.layers[:2] == (embedding, Scale(embedding.n_out))
    assert [w.shape for w in model.coefs_] == [(16, 6), (6, 5), (5, 3)]
    assert [b.shape for b in model.intercepts_] == [(6,), (5,), (3,)]
    assert (model.n_layers_, model.n_features_in_) == (4, N_IN)
    start = estimator(embedding="periodic").initialize(X, TARGETS["multiclass"])
    moved = {
        e.group: np.abs(model._state.theta - start._state.theta)[e.offset : e.offset + e.size].max()
        for e in model.network_.layout.entries
    }
    assert moved.keys() == {"embedding", "scale", "weight", "bias"}
    assert min(moved.values()) > 1e-3  # all of it learns


def test_it_sees_fine_steps():
    x = np.linspace(-3, 3, 400).reshape(-1, 1)
    y = np.sin(8 * x[:, 0])
    options = {"hidden_layer_sizes": (32,), "activation": "relu", "max_iter": 150}
    plain, embedded = (
        estimator("regression", embedding=e, **options).fit(x, y).score(x, y)
        for e in (None, "periodic")
    )
    assert plain < 0.3
    assert embedded > 0.8


def test_it_learns_by_lbfgs(target_any):
    x, y = data(target_any, "regression")
    model = estimator("regression", embedding="periodic", solver="lbfgs", max_iter=30)
    assert model.fit(x, y).loss_ < 0.2 * model.loss_curve_[0]
    assert model.score(x, y) > 0.9


@eager
@pytest.mark.parametrize(
    "options", [{"members": 2}, {"embedding": "periodic"}, EXTRAS], ids=["members", "waves", "all"]
)
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_sparse_rows_learn_what_dense_ones_do(target_any, kind, options):
    x, y = X * (X > 0), TARGETS[kind]
    device = {"device": target_any.backend.name, "dtype": target_any.dtype_name}
    options = {**options, **device, "input_dropout": 0.2, "early_stopping": True}
    dense, sparse = (estimator(kind, **options).fit(rows, y) for rows in (x, sp.csr_array(x)))
    tol = 1e3 * target_any.tol
    for a, b in zip(dense.coefs_, sparse.coefs_, strict=True):
        assert_close(b, a, tol)
    assert_close(sparse.predict(sp.csr_matrix(x)), dense.predict(x), tol)
    assert sparse.score(sp.csr_matrix(x), y) == pytest.approx(dense.score(x, y), rel=1e-6)


# -- groups ------------------------------------------------------------------------------------


@pytest.mark.long_to_compile
@pytest.mark.parametrize("members", [1, 2])
def test_groups_learn_at_rates_of_their_own(target, members):
    """After one step of gradient descent each has moved by its factor times what it would."""
    t, rates = target, {"weight": 0.5, "bias": 2.0, "scale": 3.0, "embedding": 0.0}
    x, y = data(t, "regression")
    options = {"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "batch_size": N, "max_iter": 1}
    options |= {"embedding": "periodic", "members": members}
    models = [
        estimator("regression", **options).initialize(x, y),
        estimator("regression", **options).fit(x, y),
        estimator("regression", **options, groups={k: Group(r) for k, r in rates.items()}).fit(
            x, y
        ),
    ]
    start, plain, found = host(t, [m._state.theta for m in models])
    for e in models[0].network_.layout.entries:
        at = slice(e.offset, e.offset + e.size)
        expected = rates[e.group] * (plain - start)[at]
        largest = np.abs(start[at]).max() + np.abs(expected).max()
        np.testing.assert_allclose((found - start)[at], expected, rtol=0, atol=10 * t.tol * largest)
        assert np.abs((plain - start)[at]).max() > 1e-6


def test_groups_penalize_and_decay():
    y = TARGETS["regression"]
    for options, group in (
        ({"alpha": 50.0}, Group(penalty=1.0)),
        ({"solver": "adamw", "weight_decay": 50.0, "alpha": 0.0}, Group(decay=1.0)),
        ({"max_norm": 0.1, "alpha": 0.0}, Group(max_norm=1.0)),
    ):
        options = {"max_iter": 60, **options}
        free = estimator("regression", groups={"weight": Group()}, **options).fit(X, y)
        held = estimator("regression", groups={"weight": group}, **options).fit(X, y)
        default = estimator("regression", **options).fit(X, y)
        sizes = [np.abs(m.coefs_[0]).max() for m in (free, held, default)]
        assert sizes[1] < 0.5 * sizes[0]
        assert_close(sizes[1], sizes[2], 1e-6)  # what weights do if nothing is said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"scale": Group()}}, r"groups names 'scale'.* in the groups weight, bias: "),
        (
            {"groups": {"wieght": Group()}, "embedding": "periodic"},
            r"groups names 'wieght', .* in the groups embedding, weight, bias, scale: name one",
        ),
        (
            {"groups": {"bias": 0.5}},
            r"groups\['bias'\] is 0.5, expected a Group: pass Group\(...\)",
        ),
        ({"groups": [Group()]}, "The 'groups' parameter of MLPClassifier must be an instance of"),
        ({"groups": {"bias": Group(0.1)}, "solver": "lbfgs"}, r"groups\['bias'\] has a learning"),
        ({"members": 0}, "The 'members' parameter of MLPClassifier must be an int in the range"),
        ({"members": 1.5}, "The 'members' parameter of MLPClassifier must be an int in the range"),
        ({"embedding": "waves"}, r"The 'embedding' parameter .* must be a str among {'periodic'}"),
        ({"embedding": True}, r"The 'embedding' parameter .* must be a str among {'periodic'}"),
    ],
)
def test_what_they_cannot_be_is_told(options, message):
    y = TARGETS["multiclass"]
    model = estimator().fit(X, y)
    expected = model.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        model.set_params(**options).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_by_lbfgs_groups_say_what_is_penalized():
    y = TARGETS["regression"]
    options = {"solver": "lbfgs", "alpha": 100.0, "max_iter": 50}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        free = estimator("regression", groups={"weight": Group()}, **options).fit(X, y)
        held = estimator("regression", **options).fit(X, y)
    assert np.abs(held.coefs_[0]).max() < 0.1 < np.abs(free.coefs_[0]).max()
