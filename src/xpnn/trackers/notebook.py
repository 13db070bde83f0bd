"""Learning curves that grow in a notebook."""

import time
from typing import Any

from xpnn._optional import needed
from xpnn.plotting import plot_history
from xpnn.plotting.canvas import new_axes
from xpnn.training.callbacks import EpochEnd


class NotebookPlot:
    """Draws the learning curves below a notebook's cell, again and again in the same place.

    Parameters
    ----------
    every : float, default=1.0
        Seconds from one picture to the next, at least; the last epoch is always drawn.

    Examples
    --------
    >>> from xpnn.callbacks import NotebookPlot
    >>> model = xpnn.MLPClassifier(callbacks=[NotebookPlot()])  # doctest: +SKIP
    """

    def __init__(self, every: float = 1.0) -> None:
        self.every = every

    def on_begin(self, epochs: int) -> None:
        """Nothing is drawn yet."""
        self._display = needed("IPython.display", "A live plot", "ipython").display
        self._history: dict[str, list[float]] = {}
        self._handle: Any = None
        self._drawn, self._fresh = -float("inf"), False

    def __call__(self, end: EpochEnd) -> None:
        """Draw, where it is time."""
        for name, value in end.metrics.items():
            self._history.setdefault(name, []).append(value)
        self._fresh = True
        if time.monotonic() - self._drawn >= self.every:
            self._draw()

    def on_end(self) -> None:
        """Draw the last epoch."""
        if self._fresh:
            self._draw()
        self._handle = None

    def _draw(self) -> None:
        figure = plot_history(self._history, ax=new_axes((7.2, 4.2), "apart")).figure
        if self._handle is None:
            self._handle = self._display(figure, display_id=True)
        else:
            self._handle.update(figure)
        self._drawn, self._fresh = time.monotonic(), False
