"""The same network everywhere: five epochs from one seed on every target, beside NumPy's."""

import numpy as np
import pytest
from configurations import CONFIGURATIONS, EPOCHS, compare, reference
from scripts import load_script
from targets import TABLE

from xpnn.optimizers import OPTIMIZERS

parity = load_script("ci/parity.py")

pytestmark = pytest.mark.own_context


@pytest.mark.usefixtures("optimized")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_training_equals_numpys(target, name):
    faults = compare(name, target).faults(name, target.dtype_name)
    assert not faults


def test_the_configurations_are_all_there():
    wanted = {"classifier", "regressor", "multilabel", "dropout", "class weights", "perceptron"}
    assert wanted <= CONFIGURATIONS.keys()
    assert {f"optimizer {name}" for name in OPTIMIZERS} <= CONFIGURATIONS.keys()
    assert {"batch normalization", "layer normalization"} <= CONFIGURATIONS.keys()


def test_the_reference_trains():
    """What is compared is no constant: weights move, orders differ, masks drop."""
    found = reference("dropout", "float64")
    assert len(found.orders) == EPOCHS
    assert found.orders[0] != found.orders[1]
    assert sorted(found.orders[0]) == list(range(len(found.orders[0])))
    assert found.losses[-1] < found.losses[0]
    assert len(found.masks) == 3 * 5 * EPOCHS
    assert 0.1 < np.mean([mask.mean() for mask in found.masks]) < 0.9
    exact = reference("perceptron", "float32")
    assert np.array_equal(exact.weights, reference("perceptron", "float64").weights)
    first, second = np.sort(exact.scores, axis=1)[:, :-3:-1].T
    assert (first > second).all()  # no tie


@pytest.mark.targets("numpy")
@pytest.mark.dtypes("float32")
def test_another_seed_is_seen(target, monkeypatch):
    reference("classifier", "float32")
    monkeypatch.setattr("configurations.SEED", 4)
    faults = " ".join(compare("classifier", target).faults("classifier", "float32"))
    for kind in ("weights", "losses", "gradient", "same_orders", "bulk"):
        assert kind in faults


def test_the_published_table_is_complete_and_clean():
    text = parity.FILE.read_text()
    assert parity.BAD not in text.partition("##")[2]
    for name in CONFIGURATIONS:
        assert text.count(f"\n| {name} |") == 2, f"{name} is missing: run ci/parity.py"
    computed = [name for name, row in TABLE.items() if row.gpu is None]
    assert all(f" {name} " in text for name in computed)
