"""What a fitted tabular estimator has to say of itself: summary, importances, embeddings."""

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xpnn.model.embedding import PeriodicEmbedding
from xpnn.model.layer import EVALUATE
from xpnn.tables.kinds import Numbers
from xpnn.tables.progress import reading_bar
from xpnn.tabular.importance import FirstSums, Losses, by_copies, permutation_importance
from xpnn.tabular.judged import Judged
from xpnn.tabular.outoffold import Task, held_predictions, score_of
from xpnn.tabular.report import summary

_FEWEST_ROWS, _MOST_ROWS = 300, 2_000  # that importances are computed from
_COMPONENTS, _REACH = 3, 4.0  # of a picture; the latter in widths between quartiles
_ROWS_OF_ALL = 20_000  # over all columns, each of which is another prediction


def _some_rows(n: int, columns: int) -> np.ndarray:
    most = min(_MOST_ROWS, max(_FEWEST_ROWS, _ROWS_OF_ALL // max(columns, 1)))
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _pieces(
    column: Numbers, places: list[int], scale: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first layer's sums along a column: its three first principal components."""
    ends = np.array([v for step in column.steps for v in step[:2]])
    reach = _REACH / (column.spread.factor or np.inf)  # beyond, there are few rows
    near = column.spread.center + np.array([-reach, reach, *(1.2 * (ends - column.spread.center))])
    low, high = np.clip([near.min(), near.max()], column.edges[0], column.edges[-1])
    bends = np.array([*column.edges, *ends])
    inside = bends[(low <= bends) & (bends <= high)]
    grid = np.unique([*np.linspace(low, high, 200), *inside])
    numbers, others = column.encode(grid)
    sums = (np.stack([*numbers, *others], axis=1) * scale[places]) @ weight[places]
    left, size, _ = np.linalg.svd(sums - sums.mean(axis=0), full_matrices=False)
    functions = (left * size)[:, :_COMPONENTS]
    rising = np.where(functions[-1] < functions[0], -1.0, 1.0)  # either sign is as good
    return grid, functions * rising


class Inspection(Judged):
    """The part of a tabular estimator that explains it."""

    importance_: dict[str, tuple[float, float]]
    _columns: list[str]
    _read_inputs: Any
    _task_of: Any
    verbose: Any

    def summary(self) -> str:
        """What was done with each column, the network, its valleys, time and scores.

        Returns
        -------
        str
            Of one screen.
        """
        check_is_fitted(self)
        return summary(self)

    def feature_importance(
        self, X: Any = None, y: Any = None, *, n_repeats: int = 5
    ) -> dict[str, tuple[float, float]]:
        """How much worse rows are predicted when a column's values are permuted among them.

        Parameters
        ----------
        X : table of shape (n_samples, n_features), default=None
            None takes the training rows, each predicted by a member that has not seen it.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        n_repeats : int, default=5
            Permutations of each column.

        Returns
        -------
        dict of str to (mean, standard deviation)
            Rise of the loss (log-loss of classes; of a regression that of training, of a target
            with the variance 1), the most important column first. A file keeps those of the
            training rows that were computed last; at most 2,000 rows are looked at, 300 of
            tables of more than 66 columns.

        Raises
        ------
        ValueError
            Without X for an estimator from a file that has none: rows are not kept in files.
        """
        check_is_fitted(self)
        if isinstance(n_repeats, bool) or not isinstance(n_repeats, Integral) or n_repeats < 1:
            raise ValueError(f"n_repeats is {n_repeats!r}, expected a whole number above 0.")
        own = getattr(self, "_task", None)
        if X is None and own is None:
            if hasattr(self, "importance_"):
                return dict(self.importance_)
            raise ValueError(
                "The training rows are not there: files, pickles and deep copies have none, nor "
                "has a fit of processes with rows of their own. Pass X and y, or call "
                "feature_importance() before you save or copy the estimator."
            )
        if X is not None:
            x, _ = self._read_inputs(X)
            task = self._task_of(x, y)
            rows = _some_rows(len(x), len(self.encoding_.columns))
            return self._importance(task.of_rows(rows), None, n_repeats)
        rows = _some_rows(len(own.x), len(self.encoding_.columns))
        some = own.of_rows(rows)
        self.importance_ = self._importance(some, self._folds[:, rows], n_repeats)
        return dict(self.importance_)

    @property
    def feature_importances_(self) -> np.ndarray:
        """What `feature_importance` of the training rows has as means, in the order of the columns.

        They are computed when they are first asked for: rises of the loss, which do not sum to 1.
        It is where scikit-learn's selectors and others look for them.
        """
        known = hasattr(self, "importance_") or getattr(self, "_task", None) is not None
        if not known:
            raise AttributeError(
                f"This {type(self).__name__} has no feature_importances_: it is not fitted, or its "
                "training rows are not there; see feature_importance(X, y)."
            )
        found = self.importance_ if hasattr(self, "importance_") else self.feature_importance()
        return np.array([found[name][0] if name in found else 0.0 for name in self._columns])

    def __dir__(self) -> list[str]:
        """Without what takes its time: scikit-learn's picture in a notebook asks for everything."""
        costly = () if "importance_" in vars(self) else ("feature_importances_",)
        return [n for n in object.__dir__(self) if n not in costly and hasattr(self, n)]

    def embedded(self, column: str, member: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """What a member has learned to make of a column of numbers, before its first layer.

        Parameters
        ----------
        column : str
        member : int, default=0

        Returns
        -------
        grid : ndarray of shape (n,)
            Values of the column, over most of its range.
        functions : ndarray of shape (n, size)
            Of the valley that counts most: those of a periodic embedding; of a piecewise linear
            one the first layer's sums, in the three directions in which they differ most.

        Raises
        ------
        ValueError
            For a column that is not embedded.
        """
        check_is_fitted(self)
        if not 0 <= member < self.network_.members:
            raise ValueError(
                f"member is {member!r}, expected a number from 0 to {self.network_.members - 1}."
            )
        layer = self.network_.layers[0]
        periodic = isinstance(layer, PeriodicEmbedding)
        numbers = [c for c in self.encoding_.columns if isinstance(c, Numbers)]
        embedded = {c.name: c for c in numbers if periodic or c.edges}
        given = embedded.get(column)
        if given is None:
            names = ", ".join(embedded) or "no column"
            raise ValueError(
                f"{column!r} has no embedding: {names} has. Numbers of more than two values have "
                "one, of up to 40 columns, unless embedding is None."
            )
        heaviest = max(self._kept(), key=lambda kept: kept.weight)
        theta = np.asarray(self._backend.to_numpy(heaviest.theta), np.float64)
        parts = self.network_.layout.by_layer(theta, np, len(self.network_.layers))
        own = [{name: a[member] for name, a in part.items()} for part in parts]
        if periodic:
            return self._waves(given, layer, own[0])
        return _pieces(
            embedded[column], self.encoding_.places[column], own[0]["scale"], own[1]["weight"]
        )

    def _waves(self, column: Numbers, layer: Any, own: Any) -> tuple[np.ndarray, np.ndarray]:
        """The functions of a periodic embedding."""
        at, spread = self.encoding_.names.index(column.name), column.spread
        z = np.linspace(-2.0, 2.0, 200)  # beyond, there are few rows
        grid = spread.center + z / (spread.factor or 1.0)
        x = np.zeros((200, layer.n_in))
        x[:, at] = spread(grid)
        out, *_ = layer.forward(own, {}, x, EVALUATE, np)
        width = 1 + layer.size
        return grid, np.asarray(out[:, at * width + 1 : (at + 1) * width])

    def _importance(
        self, task: Task, folds: np.ndarray | None, n_repeats: int
    ) -> dict[str, tuple[float, float]]:
        places = self.encoding_.places
        losses, together = self._losses(task, folds, n_repeats)
        given = task.x, places, losses, n_repeats, 0, together
        if not self.verbose:
            return permutation_importance(*given)
        with reading_bar(len(places), "column", "importances") as bar:
            return permutation_importance(*given, seen=bar.update)

    def _losses(self, task: Task, folds: np.ndarray | None, n_repeats: int) -> tuple[Losses, int]:
        """What rows lose as columns are permuted, and how many columns it takes at once."""
        network = self.network_
        if FirstSums.suits(network):
            host = self._backend.to_numpy
            kept = ((host(k.theta), host(k.buffers), k.weight) for k in self._kept())
            sums = FirstSums(network, kept, task.x, folds, partial(score_of, task=task))
            return sums, sums.together(n_repeats)

        def loss(x: np.ndarray) -> float:
            if folds is None:
                return score_of(self._predict_inputs(x), task)
            prediction = np.zeros((len(x), self._n_out))
            for theta, buffers, weight in self._kept():
                held = held_predictions(self.network_, theta, buffers, x, folds, self._backend)
                prediction += weight * held.mean(axis=0)
            return score_of(prediction, task)

        return by_copies(task.x, loss), 1
