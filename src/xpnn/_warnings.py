"""Warnings that point at the user's own line."""

import sys
import warnings
from pathlib import Path

# Frames of this package and of scikit-learn's decorators are no news to the user.
_INSIDE = (str(Path(__file__).parent), "sklearn")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as from the first caller outside this package and scikit-learn."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_inside(filename: str) -> bool:
    return filename.startswith(_INSIDE[0]) or _INSIDE[1] in Path(filename).parts
