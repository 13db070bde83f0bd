"""Runs tests on every library and device asked for: `pytest --device=numpy,torch:cpu`.

Fixtures
--------
target
    A `targets.Target`, once for each target and each of its dtypes.
target_any
    The same with the target's widest dtype only, where the dtype does not matter.

A test may ask for less: `@pytest.mark.dtypes("float64")`, `@pytest.mark.targets("numpy")`.
Tests of code that makes its device current itself (estimators, training) are marked
`@pytest.mark.own_context`; for all others the fixture does.

The daily run and CI's
----------------------
CI passes `--slow` and runs everything. The daily run leaves out what is marked
`@pytest.mark.slow` (it takes a second or more of the processor and seldom fails alone), takes one
of about k cases of what is marked `@pytest.mark.sampled(k)` (long lists of cases that fail
together; the same ones every day), and draws fewer examples of a property.

What runs once and not everywhere
---------------------------------
`@pytest.mark.long_to_compile`: JAX compiles it for seconds, and there it runs in the widest dtype
alone: the code of the other is that of `strict:no_x64`, which runs it. `@pytest.mark.libraries`:
has no target and looks at the libraries that are here, so CI runs it beside CuPy once more.
"""

import gc
import importlib
import os
import signal
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))
# JAX would take most of a GPU's memory from the libraries tested beside it.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ["MPLBACKEND"] = "agg"  # pictures are drawn and not shown
# Processes that share the cores, as xdist's workers, wait for one another in BLAS's threads: that
# doubles the time of a run on two cores. Said before NumPy is imported.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(max(1, (os.cpu_count() or 1) // workers)))

from processes import Processes
from targets import TABLE, Target, running, why_not

CHOSEN = pytest.StashKey[list[str]]()
SKIPPED = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        action="append",
        metavar="NAME[,NAME]",
        help=f"run on these targets only: {', '.join(TABLE)}, or all (default: all usable here, or "
        "those in XPNN_TEST_DEVICES). A target that is named and not usable is an error.",
    )
    parser.addoption("--slow", action="store_true", help="run everything, as CI does")


def pytest_configure(config: pytest.Config) -> None:
    pytest.register_assert_rewrite("commands", "mistakes", "steps_alike")
    # A shell's background job ignores Ctrl-C; here it is tested.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "dtypes(*names): run on these dtypes of a target only")
    config.addinivalue_line("markers", "targets(*names): run on these targets only")
    config.addinivalue_line("markers", "own_context: the code tested makes the device current")
    config.addinivalue_line("markers", "slow: takes a second or more, and CI alone needs it")
    config.addinivalue_line("markers", "sampled(k): one of about k cases, but in CI")
    config.addinivalue_line("markers", "long_to_compile: on JAX in the widest dtype alone")
    config.addinivalue_line("markers", "libraries: has no target, and looks at which are here")
    config.addinivalue_line("markers", "draws: the command draws its learning curve")
    examples = 100 if config.getoption("--slow") else 20
    settings.register_profile("xpnn", max_examples=examples, deadline=None, derandomize=True)
    settings.load_profile("xpnn")
    words = config.getoption("--device") or [os.environ.get("XPNN_TEST_DEVICES", "")]
    named = [name.strip() for word in words for name in word.split(",") if name.strip()]
    config.stash[SKIPPED] = {}
    if named and named != ["all"]:
        for name in named:
            if name not in TABLE:
                raise pytest.UsageError(f"--device={name}: unknown; there are {', '.join(TABLE)}")
            reason = why_not(TABLE[name])
            if reason:
                raise pytest.UsageError(f"--device={name} was named and is not usable: {reason}")
        config.stash[CHOSEN] = [name for name in TABLE if name in named]
        return
    reasons = {name: why_not(row) for name, row in TABLE.items()}
    config.stash[CHOSEN] = [name for name, reason in reasons.items() if not reason]
    config.stash[SKIPPED] = {name: reason for name, reason in reasons.items() if reason}


def pytest_report_header(config: pytest.Config) -> list[str]:
    skipped = [f"  not on {name}: {reason}" for name, reason in config.stash[SKIPPED].items()]
    return [f"targets: {', '.join(config.stash[CHOSEN])}", *skipped]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Thousands of tests are made and none is let go: looking for garbage takes a third of it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def daily(item: pytest.Item, seen: set[object]) -> bool:
    """Whether the daily run takes a test; the first case of each is always taken."""
    if item.get_closest_marker("slow"):
        return False
    sampled = item.get_closest_marker("sampled")
    test = getattr(item, "function", item)
    if sampled is None or test not in seen:
        seen.add(test)
        return True
    return zlib.crc32(item.nodeid.encode()) % sampled.args[0] == 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        seen: set[object] = set()
        taken = [daily(item, seen) for item in items]
        left = [item for item, take in zip(items, taken, strict=True) if not take]
        items[:] = [item for item, take in zip(items, taken, strict=True) if take]
        config.hook.pytest_deselected(items=left)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture in ("target", "target_any"):
        if fixture not in metafunc.fixturenames:
            continue
        names, dtypes, wanted = metafunc.config.stash[CHOSEN], None, TABLE
        for mark in metafunc.definition.iter_markers("targets"):  # a module's and the test's
            wanted = [name for name in wanted if name in mark.args]
        names = [name for name in names if name in wanted]
        for mark in metafunc.definition.iter_markers("dtypes"):
            dtypes = mark.args
        long = metafunc.definition.get_closest_marker("long_to_compile") is not None
        pairs = []
        for name in names:
            has = [d for d in TABLE[name].dtypes if dtypes is None or d in dtypes]
            widest = fixture == "target_any" or (long and TABLE[name].module == "jax")
            pairs += [(name, dtype) for dtype in (has[:1] if widest else has)]
        ids = ["-".join(pair) for pair in pairs]
        if not pairs:
            reason = f"only for {', '.join(wanted)}" + (
                f" in {', '.join(dtypes)}" if dtypes else ""
            )
            pairs, ids = [pytest.param(None, marks=pytest.mark.skip(reason=reason))], ["none"]
        metafunc.parametrize(fixture, pairs, ids=ids, indirect=True)


@pytest.fixture(scope="session")
def chosen(pytestconfig: pytest.Config) -> list[str]:
    """The names of all targets of this run."""
    return pytestconfig.stash[CHOSEN]


@pytest.fixture
def torch(chosen: list[str]) -> ModuleType:
    """PyTorch, where the run is on it too: its import takes longer than most tests."""
    if not any(name.startswith("torch") for name in chosen):
        pytest.skip("PyTorch is not among the targets of this run")
    return importlib.import_module("torch")


@pytest.fixture
def optimized(chosen: list[str]) -> Iterator[None]:
    """JAX's programs as users run them, where numbers are compared: ci/test.sh has others plain."""
    if not any(name.startswith("jax") for name in chosen):
        yield
        return
    config, name = importlib.import_module("jax").config, "jax_disable_most_optimizations"
    before = config.read(name)
    config.update(name, False)
    yield
    config.update(name, before)


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Processes for scripts that would spoil this one, or be spoilt by it."""
    made = Processes(tmp_path_factory.mktemp("processes"))
    yield made
    made.close()


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XPNN_DEVICE", raising=False)


@pytest.fixture
def in_an_empty_folder(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_environment: None,
) -> None:
    """For the command: its files go there; it draws, which takes long, where `draws` says so."""
    monkeypatch.chdir(tmp_path)
    if request.node.get_closest_marker("draws") is None:
        monkeypatch.setattr("xpnn.cli.train._draw", lambda path, *about: f"wrote   {path}")


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """No picture stays open: pyplot keeps them, and warns of many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def run_on(request: pytest.FixtureRequest) -> Iterator[Target]:
    own_context = request.node.get_closest_marker("own_context") is not None
    with running(*request.param, own_context=own_context) as target:
        yield target


target = pytest.fixture(run_on, name="target")
target_any = pytest.fixture(run_on, name="target_any")
