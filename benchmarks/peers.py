"""The same training work through each library: `run(epochs)` trains from the start."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from workloads import Workload

LEARNING_RATE = 0.001
Peer = Callable[[int], Callable[[np.ndarray], np.ndarray]]
"""Trains for so many epochs and returns a classifier of rows."""


def orders(rows: int, epochs: int) -> list[np.ndarray]:
    """The order of the rows in each epoch: the one that xpnn draws from seed 0."""
    from xpnn.estimators._settings import draw_seed
    from xpnn.random import SHUFFLE, host_generator

    seed = draw_seed(0)
    return [host_generator(seed, SHUFFLE, e).permutation(rows) for e in range(epochs)]


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _estimator(cls: Any, work: Workload, epochs: int, **more: Any) -> Any:
    return cls(
        work.sizes[1:-1],
        batch_size=work.batch,
        alpha=0.0,
        learning_rate_init=LEARNING_RATE,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=np.inf,
        random_state=0,
        **more,
    )


def xpnn(
    work: Workload, device: str | None = None, compiled: str = "1", steps: str = "launches"
) -> Peer:
    """xpnn's public estimator; `steps` are those on CuPy, see `xpnn.steps.cuda.choice`."""
    from xpnn import MLPClassifier

    x, y = work.data()
    if device:
        from xpnn import get_backend

        x = get_backend(device).asarray(x)

    def run(epochs: int) -> Any:
        model = _estimator(MLPClassifier, work, epochs, dropout=work.dropout)
        asked = environment(XPNN_COMPILED=compiled, XPNN_CUDA_STEPS=steps)
        with asked, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.fit(x, y).predict

    return run


def xpnn_numpy(work: Workload) -> Peer:
    """The same on NumPy alone."""
    return xpnn(work, compiled="0")


def sklearn(work: Workload) -> Peer:
    """scikit-learn's MLPClassifier; it has no dropout."""
    from sklearn.neural_network import MLPClassifier

    x, y = work.data()

    def run(epochs: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _estimator(MLPClassifier, work, epochs).fit(x, y).predict

    return run


def torch(work: Workload, device: str = "cpu", kind: str = "eager") -> Peer:
    """PyTorch: a Sequential, CrossEntropyLoss and the fused Adam; eager, compiled or a graph."""
    import torch as t

    x, y = (t.from_numpy(a).to(device) for a in work.data())

    def run(epochs: int) -> Any:
        t.manual_seed(0)
        layers: list[Any] = []
        for a, b in pairwise(work.sizes):
            layers += [t.nn.Linear(a, b), t.nn.ReLU()]
            layers += [t.nn.Dropout(work.dropout)] if work.dropout else []
        model = t.nn.Sequential(*layers[: -2 if work.dropout else -1]).to(device)
        about = {"lr": LEARNING_RATE, "fused": True, "capturable": kind == "graph"}
        adam = t.optim.Adam(model.parameters(), **about)
        loss = t.nn.CrossEntropyLoss()

        def step(rows: Any) -> Any:
            adam.zero_grad(set_to_none=True)
            value = loss(model(x[rows]), y[rows])
            value.backward()
            adam.step()
            return value.detach()

        if kind != "eager":
            step = t.compile(step) if kind == "compile" else _as_graphs(step)
        for order in orders(work.rows, epochs):
            on_device = t.from_numpy(order).to(device)
            total = t.zeros((), device=device)
            for start in range(0, work.rows, work.batch):
                total += step(on_device[start : start + work.batch])
            float(total)  # an epoch's loss, as the others report it

        def predict(rows: np.ndarray) -> np.ndarray:
            model.eval()
            with t.no_grad():
                return np.asarray(model(t.from_numpy(rows).to(device)).argmax(1).cpu())

        return predict

    return run


def _as_graphs(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A step of rows as a CUDA graph for each number of them; as it is where there is no GPU."""
    import torch as t

    made: dict[int, tuple[Any, Any, Any]] = {}

    def replay(rows: Any) -> Any:
        if not rows.is_cuda:
            return step(rows)
        if len(rows) not in made:
            place, side, graph = rows.clone(), t.cuda.Stream(), t.cuda.CUDAGraph()
            side.wait_stream(t.cuda.current_stream())
            with t.cuda.stream(side):  # what PyTorch asks for before a capture; these train, too
                for _ in range(3):
                    step(place)
            t.cuda.current_stream().wait_stream(side)
            with t.cuda.graph(graph):
                value = step(place)
            made[len(rows)] = place, graph, value
        place, graph, value = made[len(rows)]
        place.copy_(rows)
        graph.replay()
        return value

    return replay


def torch_compile(work: Workload) -> Peer:
    """PyTorch with its step compiled."""
    return torch(work, kind="compile")


def jax(work: Workload) -> Peer:
    """JAX: one jitted step, parameters and moments donated."""
    import jax as j
    import jax.numpy as jnp

    x, y = (jnp.asarray(a) for a in work.data())
    last = len(work.sizes) - 2

    def logits(params: Any, rows: Any, key: Any) -> Any:
        for i, (w, b) in enumerate(params):
            rows = rows @ w + b
            if i < last:
                rows = j.nn.relu(rows)
                if key is not None:
                    key, draw = j.random.split(key)
                    kept = j.random.bernoulli(draw, 1.0 - work.dropout, rows.shape)
                    rows = jnp.where(kept, rows / (1.0 - work.dropout), 0.0)
        return rows

    def loss(params: Any, rows: Any, labels: Any, key: Any) -> Any:
        log_p = j.nn.log_softmax(logits(params, rows, key))
        return -jnp.take_along_axis(log_p, labels[:, None], axis=1).mean()

    def step(params: Any, m: Any, v: Any, t: Any, rows: Any, key: Any) -> Any:
        key, draw = j.random.split(key) if work.dropout else (key, None)
        value, g = j.value_and_grad(loss)(params, x[rows], y[rows], draw)
        t = t + 1.0
        rate = LEARNING_RATE * jnp.sqrt(1.0 - 0.999**t) / (1.0 - 0.9**t)
        tree = j.tree_util.tree_map
        m = tree(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = tree(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        params = tree(lambda p, a, b: p - rate * a / (jnp.sqrt(b) + 1e-8), params, m, v)
        return value, params, m, v, t, key

    jitted = j.jit(step, donate_argnums=(0, 1, 2, 3, 5))

    def run(epochs: int) -> Any:
        rng = np.random.default_rng(0)
        params = [
            (
                jnp.asarray(rng.uniform(-1, 1, (a, b)) * (6 / (a + b)) ** 0.5, dtype=jnp.float32),
                jnp.zeros(b, dtype=jnp.float32),
            )
            for a, b in pairwise(work.sizes)
        ]
        m, v = (j.tree_util.tree_map(jnp.zeros_like, params) for _ in range(2))
        t, key = jnp.zeros(()), j.random.key(0)
        for order in orders(work.rows, epochs):
            total = 0.0
            for start in range(0, work.rows, work.batch):
                rows = order[start : start + work.batch]
                value, params, m, v, t, key = jitted(params, m, v, t, rows, key)
                total = total + value
            float(total)
        return lambda rows: np.asarray(logits(params, rows, None).argmax(1))

    return run


def products(work: Workload) -> Peer:
    """The limit: the matrix products of each step, alone, through NumPy's BLAS."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal(shape, dtype=np.float32)  # noqa: E731
    weights = [draw(a, b) for a, b in pairwise(work.sizes)]
    grads = [np.empty_like(w) for w in weights]

    def one(rows: int) -> Callable[[], None]:
        a = [draw(rows, n) for n in work.sizes]
        calls: list[tuple[Any, Any, Any]] = []
        calls += [(a[i], w, np.empty_like(a[i + 1])) for i, w in enumerate(weights)]
        for i in reversed(range(len(weights))):
            calls.append((a[i].T, a[i + 1], grads[i]))
            if i:
                calls.append((a[i + 1], weights[i].T, np.empty_like(a[i])))

        def step(matmul: Any = np.matmul, calls: Any = tuple(calls)) -> None:
            for p, q, out in calls:
                matmul(p, q, out)

        return step

    full, short = one(work.batch), one(work.rows % work.batch or 1)

    def run(epochs: int) -> Any:
        for _ in range(epochs):
            for _ in range(work.rows // work.batch):
                full()
            if work.rows % work.batch:
                short()
        return None

    return run


PEERS: dict[str, Callable[..., Peer]] = {
    "xpnn": xpnn,
    "xpnn-numpy": xpnn_numpy,
    "sklearn": sklearn,
    "torch": torch,
    "torch-compile": torch_compile,
    "jax": jax,
    "products": products,
}
ON_GPU: dict[str, Callable[..., Peer]] = {
    "xpnn": xpnn,
    "xpnn-graph": partial(xpnn, steps="graph"),
    "xpnn-whole": partial(xpnn, steps="whole"),
    "torch": torch,
    "torch-compile": partial(torch, kind="compile"),
    "torch-graph": partial(torch, kind="graph"),
}
"""Those that take a device."""
DEFAULT = ("xpnn", "xpnn-numpy", "sklearn", "torch", "jax", "products")


def make(name: str, work: Workload, device: str | None) -> Any:
    """A peer ready to run."""
    if device and name.startswith("torch"):
        device = "cuda:" + (device.partition(":")[2] or "0") if device != "cpu" else device
    return ON_GPU[name](work, device=device) if device else PEERS[name](work)


def accuracy(predict: Any, work: Workload, device: str | None) -> float:
    """On the rows trained on."""
    from xpnn.backends import get_backend, to_numpy

    x, y = work.data()
    rows = get_backend(device).asarray(x) if device else x
    return float((to_numpy(predict(rows)) == y).mean())
