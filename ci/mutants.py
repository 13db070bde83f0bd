"""Mistakes planted in the library, one at a time in a copy of it: does a test fail for each?

    python ci/mutants.py                 # all in planted*.py; a line each, 1 if one of them lives
    python ci/mutants.py momentum files  # those with one of the words in their description or file
    python ci/mutants.py --check         # only whether each text is still in its file

Run it when tests are cut or merged. A mutant whose text is gone is planted anew, where the code
that its description tells of is now; it is not dropped.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from planted import MUTANTS, Mutant
from planted_processes import PROCESSES
from planted_storage import STORAGE

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".hypothesis", ".*_cache", "dist", "build")


def missing(mutant: Mutant, tree: Path = ROOT) -> bool:
    """Whether the mutant can't be planted: its text is not once in its file."""
    path = tree / "src/xpnn" / mutant.file
    return not path.is_file() or path.read_text("utf-8").count(mutant.old) != 1


def run_tests(tree: Path, mutant: Mutant, chosen: list[str]) -> str:
    """The first test that fails in a tree, or "" if all pass."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--device={mutant.device}"]
    command = [sys.executable, "-m", "pytest", *options, *(chosen or ["-n", "2"])]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    if found or done.returncode == 0:
        return found[1] if found else ""
    raise RuntimeError(f"pytest itself: {done.stdout[-500:]}{done.stderr[-500:]}")


def compile_again(tree: Path, mutant: Mutant) -> None:
    """Build the library of a tree anew where the mutant is in C."""
    if mutant.file.endswith((".h", ".c")):
        subprocess.run(
            [sys.executable, "hatch_build.py"], cwd=tree, check=True, capture_output=True
        )


def finder(tree: Path, mutant: Mutant) -> str:
    """The test that finds a mutant in a tree that is as it was before and after, or ""."""
    path = tree / "src/xpnn" / mutant.file
    original = path.read_bytes()
    path.write_text(path.read_text("utf-8").replace(mutant.old, mutant.new), "utf-8")
    compile_again(tree, mutant)
    likely = [f"tests/test_{name}.py" for name in mutant.tests.split()]
    try:
        known = [name for name in likely if (tree / name).is_file()]
        return (known and run_tests(tree, mutant, known)) or run_tests(tree, mutant, [])
    finally:
        path.write_bytes(original)
        compile_again(tree, mutant)


def main(words: list[str]) -> int:
    """Plant the mutants that the words choose; 1 if one is not found or can't be planted."""
    check = "--check" in words
    words = [word for word in words if word != "--check"]
    planted = MUTANTS + STORAGE + PROCESSES
    chosen = [m for m in planted if not words or any(w in m.what + m.file for w in words)]
    bad = [m for m in chosen if missing(m)]
    for m in bad:
        print(f"can't be planted: {m.what} ({m.file}); find its place and plant it anew")
    lived = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "xpnn"
        if not check:
            shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        for m in [] if check else [m for m in chosen if m not in bad]:
            test = finder(tree, m)
            lived += [] if test else [m]
            print(f"{m.file} | {m.what} | {test or 'LIVES'}", flush=True)
    print(f"{len(chosen)} mutants, {len(lived)} live, {len(bad)} can't be planted")
    return int(bool(bad or lived))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
