"""Packages that only some need: imported when used, and told how to get where they are missing."""

from importlib import import_module
from typing import Any


def needed(module: str, what: str, package: str = "") -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    what : str
        What needs it, at the beginning of a sentence.
    package : str
        What to install, where that has another name than the module's first part.

    Examples
    --------
    >>> needed("json", "This example").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = package or module.partition(".")[0]
        if error.name not in (module, module.partition(".")[0]):
            raise
        raise ImportError(
            f"{what} needs the package {missing}; get it with: python -m pip install {missing}",
            name=module.partition(".")[0],
        ) from error
