"""Warnings that point at the user's own line."""

import sys
import warnings
from functools import cache
from pathlib import Path

# Frames of this package, of scikit-learn's decorators and searches, and of what these and L-BFGS
# run in are no news to the user.
_PACKAGE, _INSIDE = str(Path(__file__).parent), {"sklearn", "joblib", "scipy"}


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as from the first caller outside this package and scikit-learn's own."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


@cache
def _is_inside(filename: str) -> bool:
    return filename.startswith(_PACKAGE) or not _INSIDE.isdisjoint(Path(filename).parts)
