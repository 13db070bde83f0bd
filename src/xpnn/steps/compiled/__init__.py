"""The compiled steps: one shared library, built from the C files here when xpnn is installed.

It is called by ctypes with raw addresses. Where it is not there, or `XPNN_COMPILED=0` turns it
off, the same work is done by NumPy. `hatch_build.py` builds it.

Large matrix products are its own where the processor has AVX2 or AVX-512, and BLAS's elsewhere;
`XPNN_PRODUCTS` may name less than the processor has.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from xpnn._warnings import warn_user

ABI = 13  # XPNN_ABI in xpnn.h
PRODUCTS = ("BLAS", "AVX2", "AVX512")  # in the order of xpnn_tiles in abi.c
_FILE = Path(__file__).with_name(f"_xpnn.lib.{'dll' if sys.platform == 'win32' else 'so'}")
_INSTALL = "pip install --no-deps --force-reinstall --no-cache-dir --no-binary xpnn xpnn"


def library() -> ctypes.CDLL | None:
    """Return the compiled library, loaded once.

    Returns
    -------
    ctypes.CDLL or None
        None where there is none, where it is of another version, or where the environment
        variable `XPNN_COMPILED` is 0. A fit asks when it begins; predictions ask when a network
        first predicts.

    Examples
    --------
    >>> found = library()
    >>> found is None or found.xpnn_abi() == ABI
    True
    """
    return None if _turned_off() else _load(_FILE)[0]


def state() -> str:
    """Return in one sentence whether steps on NumPy arrays run compiled, and how to change it.

    Examples
    --------
    >>> state().startswith(("compiled", "NumPy alone"))
    True
    """
    if _turned_off():
        return "NumPy alone, as XPNN_COMPILED=0 says; unset it for the compiled steps."
    found, problem = _load(_FILE)
    if found is None:
        # Sources are here in a checkout alone, which pip would not find again by its name; and
        # without the last two options it would take the wheel that has nothing compiled again.
        checkout = any(_FILE.parent.glob("*.c"))
        cure = "`python hatch_build.py` in the checkout" if checkout else f"`{_INSTALL}`"
        return f"NumPy alone, for {problem}; for the compiled steps, with a C compiler run {cure}."
    products = PRODUCTS[tiles()]
    return f"compiled; large products by {products}; XPNN_COMPILED=0 turns to NumPy alone."


def tiles() -> int:
    """Return what the compiled steps do large matrix products with.

    Returns
    -------
    int
        The index in `PRODUCTS` of what the environment variable `XPNN_PRODUCTS` names, or of the
        best that this processor has.

    Examples
    --------
    >>> library() is None or PRODUCTS[tiles()] in ("BLAS", "AVX2", "AVX512")
    True
    """
    found, asked = _load(_FILE)[0], os.environ.get("XPNN_PRODUCTS")
    best = 0 if found is None else int(found.xpnn_tiles())
    if not asked:
        return best
    if asked.upper() not in PRODUCTS:
        raise ValueError(f"XPNN_PRODUCTS is {asked!r}: it may be one of {', '.join(PRODUCTS)}.")
    return min(best, PRODUCTS.index(asked.upper()))


def _turned_off() -> bool:
    return os.environ.get("XPNN_COMPILED") == "0"


@cache
def _load(file: Path) -> tuple[ctypes.CDLL | None, str]:
    """The library, or None and why not."""
    if not file.exists():
        return None, "nothing was compiled at installation"
    try:
        found = ctypes.CDLL(str(file))
        abi = found.xpnn_abi()
    except (OSError, AttributeError) as error:
        return None, f"the compiled library does not load ({error})"
    if abi != ABI:
        return None, f"the compiled library is of version {abi}, this xpnn needs {ABI}"
    # Sources are here in a checkout alone.
    built = file.stat().st_mtime
    newer = [f.name for f in sorted(file.parent.glob("*.[ch]")) if f.stat().st_mtime > built]
    if newer:
        warn_user(
            f"xpnn's compiled library is older than {', '.join(newer)}: "
            "run `python hatch_build.py` in the checkout.",
            RuntimeWarning,
        )
    return found, ""
