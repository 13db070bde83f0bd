"""Run the Python examples of the pages, each page from its top in an empty folder.

    python docs/examples.py [PAGE...]

A block that needs one of `OPTIONAL` that is not installed here is skipped and said. All else that
is missing is a mistake: the extras `docs` and `test` bring it.
"""

import contextlib
import io
import os
import re
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
OPTIONAL = ("cupy", "dask", "hummingbird", "jax", "keras", "skops", "torch")
OPTIONAL += ("onnx", "onnxruntime", "optuna", "skl2onnx")


def missing(error: ImportError) -> str:
    """The library that is not installed; xpnn names it in its message."""
    ours = re.search(r'needs the package "?(?:xpnn\[)?(\w+)', str(error))
    return ours[1] if ours else str(error.name).partition(".")[0]


def run(page: Path) -> tuple[int, list[str], str]:
    """How many blocks ran, what was skipped, and a traceback or ''."""
    text = page.read_text(encoding="utf-8")
    scope: dict[str, object] = {"__name__": "__main__"}
    ran, skipped = 0, []
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(1))
        code = compile("\n" * line + found[1], str(page), "exec")
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
                exec(code, scope)
            ran += 1
        except ImportError as error:
            if missing(error) not in OPTIONAL:
                return ran, skipped, said.getvalue() + traceback.format_exc(limit=-1)
            skipped.append(f"line {line + 1}: {error.msg.partition(';')[0]}")
        except BaseException:
            return ran, skipped, said.getvalue() + traceback.format_exc(limit=-2)
    return ran, skipped, ""


def main() -> int:
    """Run all pages, or those named."""
    pages = [Path(name).resolve() for name in sys.argv[1:]]
    pages = pages or [HERE.parent / "README.md", *sorted(HERE.glob("*.md"))]
    failures = 0
    for page in pages:
        if not BLOCK.search(page.read_text(encoding="utf-8")):
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            began = time.perf_counter()
            ran, skipped, failed = run(page)
            os.chdir(HERE)
        seconds = time.perf_counter() - began
        print(f"{page.name}: {ran} examples, {seconds:.1f} s", *skipped, sep="\n    ", flush=True)
        if failed:
            failures += 1
            print(failed)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
