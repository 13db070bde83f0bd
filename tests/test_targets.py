"""The targets of the tests compare everything, and refuse what no code of ours may do."""

import importlib.util

import pytest
from targets import running

from xpnn.backends import get_backend

pytestmark = pytest.mark.usefixtures("no_environment")


def test_the_fixture_compares_everything(target):
    x = target.asarray([1.0, 2.0])
    target.assert_close(x, [1.0, 2.0])
    for result, expected in [
        (x, [1.0, 2.0 * (1 + 3 * target.tol)]),
        (x, [[1.0, 2.0]]),
        (target.asarray([1, 2]), [1.0, 2.0]),
        (get_backend("array_api_strict:device2").asarray([1.0, 2.0]), [1.0, 2.0]),
        (target.asarray([1, 3]), [1, 2]),
    ]:
        with pytest.raises(AssertionError):
            target.assert_close(result, expected)


@pytest.mark.targets("numpy:readonly")
def test_the_read_only_target_refuses_writing(target):
    x = target.asarray([1.0])
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 2.0


@pytest.mark.targets("strict:device1", "cupy:0", "cupy:1", "torch:cuda", "jax:cuda")
def test_a_host_sync_is_refused(target_any):
    if target_any.name.startswith("cupy") and not importlib.util.find_spec("cupy_on_cpu"):
        pytest.skip("a GPU does not say when it is waited for; the host double does")
    x = target_any.asarray([1.0, 2.0])
    with target_any.forbid_sync():
        total = target_any.xp.sum(x * 2)
    with pytest.raises(Exception, match=r"host|sync|[Dd]isallowed"), target_any.forbid_sync():
        float(total)
    assert float(total) == 6


@pytest.mark.targets("strict:device1")
def test_strict_refuses_what_a_compiler_would(target_any):
    x = target_any.asarray([1.0, 2.0])
    with pytest.raises(RuntimeError, match="boolean_indexing"):
        x[x > 1]
    with running("strict:device1", "float64"), pytest.raises(RuntimeError, match="nonzero"):
        target_any.xp.nonzero(x)
