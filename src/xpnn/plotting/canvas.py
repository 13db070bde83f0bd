"""Where a picture is drawn: axes, colours, and how it is saved."""

import io
import os
from typing import Any

from xpnn.files.atomic import write_atomic

BLUE, ORANGE, INK = "#1f5fa8", "#d2691e", "#333333"
"""Dark blue and orange: told apart by the colour-blind; lines differ in their dashes too."""
PALE = ("#dbe7f5", "#f6d9bf")
"""Fills below points of these two colours."""
GREY = "#8a8a8a"
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
CYCLE = (BLUE, ORANGE, "#2f7f5f", "#7a3f8f", "#111111", "#b8860b", "#5f9ecf", "#a0522d")
MARKERS = "os^Dv*PX"


def new_axes(size: tuple[float, float], path: Any = None) -> Any:
    """Axes of a new figure: pyplot's, which notebooks and `show` show; with `path`, apart."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ImportError(
            'Drawing needs matplotlib; get it with: python -m pip install "xpnn[plot]"'
        ) from error
    if path is not None:  # nothing to show: no window, and nothing that stays open
        return Figure(figsize=size, dpi=150, layout="constrained").subplots()
    from matplotlib import pyplot

    return pyplot.subplots(figsize=size, layout="constrained")[1]


def finished(ax: Any, path: str | os.PathLike[str] | None) -> Any:
    """Axes in the house's style, saved where a path is given."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_axisbelow(True)
    save(ax, path)
    return ax


def bare(ax: Any, path: str | os.PathLike[str] | None) -> Any:
    """Axes of a drawing without coordinates, saved where a path is given."""
    ax.set_axis_off()
    save(ax, path)
    return ax


def save(ax: Any, path: str | os.PathLike[str] | None) -> None:
    """Write the figure whole or not at all; the suffix tells the format."""
    if path is not None:
        data = io.BytesIO()
        ax.figure.savefig(data, format=os.path.splitext(path)[1].lstrip(".") or "png")
        write_atomic(path, data.getvalue())
