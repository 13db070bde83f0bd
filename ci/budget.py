#!/usr/bin/env python3
"""What a training step and a first fit ask of an array library, against the budget in budget.json.

    python ci/budget.py            compare; exit status 1 if anything has risen
    python ci/budget.py --write    also write down what has fallen

Array API calls are counted on array-api-strict; kernel launches, products and copies on CuPy, where
it runs on its host double (CUPY_ON_CPU=1, see ci/cupy_on_cpu). Each number is the difference
between an epoch of four steps and one of two, so that nothing but steps is counted. Kernels are
counted that a process with an empty cache compiles for a first fit, and for a prediction after it.
A budget may only fall: to let one rise, edit budget.json by hand and say why in the commit.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from xpnn.activations import ACTIVATIONS
from xpnn.backends import get_backend
from xpnn.data import Dataset
from xpnn.losses import LOSSES, get_loss
from xpnn.model.normalization import KINDS
from xpnn.network import Network, PeriodicEmbedding, Scale, multilayer_perceptron
from xpnn.optimizers import OPTIMIZERS, Adam
from xpnn.state import TrainingConfig, TrainingState
from xpnn.tabular import recipe
from xpnn.training import loop as training

FILE = Path(__file__).with_name("budget.json")
BATCH, SIZES = 32, (64, 48, 32, 10)


@dataclass(frozen=True)
class Step:
    """What differs from two hidden layers of ReLU, Adam and softmax cross-entropy."""

    network: Mapping[str, Any] = field(default_factory=dict)  # of `multilayer_perceptron`
    config: Mapping[str, Any] = field(default_factory=dict)
    loss: str = "softmax_cross_entropy"
    first: str = ""  # a layer before the dense ones
    sizes: tuple[int, ...] = SIZES
    weighted: bool = False


# Five members with rows of their own, embedded numbers, a scale and dropout: the tabular model's,
# and so what `xpnn train` does.
TABULAR = "tabular"
_DROPS = {"dropout": 0.5, "input_dropout": 0.1}
_EVERYTHING = {"clip_norm": 1.0, "max_norm": 2.0, "l1": 1e-4, "l2": 1e-4}
STEPS = {
    "dropout": Step({"dropout": 0.5}),
    "no dropout": Step(),
    "dropout and L2 penalty": Step({"dropout": 0.5}, {"l2": 1e-4}),
    TABULAR: Step(),
    **{
        f"activation {name}, dropout, input dropout": Step({"activation": name, **_DROPS})
        for name, activation in ACTIVATIONS.items()
        if activation.differentiable
    },
    **{f"loss {name}": Step(loss=name) for name in LOSSES},
    **{f"loss {name}, weights": Step(loss=name, weighted=True) for name in LOSSES},
    **{
        f"optimizer {name}": Step(config={"optimizer": make(), "l2": 1e-4})
        for name, make in OPTIMIZERS.items()
    },
    "input dropout": Step({"input_dropout": 0.1}),
    "clip_norm": Step(config={"clip_norm": 1.0}),
    "max_norm": Step(config={"max_norm": 2.0}),
    "L1 penalty": Step(config={"l1": 1e-4}),
    "every rule, weights": Step(_DROPS, _EVERYTHING, weighted=True),
    **{f"{kind} normalization": Step({"normalization": kind, **_DROPS}) for kind in KINDS},
    "embedding": Step(first="embedding"),
    "scale": Step(first="scale"),
    "members": Step({"members": 5, **_DROPS}),
    "members, every rule, weights": Step({"members": 5, **_DROPS}, _EVERYTHING, weighted=True),
    "six hidden layers, batch normalization, every rule": Step(
        {"normalization": "batch", **_DROPS}, _EVERYTHING, sizes=(64, 48, 40, 32, 24, 20, 16, 10)
    ),
}
_FEW = "hidden_layer_sizes=(8, 8), max_iter=2"
_DROP = f"activation='gelu', dropout=0.2, {_FEW}"
_TABLE = "device='cupy:0', hidden=(8, 8), epochs=4"
FIRST_FITS = {
    "classifier": f"MLPClassifier({_DROP}).fit(X, classes)",
    "regressor": f"MLPRegressor({_DROP}).fit(X, X[:, 0])",
    "classifier, stopped early": f"MLPClassifier(early_stopping=True, {_FEW}).fit(X, classes)",
    "regressor, stopped early": f"MLPRegressor(early_stopping=True, {_FEW}).fit(X, X[:, 0])",
    "tabular classifier": f"TabularClassifier({_TABLE}).fit(X := host, classes)",
    "tabular regressor": f"TabularRegressor({_TABLE}).fit(X := host, host[:, 0])",
    "perceptron": "Perceptron(max_iter=2).fit(X, classes)",
}
COMPILED = ("kernels compiled by fit", "kernels compiled by predict")
_FIRST_FIT = """
import warnings
warnings.simplefilter("ignore")
import cupy, numpy as np
from cupy.cuda import compiler
compile, sources = compiler._compile_using_nvrtc_no_warning, []
def counting(source, *args, **kwargs):
    sources.append(source)
    return compile(source, *args, **kwargs)
compiler._compile_using_nvrtc_no_warning = counting
import xpnn
rng = np.random.default_rng(0)
host = rng.normal(size=(200, 10)).astype(np.float32)
X, classes = cupy.asarray(host), rng.integers(0, 3, 200)
model = xpnn.FIT
fitted = len(sources)
model.predict(X)
print(fitted, len(sources) - fitted)
"""
STRICT, CUPY = "array_api_strict:device1", "cupy:0"
COUNTERS = {
    "kernel launches": "launches",
    "matrix products": "gemms",
    "memsets": "memsets",
    "copies on the device": "d2d",
    "copies to the device": "h2d",
    "copies to the host": "d2h",
    "waits": "synchronisations",
}
# Looking at an array is no call.
ATTRIBUTES = {"dtype", "device", "ndim", "shape", "size", "T", "mT", "__array_namespace__"}


def train_tabular(spec: str, steps: int) -> None:
    """The same with the tabular model's network, groups and optimizer."""
    backend, rng = get_backend(spec), np.random.default_rng(0)
    made = recipe.make_recipe(BATCH * steps, 5, SIZES[1:3], True, True)
    network = recipe.make_network(made, SIZES[0], 8, SIZES[-1], "softmax")
    config = TrainingConfig(
        get_loss("softmax_cross_entropy"),
        recipe.make_optimizer(),
        epochs=1,
        batch_size=BATCH,
        groups=recipe.groups_of(network),
    )
    theta, buffers = (
        backend.asarray(a, dtype="float32") for a in recipe.initial_parameters(network, 0)
    )
    n = BATCH * steps
    x, y = rng.normal(size=(n + 9, SIZES[0])), rng.integers(0, SIZES[-1], n + 9)
    with backend.device_context():
        moments = config.optimizer.init(theta, backend.xp)
    rows = np.stack([rng.permutation(n + 9)[:n] for _ in range(5)], axis=1)
    data = Dataset(x, y, None, backend, backend.xp.float32, rows=rows)
    training.train(network, TrainingState(theta, buffers, moments, seed=0), data, config)


def train(spec: str, step: str, steps: int) -> None:
    """One epoch of so many steps."""
    if step == TABULAR:
        train_tabular(spec, steps)
        return
    made, n = STEPS[step], BATCH * steps
    backend, rng = get_backend(spec), np.random.default_rng(0)
    network = network_of(made)
    config = TrainingConfig(
        get_loss(made.loss),
        **{"optimizer": Adam(), "epochs": 1, "batch_size": BATCH, **made.config},
    )
    theta, buffers = (backend.asarray(a, dtype="float32") for a in network.init(0))
    x, y = rng.normal(size=(n, made.sizes[0])), rng.integers(0, 2, (n, made.sizes[-1]))
    y = y.argmax(axis=1) if made.loss == "softmax_cross_entropy" else y.astype(np.float32)
    weight = rng.uniform(0.5, 2.0, n) if made.weighted else None
    with backend.device_context():
        moments = config.optimizer.init(theta, backend.xp)
    data = Dataset(x, y, weight, backend, backend.xp.float32)
    training.train(network, TrainingState(theta, buffers, moments, seed=0), data, config)


def network_of(step: Step) -> Network:
    """The network of a step, with a first layer of its own if it names one."""
    sizes = step.sizes
    first = {
        "": (),
        "scale": (Scale(sizes[0]),),
        "embedding": (PeriodicEmbedding(sizes[0], passed=sizes[0] - 8),),
    }[step.first]
    wide = (first[0].n_out, *sizes[1:]) if first else sizes
    network = multilayer_perceptron(wide, **step.network)
    return replace(network, layers=(*first, *network.layers))


def strict_calls(run: Callable[[], None]) -> Counter[str]:
    """Calls from outside into array-api-strict, by name."""
    import array_api_strict

    home = str(Path(array_api_strict.__file__).parent)
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(home):
            caller, name = frame.f_back, frame.f_code.co_name
            outside = caller is None or not caller.f_code.co_filename.startswith(home)
            if outside and name not in ATTRIBUTES and not name.startswith("<"):
                calls[name] += 1

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


def cupy_counts(run: Callable[[], None]) -> Counter[str]:
    """What the host double's counters say."""
    import cupy_on_cpu

    with cupy_on_cpu.count() as counts:
        run()
    return Counter({name: counts[key] for name, key in COUNTERS.items()})


def per_step(
    count: Callable[[Callable[[], None]], Counter[str]], spec: str, step: str
) -> dict[str, int]:
    """What one more step adds."""
    train(spec, step, steps=2)  # kernels are made in a process's first
    two, four = (count(lambda n=n: train(spec, step, steps=n)) for n in (2, 4))
    assert all((four[k] - two[k]) % 2 == 0 for k in four), (two, four)
    return {name: (four[name] - two[name]) // 2 for name in four}


def first_fit(fit: str, cache: str) -> dict[str, int]:
    """How many kernels a new process compiles, whose CuPy keeps them in the folder `cache`."""
    environment = os.environ | {"CUPY_CACHE_DIR": cache}
    environment.pop("CUPY_ON_CPU_CAPTURE", None)  # which compiles in another way
    command = [sys.executable, "-c", _FIRST_FIT.replace("FIT", FIRST_FITS[fit])]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return dict(zip(COMPILED, map(int, done.stdout.split()), strict=True))


def row_of(fit: str) -> str:
    """The name of a first fit's row in the budget."""
    return f"first fit: {fit}"


def on_host_double() -> bool:
    """Whether CuPy is here and counts."""
    spec = importlib.util.find_spec("cupy_on_cpu")
    if spec is None or spec.origin is None:  # the folder beside this file is no package
        return False
    import cupy_on_cpu

    return cupy_on_cpu._library is not None


def measure() -> dict[str, dict[str, int]]:
    """Every number that can be had here."""
    found: dict[str, dict[str, int]] = {}
    for step in STEPS:
        found[step] = {"array API calls": sum(per_step(strict_calls, STRICT, step).values())}
        if on_host_double():
            found[step] |= per_step(cupy_counts, CUPY, step)
    for fit in FIRST_FITS if on_host_double() else ():
        with tempfile.TemporaryDirectory() as cache:
            found[row_of(fit)] = first_fit(fit, cache)
    return found


def risen(found: dict[str, dict[str, int]], budget: dict[str, dict[str, int]]) -> list[str]:
    """A line for each number above its budget."""
    return [
        f"{step}: {name}: {number}, budget {budget.get(step, {}).get(name, 0)}"
        for step, numbers in found.items()
        for name, number in numbers.items()
        if number > budget.get(step, {}).get(name, 0)
    ]


def written(budget: dict[str, dict[str, int]]) -> str:
    """The file's text: a line a step."""
    lines = [f"  {json.dumps(step)}: {json.dumps(numbers)}" for step, numbers in budget.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    """Print what was found beside the budget."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write down what has fallen")
    arguments = parser.parse_args()
    budget: dict[str, dict[str, int]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    found = measure()
    for step, numbers in found.items():
        print(f"{step}:" if step.startswith("first") else f"one step, {step}:")
        for name, number in numbers.items():
            print(f"  {name:27} {number:4}   budget {budget.get(step, {}).get(name, 'none')}")
    if not on_host_double():
        print("CuPy was not counted: it is not on its host double here")
    over = risen(found, budget) if budget else []
    print(*(f"RISEN: {line}" for line in over), sep="\n", end="\n" if over else "")
    if arguments.write and not over:
        for step, numbers in found.items():
            budget[step] = {**budget.get(step, {}), **numbers}
        FILE.write_text(written(budget))
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
