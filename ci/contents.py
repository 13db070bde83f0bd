"""Whether what users download is complete and has nothing else in it: `contents.py FILE...`."""

import re
import sys
import tarfile
import zipfile
from pathlib import Path

LIBRARY = re.compile(r"xpnn/steps/compiled/_xpnn\.lib\.(so|dll)")
SOURCES = {"hatch_build.py", "pyproject.toml", "LICENSE", "src/xpnn/steps/compiled/abi.c"}
SOURCES |= {"src/xpnn/steps/compiled/xpnn.h", "src/xpnn/py.typed"}


def faults(path: Path) -> list[str]:
    """A line for each thing that is missing or strange."""
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        strange = [name for name in names if name.endswith((".pyc", ".so", ".dll"))]
        return [f"missing: {name}" for name in SOURCES - names] + [f"strange: {n}" for n in strange]
    names = set(zipfile.ZipFile(path).namelist())
    missing = {"xpnn/py.typed", "xpnn/cli/__init__.py", "xpnn/steps/rules.py"} - names
    missing |= {"xpnn/steps/cuda/common.cuh"} - names
    libraries = {name for name in names if LIBRARY.fullmatch(name)}
    strange = [n for n in names - libraries if not n.startswith("xpnn") or not harmless(n)]
    found = [f"missing: {name}" for name in missing] + [f"strange: {name}" for name in strange]
    if not any(name.endswith("licenses/LICENSE") for name in names):
        found.append("missing: the licence")
    if len(libraries) != (0 if path.name.endswith("-none-any.whl") else 1):
        found.append(f"compiled: {sorted(libraries) or 'nothing'}")
    return found


def harmless(name: str) -> bool:
    """Whether it is Python, a kernel's source, a type marker, or describes the distribution."""
    return name.endswith((".py", ".cuh", "py.typed")) or ".dist-info/" in name


def main() -> int:
    """Look at each file."""
    wrong = 0
    for path in map(Path, sys.argv[1:]):
        told = faults(path)
        print(path.name, *(told or ["complete"]), sep="\n  ")
        wrong += len(told)
    return int(wrong > 0 or len(sys.argv) < 2)


if __name__ == "__main__":
    sys.exit(main())
