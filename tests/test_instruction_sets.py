"""The library as built for one kind of processor alone: the numbers of the one that chooses."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_compiled import NEEDS_COMPILER, ROOT, hatch_build

from xpnn.steps.compiled import library

pytestmark = [
    pytest.mark.slow,
    NEEDS_COMPILER,
    pytest.mark.skipif(library() is None, reason="the compiled steps are not there"),
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="one build alone"),
]

SCRIPT = """
import sys, warnings
from pathlib import Path
import numpy as np
sys.path.insert(0, {tests!r})
from xpnn.steps import compiled
if sys.argv[2]:
    compiled._FILE = Path(sys.argv[2])
assert compiled.library() is not None, compiled.state()
from test_vector_math import FUNCTIONS, compiled as rows, numbers
from xpnn import MLPClassifier, Perceptron
from xpnn.activations import ACTIVATIONS
warnings.simplefilter("ignore")
X = np.random.default_rng(0).standard_normal((300, 20))
y, found = X[:, :3].argmax(axis=1), {{}}
for dtype in ("float32", "float64"):
    x = numbers(np.dtype(dtype).type)[::7]
    for name in FUNCTIONS:
        found[name + dtype] = rows(name, x)
    for name, a in ACTIVATIONS.items():
        if a.differentiable and name != "exp":
            about = {{"dropout": 0.3, "input_dropout": 0.1, "max_iter": 3, "random_state": 0}}
            model = MLPClassifier((30,), name, dtype=dtype, normalization="batch", **about)
            model.fit(X, y)
            found["fit " + name + dtype] = np.concatenate([w.ravel() for w in model.coefs_])
found["perceptron"] = Perceptron(max_iter=5, tol=None).fit(X, y).coef_
np.savez(sys.argv[1], **found)
"""


def cpu_has(words):
    """Whether this processor has instructions; not known where the system does not say."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return all(word in flags for word in words)


def numbers_of(folder, options, monkeypatch):
    """What a library of its own gives, built with more options; of the checkout's with None."""
    folder.mkdir()
    built = ""
    if options is not None:
        monkeypatch.setenv("CFLAGS", options)
        monkeypatch.delenv("XPNN_NO_COMPILER", raising=False)
        built = str(hatch_build.build(ROOT, folder))
    out = folder / "found.npz"
    code = SCRIPT.format(tests=str(ROOT / "tests"))
    call = [sys.executable, "-c", code, str(out), built]
    subprocess.run(call, check=True, env=os.environ | {"XPNN_COMPILED": "1"}, timeout=120)
    with np.load(out) as found:
        return dict(found)


def test_every_instruction_set_gives_the_same_bits(tmp_path, monkeypatch):
    expected = numbers_of(tmp_path / "chosen", None, monkeypatch)
    builds = {"": (), "-mavx2": ("avx2",), "-mavx512f": ("avx512f",)}
    for options, words in builds.items():
        if cpu_has(words):
            folder = tmp_path / f"only{options}"
            found = numbers_of(folder, f"{options} -DXPNN_NO_CLONES", monkeypatch)
            for name, e in expected.items():
                np.testing.assert_array_equal(found[name], e, f"{name} {options}")
