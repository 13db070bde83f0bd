"""The compiled elementary functions against NumPy's in more digits, over the whole range."""

import numpy as np
import pytest

from xpnn.steps.compiled import library
from xpnn.steps.compiled.plan import address, function

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled steps are not there")

FUNCTIONS = {
    "exp": np.exp,
    "expm1": np.expm1,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "log": np.log,
    "log1p": np.log1p,
    "exp_below": lambda x: np.exp(-np.abs(x)),
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 88.72, 88.73, -87.4, -103.9, -104.1]
SPECIAL += [709.7, 709.8, -745.1, -745.2, 1e-45, 5e-324, 2.0**-126, 2.0**-1022]


def numbers(dtype):
    """Bits of every kind, and many numbers where the functions bend."""
    rng, bits = np.random.default_rng(0), np.dtype(f"u{np.dtype(dtype).itemsize}")
    anything = rng.integers(0, np.iinfo(bits).max, 200_000, dtype=bits, endpoint=True).view(dtype)
    some = [rng.uniform(-a, a, 100_000) for a in (1.0, 20.0, 110.0, 800.0)]
    small = np.exp(rng.uniform(-40.0, 3.0, 100_000))
    chosen = np.concatenate([*some, small, -small, 1 + 0.01 * some[0], SPECIAL]).astype(dtype)
    return np.concatenate([anything, chosen])


def compiled(name, x):
    out = x.copy()
    function("function", x.dtype)(list(FUNCTIONS).index(name), address(out), out.size)
    return out


@pytest.mark.sampled(2)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_at_most_four_units_in_the_last_place(name, dtype):
    x = numbers(dtype)
    if name == "log1p":  # of exp(-|z|)
        x = x[((x >= 0) & (x <= 1)) | np.isnan(x)]
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64 if dtype == np.float32 else np.longdouble)
        if name == "sigmoid":  # exp is held at the largest power that it may be
            wide = np.maximum(wide, -88 if dtype == np.float32 else -709)
        exact = FUNCTIONS[name](wide)
        rounded = exact.astype(dtype)
        found = compiled(name, x)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(rounded))
        np.testing.assert_array_equal(np.isinf(found), np.isinf(rounded))
        finite = np.isfinite(rounded)
        unit = np.spacing(np.abs(rounded[finite])).astype(wide.dtype)
        off = np.abs(found[finite] - exact[finite]) / unit
    assert off.max() <= 4, (x[finite][off.argmax()], off.max())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_length_gives_the_same_numbers(name):
    x = np.random.default_rng(1).uniform(0.1, 1.0, 64)
    for n in (0, 1, 2, 3, 7, 8, 9, 15, 17, 31, 33):
        alone, among = compiled(name, x[5 : 5 + n]), compiled(name, x)[5 : 5 + n]
        np.testing.assert_array_equal(alone, among, str(n))
