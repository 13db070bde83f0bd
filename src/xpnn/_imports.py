"""An import of a thousand modules, without what the interpreter does in vain meanwhile."""

import gc
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any


def import_many(module: str) -> Any:
    """Import a module that brings many others, such as scikit-learn and what it needs.

    CPython looks for garbage again and again while an import makes objects, nearly all of which
    stay: a tenth of the time that scikit-learn's import takes. Here it does not, and finds them
    among its old objects afterwards, where a full collection still goes through them.

    Parameters
    ----------
    module : str
        Its full name.

    Returns
    -------
    module

    Examples
    --------
    >>> import_many("json").dumps([1])
    '[1]'
    """
    if sys.implementation.name != "cpython" or not gc.isenabled() or gc.get_freeze_count():
        return _import(module)  # unfreezing would undo what others, or CPython 3.12, have frozen
    gc.disable()
    try:
        return _import(module)
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()  # both only move lists: from all generations to the oldest
        gc.enable()


def _import(module: str) -> Any:
    return import_module(module)


if sys.implementation.name == "cpython":
    # Python's frames lie in chunks of 16 KiB. A call at the end of one maps a new chunk and unmaps
    # it when it returns, and a loop that happens to stand there does so each time: 1,000 to 37,000
    # times in scikit-learn's import, by how deep it is nested (up to 0.2 s in the kernel). A frame
    # that asks for 7,500 places gets a chunk with room for all that it calls.
    with suppress(Exception):  # a program that Nuitka has compiled cannot set it
        _import.__code__ = _import.__code__.replace(co_stacksize=7_500)
