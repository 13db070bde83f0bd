"""Steps of classes along a column of numbers, and what a classifier makes of them."""

import json

import numpy as np
import pytest
from shares import own

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.arrays.backend import to_numpy
from xpnn.blocks import Blocks
from xpnn.distributed import in_threads
from xpnn.tables.encoding import Encoding, fit_encoding
from xpnn.tables.frames import read_frame
from xpnn.tables.kinds import Numbers, Spread, Step
from xpnn.tables.ownrows import fit_encoding_together
from xpnn.tables.thresholds import FEWEST_ROWS, Classes, class_steps, member_steps
from xpnn.tabular.recipe import initial_parameters, make_network, make_recipe

RNG = np.random.default_rng(5)
N = 1500
X = RNG.normal(size=(N, 3))
STEP = np.partition(X[:, 0], (N - 101, N - 100))[[N - 101, N - 100]]  # 100 rows lie above
FLIPPED = (RNG.uniform(size=N) < 0.01) & (np.abs(X[:, 0] - STEP[0]) > 0.3)
CODES = ((X[:, 0] > STEP[0]) ^ FLIPPED).astype(int)
FOLDS = RNG.integers(0, 5, size=(2, N))
CLASSES = Classes(CODES, FOLDS, 5)


def steps_of(values, codes):
    order = np.argsort(values, kind="stable")
    return class_steps(values[order], codes[order])


def test_a_step_is_found_and_a_slope_is_none():
    assert steps_of(X[:, 0], CODES) == [tuple(STEP)]
    assert steps_of(X[:, 1], CODES) == []
    slope = RNG.uniform(size=N) < 1.0 / (1.0 + np.exp(-3.0 * X[:, 0]))
    assert steps_of(X[:, 0], slope.astype(int)) == []


def test_two_steps_in_any_order_of_rows_and_with_equal_values():
    whole = np.repeat(np.arange(60.0), 40)
    between = ((whole > 20) & (whole <= 40)).astype(int)
    mixed = RNG.permutation(len(whole))
    for order in (np.arange(len(whole)), mixed):
        assert steps_of(whole[order], between[order]) == [(20.0, 21.0), (40.0, 41.0)]
    trend = RNG.uniform(size=len(whole)) < whole / 60.0
    sorted_within = np.sort(trend.reshape(60, 40), axis=1).ravel()  # as a file may be
    assert steps_of(whole, sorted_within.astype(int)) == []


def entropy(codes):
    shares = np.bincount(codes) / len(codes)
    return -sum(p * np.log2(p) for p in shares if p > 0)


def worth(codes, cut, choices):
    """Fayyad and Irani's gain less its price, for one cut, from their formula."""
    parts = codes, codes[:cut], codes[cut:]
    n, k, bits = zip(*((len(p), len(set(p.tolist())), entropy(p)) for p in parts), strict=True)
    gain = bits[0] - (n[1] * bits[1] + n[2] * bits[2]) / n[0]
    about = np.log2(3.0 ** k[0] - 2) - sum(s * k[i] * bits[i] for i, s in enumerate((1, -1, -1)))
    return gain - (np.log2(choices) + about) / n[0]


def test_steps_are_those_of_the_formula():
    """The first cut of several classes, and none of what one cut takes more than it tells."""
    values = np.arange(400.0)
    codes = np.where(values < 130, RNG.integers(0, 3, 400), RNG.integers(1, 4, 400))
    best = max(range(1, 400), key=lambda cut: worth(codes, cut, 399))
    expected = [best] if worth(codes[best - 32 : best + 32], 32, 63) > 0 else []
    assert worth(codes, best, 399) > 0
    assert (best - 1.0, float(best)) in class_steps(values, codes) or not expected
    noise = np.tile([0, 1], 200)
    assert max(worth(noise, cut, 399) for cut in range(1, 400)) < 0
    assert class_steps(values, noise) == []


def test_few_rows_and_many_classes_tell_of_no_step():
    few = FEWEST_ROWS - 1
    folds = np.arange(few) % 2
    there = Classes((np.arange(few) > 300).astype(int), folds[None], 2)
    assert member_steps(np.arange(few, dtype=float), there) == ()
    folds = np.arange(9000) % 2
    assert member_steps(np.arange(9000.0), Classes(np.arange(9000) // 100, folds[None], 2)) == ()
    assert member_steps(np.zeros(N), CLASSES) == ()


def test_of_many_rows_some_are_looked_at():
    values = np.arange(50_000.0)
    (pair,) = class_steps(values, (values >= 7_000).astype(int))
    assert pair[0] < 7_000 <= pair[1]
    assert pair[1] - pair[0] < 5


def test_a_members_steps_do_not_depend_on_the_classes_of_its_fold():
    """Whatever these are: in each repeat, and of the others they do."""
    classes = Classes(CODES, FOLDS % 2, 2)
    found = member_steps(X[:, 0], classes)
    assert set().union(*(s.members for s in found)) == set(range(4))
    for member in (0, 3):
        repeat, fold = divmod(member, 2)
        held = classes.folds[repeat] == fold
        other = classes._replace(codes=np.where(held, X[:, 0] < -0.5, CODES))
        changed = member_steps(X[:, 0], other)
        assert changed != found
        for steps in (found, changed):
            own = [s[:2] for s in steps if member in s.members]
            assert own == steps_of(X[~held, 0], CODES[~held])


@pytest.mark.parametrize("periodic", [False, True])
def test_a_member_does_not_see_the_steps_of_others(periodic):
    members_see_their_own_steps(periodic)


@pytest.mark.long_to_compile
@pytest.mark.slow
def test_a_member_does_not_see_them_anywhere(target):
    members_see_their_own_steps(False, device=target.backend.name, dtype=target.dtype_name)


def members_see_their_own_steps(periodic, **where):
    """After training predictions are the same, whatever the inputs of others are."""
    quick = {"epochs": 1, "hidden": 4, "random_state": 0, **where}
    model = TabularClassifier(**quick, embedding="both" if periodic else "auto").fit(X, CODES)
    unseen, names = model.encoding_.unseen(5), model.encoding_.names
    steps = [i for i, name in enumerate(names) if " step from " in name]
    assert unseen[:, steps].any()
    assert not unseen[:, steps].all()
    assert not np.delete(unseen, steps, axis=1).any()
    x = model.encoding_.transform(read_frame(X))
    other = x.copy()
    other[:, steps] = 1.0 - other[:, steps]
    before, after = (model._predict_inputs(a, each=True) for a in (x, other))
    blind = unseen[:, steps].all(axis=1)
    assert (before != after).any(axis=(1, 2)).tolist() == (~blind).tolist()
    parts = model.network_.layout.by_layer(
        to_numpy(model._arrays["theta_0"]), np, len(model.network_.layers)
    )
    at = 1 if periodic else 0
    last = unseen.shape[1]
    for member, columns in enumerate(unseen):
        for i in range(-last, 0):
            zero = parts[at]["scale"][member, i] == 0.0
            assert zero == columns[i] == (parts[at + 1]["weight"][member, i] == 0.0).all()


def test_initial_parameters_are_zero_where_a_member_sees_nothing():
    network = make_network(make_recipe(900, None, None, True, True), 6, 2, 2, "softmax")
    unseen = np.zeros((5, 6), dtype=bool)
    unseen[3, 4] = True
    theta, _ = initial_parameters(network, 0, unseen)
    plain, _ = initial_parameters(network, 0)
    assert np.count_nonzero(theta != plain) == 1 + 64
    assert (theta[theta != plain] == 0.0).all()


def test_a_classifier_knows_steps_and_a_regression_has_none():
    """Next to nothing is wrong but the flipped rows, where one bin in eight is wide."""
    model = TabularClassifier(epochs=12, hidden=16, random_state=0).fit(X, CODES)
    columns = model.encoding_.columns
    assert any(s[:2] == tuple(STEP) for s in columns[0].steps)
    assert [len(c.edges) for c in columns] == [13] * 3
    assert [bool(c.steps) for c in columns] == [True, False, False]
    right = (X[:, 0] > STEP[0]) == (model.oof_prediction_[:, 1] > 0.5)
    assert right.mean() > 0.995
    new = np.random.default_rng(6).normal(size=(4000, 3))
    assert model.score(new, (new[:, 0] > STEP[0]).astype(int)) > 0.995
    other = TabularRegressor(epochs=1, hidden=8, random_state=0).fit(X, CODES.astype(float))
    assert not other.encoding_.columns[0].steps


def test_blocks_and_processes_know_the_same_steps():
    weight = np.ones(N)
    weight[:7] = 0.0
    quick = {"epochs": 1, "hidden": 4, "random_state": 0}
    model = TabularClassifier(**quick).fit(X, CODES, weight)
    blocks = TabularClassifier(**quick).fit(Blocks(X, CODES, weight, block_rows=400))
    assert blocks.encoding_ == model.encoding_
    assert model.encoding_.columns[0].steps
    names = {"a": X[:, 0], "b": X[:, 1]}
    alone = fit_encoding(read_frame(names), 8, None, CLASSES)

    def own(comm):
        here = slice(comm.rank * 500, (comm.rank + 1) * 500)
        frame = read_frame({name: column[here] for name, column in names.items()})
        return fit_encoding_together(frame, comm, 8, None, CLASSES.of_rows(here))

    assert alone.columns[0].steps
    assert in_threads(own, 3) == [alone] * 3


def test_processes_with_rows_of_their_own_come_to_one_model():
    """Folds are of all rows: whose steps a member has does not depend on how many they are."""

    def fitted(comm):
        model = TabularClassifier(epochs=1, hidden=4, random_state=0)
        return model.fit(own(comm, X), own(comm, CODES), comm=comm)

    one, *others = (m for p in (1, 3) for m in in_threads(fitted, p, rows="own"))
    assert one.encoding_.columns[0].steps
    for other in others:
        assert other.encoding_ == one.encoding_
        assert (other.oof_prediction_ == one.oof_prediction_).all()


def test_files_hold_steps_and_those_of_before_have_none(tmp_path):
    model = TabularClassifier(epochs=1, hidden=4, random_state=0).fit(X, CODES)
    xpnn.save(model, tmp_path / "model.xpnn")
    again = xpnn.load(tmp_path / "model.xpnn")
    assert again.encoding_ == model.encoding_
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    plain = json.loads(json.dumps(model.encoding_.to_dict()))
    assert Encoding.from_dict(plain) == model.encoding_
    del plain["columns"][0]["steps"]
    assert Encoding.from_dict(plain).columns[0].steps == ()
    old = object.__new__(Numbers)  # as a pickle of before fills it
    old.__dict__.update(name="a", style={}, spread=Spread(), flag=False, edges=(0.0, 1.0, 2.0))
    assert len(old.inputs[1]) == 2


@pytest.mark.parametrize(
    "step", [[1.0, 1.0, [0]], [0.0, 1.0, []], [0.0, 1.0, [-1]], ["a", 1.0, [0]]]
)
def test_a_file_with_other_steps_is_refused(step):
    column = Numbers("a", {}, Spread(0.0, 1.0), False, (0.0, 1.0, 2.0), (Step(0.0, 1.0, (0,)),))
    plain = json.loads(json.dumps(Encoding((column,)).to_dict()))
    assert Encoding.from_dict(plain).columns == (column,)
    plain["columns"][0]["steps"] = [step]
    with pytest.raises((ValueError, TypeError), match="the step"):
        Encoding.from_dict(plain)


def test_a_file_with_steps_of_members_that_are_not_there_is_refused(tmp_path):
    model = TabularClassifier(epochs=1, hidden=4, n_members=2, random_state=0).fit(X, CODES)
    column = model.encoding_.columns[0]
    object.__setattr__(column, "steps", (column.steps[0]._replace(members=(2,)), *column.steps[1:]))
    xpnn.save(model, tmp_path / "model.xpnn")
    with pytest.raises(xpnn.ModelFileError, match="other members"):
        xpnn.load(tmp_path / "model.xpnn")


def test_the_summary_names_steps():
    column = Numbers(
        "TSH",
        {},
        Spread(0.0, 1.0),
        True,
        (0.0, 1.0, 2.0),
        (Step(6.0, 6.1, (0, 1)), Step(6.05, 6.2, (2,)), Step(9.0, 9.5, (1,))),
    )
    model = TabularClassifier(epochs=1, hidden=4, random_state=0).fit(X, CODES)
    assert "classes change at once from " in model.summary()
    model.encoding_ = Encoding((column,))
    line = model.summary().splitlines()[0]
    where = "6 to 6.2 (3 of 5 members), 9 to 9.5 (1 of 5 members)"
    assert line == f"TSH  numbers, steps, gaps  classes change at once from {where}"
