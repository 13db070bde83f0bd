"""What the tabular classifier and regressor share: from a table to trained members, and back."""

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend, backend_of, to_numpy
from xpnn.blocks import Blocks
from xpnn.distributed.communicator import Communicator
from xpnn.estimators._blocks import given_targets
from xpnn.estimators._callbacks import chosen_callbacks
from xpnn.estimators._checkpoint import about, checkpoints
from xpnn.estimators._checks import (
    ARRAY_LIKE,
    CALLABLE,
    DEVICE,
    DTYPE,
    NONE,
    RANDOM_STATE,
    VERBOSE,
    Checks,
    among,
    check_parameters,
    number,
)
from xpnn.estimators._device import OnDevice
from xpnn.estimators._inputs import NUMPY, check_width, is_foreign, read_weight, readable
from xpnn.estimators._plain import KINDS, Kind
from xpnn.estimators._processes import agreed_seed, check_comm, check_same, together
from xpnn.estimators._settings import draw_seed, hidden_sizes
from xpnn.tables.encoding import Encoding, only_unknown_words
from xpnn.tables.frames import Frame, as_table, read_frame
from xpnn.tables.strays import told_strays
from xpnn.tables.thresholds import Classes
from xpnn.tabular import record
from xpnn.tabular.blocks import BlockFrame, inputs_of, learned
from xpnn.tabular.folds import folds_of
from xpnn.tabular.groups import count_groups, read_groups
from xpnn.tabular.inspection import Inspection
from xpnn.tabular.linear import lines_of
from xpnn.tabular.outoffold import Task
from xpnn.tabular.ownrows import Part, Shards
from xpnn.tabular.plain import MOST_ROWS, plain_inputs
from xpnn.tabular.recipe import EMBEDDINGS, Recipe, embedded_by, make_network, make_recipe
from xpnn.tabular.training import Fitted, fit_members
from xpnn.training.callbacks import ProgressBar
from xpnn.training.checkpoint import Keeper
from xpnn.training.data import predict_in_chunks

_FEWEST_ROWS = 2


def as_shares(weight: Any) -> np.ndarray | None:
    """Weights of which the largest is 1: a common factor means nothing, and may overflow."""
    if weight is None:
        return None
    host = np.asarray(to_numpy(weight), dtype=np.float64)
    shares: np.ndarray = host / host.max()
    return shares


class BaseTabular(Inspection, OnDevice):
    """A network for tables with scikit-learn's interface."""

    _records: ClassVar[Any] = record

    n_members: Any
    hidden: Any
    embedding: Any
    loss: Any
    epochs: Any
    time_limit: Any
    random_state: Any
    verbose: Any

    encoding_: Encoding
    fit_time_: float
    _columns: list[str]
    n_features_in_: int

    _kinds: ClassVar[dict[str, Kind]] = {
        **KINDS,
        "encoding": Kind(Encoding, Encoding.to_dict, Encoding.from_dict),
        "recipe": Kind(Recipe, asdict, lambda plain: Recipe(**plain)),
    }

    _checks: ClassVar[Checks] = {
        "n_members": (number(Integral, 2, closed="low"), NONE),
        "hidden": (ARRAY_LIKE, number(Integral, 1, closed="low"), NONE),
        "embedding": (among(EMBEDDINGS), NONE),
        "epochs": (number(Integral, 1, closed="low"), NONE),
        "time_limit": (number(Real, 0), NONE),
        "random_state": RANDOM_STATE,
        "verbose": VERBOSE,
        "callbacks": (ARRAY_LIKE, CALLABLE, NONE),
        "device": DEVICE,
        "dtype": DTYPE,
    }

    @abstractmethod
    def _read_task(self, y: Any, n: int, weight: np.ndarray | None) -> tuple[Any, ...]:
        """Check y; set what is known of the outputs; return target, weight, strata and loss."""

    @abstractmethod
    def _task_of(self, x: np.ndarray, y: Any) -> Task:
        """Rows with a target that is known, to be scored on."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        checkpoint: Any = None,
        resume: bool = False,
        comm: Communicator | None = None,
    ) -> "BaseTabular":
        """Fit the network to a table.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            A pandas, polars or pyarrow table, a mapping of names to columns, a NumPy array, or
            an array of any supported library on any device. Numbers, booleans, words and times,
            with missing values. `xpnn.data.Blocks` need not fit in memory: their columns are
            learned from 200,000 rows, and their inputs written to a temporary file.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
        groups : array-like of shape (n_samples,), default=None
            Rows of one group, such as those of one patient, are in one fold: scores, predictions
            and residuals out of fold are then of groups that a member has not seen. Not for
            processes with rows of their own.
        checkpoint : path-like or xpnn.Checkpoint, default=None
            A folder for checkpoints of this training, by default one in five minutes. Ctrl-C and
            SIGTERM leave one too; after SIGTERM the process ends with status 143.
        resume : bool, default=False
            Go on from the checkpoint there, if there is one, to the same bits. `time_limit` then
            counts the seconds of all parts.
        comm : xpnn.distributed.Communicator, default=None
            The processes that train this network together, such as `xpnn.distributed.mpi()`: each
            makes this call with all rows, of `Blocks` each reads and encodes some; with
            ``mpi(rows="own")`` each passes rows that only it has, and keeps no others, and
            `oof_prediction_` is of all, one process's behind the other's. The result has the same
            bits for any number of them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input; the estimator is then as it was before.
        DivergedError
            When a weight becomes NaN or infinite before anything was learned.
        CheckpointError
            Before training, for a folder that cannot be used, and for a checkpoint of other data,
            parameters or another version of xpnn, with what differs.
        """
        check_parameters(self)
        check_comm(comm)
        with together(comm), checkpoints(checkpoint, resume, comm) as keeper:
            return self._commit(lambda new: new._fit(X, y, sample_weight, groups, keeper, comm))

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any = None,
        keeper: Keeper | None = None,
        comm: Communicator | None = None,
    ) -> None:
        began = time.perf_counter()
        y, sample_weight = given_targets(X, y, sample_weight)
        frame = self._read_frame(X, first=True, comm=comm)
        part = Part(comm, frame.n_rows)
        y, sample_weight = part.of_all(y, "y"), part.of_all(sample_weight, "sample_weight")
        weight = read_weight(sample_weight, np.empty((part.n, 0)))
        group = read_groups(groups, part)
        target, weight, strata, loss = self._read_task(y, part.n, as_shares(weight))
        known = np.ones(part.n, dtype=bool) if weight is None else weight > 0
        if (n := int(known.sum())) < _FEWEST_ROWS:
            raise ValueError(
                f"n_samples={n} with a weight above 0, but a {type(self).__name__} needs "
                f"{_FEWEST_ROWS}, as each network leaves some out."
            )
        shards, some = part.shards(known), frame.of_rows(part.mine(known))
        numbers = embedded_by(self.embedding)
        classes = loss.name == "softmax_cross_entropy"
        seed = agreed_seed(comm, draw_seed(self.random_state), keeper)
        group = None if group is None else group[known]
        self._choose_recipe(n, numbers.periodic, classes, count_groups(group, self.n_members))
        folds = folds_of(strata[known], self.recipe_, seed, classes, shards, group)
        target = target[known]
        here = part.among(known)
        told = Classes(target, folds, self.recipe_.folds).of_rows(here) if classes else None
        self.encoding_ = learned(some, numbers.bins, numbers.most_numbers, told, comm)
        x = inputs_of(self.encoding_, some)
        task = Task(x, target, None if weight is None else weight[known], loss, classes)
        self._place(X, x)
        self.network_ = make_network(
            self.recipe_, x.shape[1], self.encoding_.n_numbers, self._n_out, loss.link
        )
        fitted = self._train(task, folds, group, part, shards, keeper, seed, began)
        self._adopt(fitted, task)
        if part.apart:
            self._task = None
        if not known.all():  # no member has seen these
            self._complete(known, frame, part)
        self.fit_time_ = time.perf_counter() - began

    def _train(
        self,
        task: Task,
        folds: np.ndarray,
        group: np.ndarray | None,
        part: Part,
        shards: Shards | None,
        keeper: Keeper | None,
        seed: int,
        began: float,
    ) -> Fitted:
        comm = part.comm
        data = {"X": None if part.apart else task.x, "y": task.target, "sample_weight": task.weight}
        data["groups"] = group
        check_same(comm, self, data | {"dtype of the work": self._dtype})
        if keeper is not None:
            names = {"classes": getattr(self, "classes_", None)}
            keeper.begin(about(self, self._dtype, **data, **names))
            keeper.note("seed", seed)
        again = task.classes and self.embedding == "auto" and self.recipe_.longer
        again = again and folds.shape[1] <= MOST_ROWS
        return fit_members(
            self.network_,
            self.recipe_,
            task,
            folds,
            self._backend,
            self._dtype,
            seed,
            unseen=self.encoding_.unseen(self.recipe_.members),
            callbacks=chosen_callbacks(self, comm is None or comm.rank == 0, ProgressBar()),
            shards=shards,
            time_limit=self.time_limit,
            spent=time.perf_counter() - began,
            keeper=keeper,
            lines=None if getattr(self, "label_smoothing", 0) else lines_of(self.encoding_),
            plain=plain_inputs(self.encoding_) if again else None,
        )

    def _place(self, X: Any, x: np.ndarray) -> None:
        """Where to work, and in which dtype."""
        self._source = backend_of(X) if is_foreign(X) else NUMPY
        self._backend = self._backend_for(self._source)
        self._dtype = self._working_dtype(x, self._backend)

    def _choose_recipe(self, n: int, periodic: bool, classes: bool, groups: int | None) -> None:
        """The recipe for so many rows."""
        sizes = None if self.hidden is None else tuple(hidden_sizes(self.hidden, "hidden"))
        self.recipe_ = make_recipe(n, self.n_members, sizes, periodic, classes, groups)
        if self.epochs is not None:
            self.recipe_ = replace(self.recipe_, epochs=int(self.epochs), longer=False)

    # -- predicting -----------------------------------------------------------------------------

    def _mean_prediction(self, X: Any) -> tuple[np.ndarray, Backend]:
        """The members' mean prediction, as trained, on the host; and where X is."""
        if isinstance(X, Blocks):
            check_is_fitted(self)
            parts = (self._mean_prediction(f)[0] for *_, f in BlockFrame(self, X).frames())
            return np.concatenate(list(parts)), NUMPY
        x, source = self._read_inputs(X)
        return self._predict_inputs(x), source

    def _read_inputs(self, X: Any) -> tuple[np.ndarray, Backend]:
        """The network's inputs of a table, on the host; and where X is."""
        check_is_fitted(self)
        frame = self._read_frame(X)
        x = inputs_of(self.encoding_, frame)
        if isinstance(frame, Frame) and frame is not X:  # the command's, which tells more
            for told in only_unknown_words(self.encoding_, frame):
                warn_user(told)
            for told in told_strays(self.encoding_, frame):
                warn_user(f"Column {told}.")
        return x, backend_of(X) if is_foreign(X) else NUMPY

    def _predict_inputs(self, x: np.ndarray, each: bool = False) -> np.ndarray:
        """The mean prediction of all members, (n, n_out); or each one's, members first."""
        backend, found = self._backend, list[np.ndarray]()
        if backend is NUMPY:  # once for all members
            x = np.asarray(x, dtype=np.float64)
        for theta, buffers, weight in self._kept():
            if backend is NUMPY:  # a row's prediction does not depend on those beside it
                theta, buffers = (a.astype(np.float64) for a in (theta, buffers))
            with backend.device_context(), np.errstate(all="ignore"):
                kind = "forward" if each else "predict"
                out = predict_in_chunks(self.network_, theta, buffers, x, backend, kind)
                host = np.asarray(backend.to_numpy(out), dtype=np.float64)
                if each:
                    host = self.network_.link(host, np)
                found.append(weight * host)
        mean: np.ndarray = np.sum(found, axis=0)
        return mean

    def _read_frame(self, X: Any, first: bool = False, comm: Communicator | None = None) -> Any:
        """A table with the columns of fit, whose names and number are set at first."""
        if isinstance(X, Blocks):
            return BlockFrame(self, X, first, comm=comm)
        X = readable(as_table(X), "X")
        frame = read_frame(X)
        named = isinstance(X, Mapping | Frame)
        if named and first:
            self.feature_names_in_ = np.asarray(list(frame.columns), dtype=object)
        elif not named:
            validate_data(self, X, reset=first, skip_check_array=True)
        if first:
            self.n_features_in_, self._columns = len(frame.columns), list(frame.columns)
            return frame
        if named or list(frame.columns) == self._columns:
            return frame
        check_width(self, len(frame.columns))
        return frame.named(self._columns)  # an array, or fit had one: by place

    def _move(self, target: Backend) -> None:
        to_host = self._backend.to_numpy
        self._dtype = self._working_dtype(to_host(self._arrays["theta_0"]), target)
        self._arrays = {
            name: target.asarray(to_host(a), dtype=self._dtype) for name, a in self._arrays.items()
        }
