"""Compile src/xpnn/steps/compiled/*.c into one shared library beside them.

`pip install` and `pip wheel` run this as hatchling's build hook. After editing a C file in an
editable checkout, run it by hand:

    python hatch_build.py

Without a C compiler, or where it fails, the package is installed all the same and works on NumPy
alone. What the environment may say:

CC, CFLAGS, LDFLAGS        the compiler (else cc, gcc or clang; cl on Windows) and further options
XPNN_NO_COMPILER=1         compile nothing: the wheel for every platform, py3-none-any
XPNN_REQUIRE_COMPILED=1    an error where nothing was compiled, for CI
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand
    BuildHookInterface = object

FOLDER = Path("src", "xpnn", "steps", "compiled")
# Two dots: Python takes a file with one for an extension module.
NAME = "_xpnn.lib.dll" if sys.platform == "win32" else "_xpnn.lib.so"
# No contraction to fused multiply-adds, so that all processors round alike; no errno and no
# traps, which nobody reads, so that loops are vectorized. Never -ffast-math: it removes the
# additions and subtractions that round.
GNU = "-std=gnu99 -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -fvisibility=hidden"
GNU += " -shared -fopenmp-simd"  # the pragma, not the library
POSIX = "-fPIC -pthread"  # Windows has threads of its own
MICROSOFT = "/nologo /std:c11 /O2 /fp:precise /LD"


def asked(variable: str) -> bool:
    """Whether the environment says yes."""
    return os.environ.get(variable, "0") not in ("", "0")


def find_compiler() -> list[str] | None:
    """The C compiler's command, or None."""
    if os.environ.get("CC"):
        command = shlex.split(os.environ["CC"])
        return command if shutil.which(command[0]) else None
    names = ("cc", "gcc", "clang")
    names = ("cl", "clang", "gcc") if sys.platform == "win32" else names
    return next(([name] for name in names if shutil.which(name)), None)


def command_line(compiler: list[str], sources: list[Path], library: Path) -> list[str]:
    """What to run so that the library is there."""
    files = [str(source) for source in sources]
    cflags, ldflags = (shlex.split(os.environ.get(name, "")) for name in ("CFLAGS", "LDFLAGS"))
    if Path(compiler[0]).stem.lower() in ("cl", "clang-cl"):
        return [*compiler, *MICROSOFT.split(), *cflags, *files, f"/Fe:{library}", *ldflags]
    flags, libraries = GNU.split(), []
    if sys.platform != "win32":
        flags, libraries = [*flags, *POSIX.split()], ["-lm"]
    if sys.platform == "darwin":
        flags += macos()[1]
    return [*compiler, *flags, *cflags, *files, "-o", str(library), *ldflags, *libraries]


def macos() -> tuple[str, list[str]]:
    """The platform tag, and the options for its processors and its oldest system."""
    _, version, machine = sysconfig.get_platform().split("-")
    major, minor = (os.environ.get("MACOSX_DEPLOYMENT_TARGET", version) + ".0").split(".")[:2]
    machines = re.findall(r"-arch (\S+)", os.environ.get("ARCHFLAGS", "")) or [machine]
    if machines == ["universal2"]:
        machines = ["x86_64", "arm64"]
    if machines == ["arm64"] and int(major) < 11:
        major = "11"
    minor = "0" if int(major) >= 11 else minor
    name = machines[0] if len(machines) == 1 else "universal2"
    flags = [word for each in machines for word in ("-arch", each)]
    flags.append(f"-mmacosx-version-min={major}.{minor}")
    return f"macosx_{major}_{minor}_{name}", flags


def platform_tag() -> str:
    """What the wheel is for: linux_x86_64 (auditwheel makes manylinux of it), win_amd64, ..."""
    from packaging.tags import platform_tags  # hatchling needs it, too

    if sys.platform == "darwin":
        return macos()[0]
    return next(t for t in platform_tags() if not t.startswith(("manylinux", "musllinux")))


def build(root: Path, folder: Path) -> Path | None:
    """Compile the sources under `root` into a library in `folder`; None, and why, if it fails."""
    library, problem = folder / NAME, ""
    compiler = find_compiler()
    if asked("XPNN_NO_COMPILER"):
        problem = "XPNN_NO_COMPILER asks for none"
    elif compiler is None:
        problem = f"there is no C compiler ({os.environ.get('CC') or 'cc, gcc, clang'})"
    else:
        sources = sorted((root / FOLDER).resolve().glob("*.c"))
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # replaced whole, or not at all
            made = Path(scratch).resolve() / NAME
            command = command_line(compiler, sources, made)
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                os.replace(made, library)
                return library
        problem = f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    library.unlink(missing_ok=True)  # of older sources
    if asked("XPNN_REQUIRE_COMPILED"):
        raise RuntimeError(f"xpnn: no compiled steps: {problem}")
    print(f"xpnn: no compiled steps, NumPy alone: {problem}", file=sys.stderr)
    return None


class CustomBuildHook(BuildHookInterface):
    """Hatchling's hook: an editable install has the library in the checkout, a wheel inside."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what the wheel is for."""
        root = Path(self.root)
        if version == "editable":
            build(root, root / FOLDER)
            return
        self.scratch = tempfile.TemporaryDirectory()
        library = build(root, Path(self.scratch.name))
        if library is not None:
            inside = FOLDER.relative_to("src") / NAME
            build_data["force_include"][str(library)] = inside.as_posix()
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_tag()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel now."""
        if version != "editable":
            self.scratch.cleanup()


if __name__ == "__main__":
    here = Path(__file__).parent
    found = build(here, here / FOLDER)
    print(found)
    sys.exit(found is None)
