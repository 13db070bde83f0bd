"""What the classifier and the regressor share: fitting and predicting."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.blocks import Blocks
from xpnn.estimators import _settings as settings
from xpnn.estimators._blocks import block_outputs, given_targets
from xpnn.estimators._callbacks import FitTasks, chosen_callbacks, chosen_state, print_epoch
from xpnn.estimators._checkpoint import begin, checkpoints
from xpnn.estimators._checks import check_parameters
from xpnn.estimators._coefs import count_layers
from xpnn.estimators._fitted import FittedNetwork
from xpnn.estimators._heldout import (
    Role,
    Rows,
    check_ranges,
    make_monitor,
    make_validation,
    training_data,
)
from xpnn.estimators._inputs import (
    NUMPY,
    check_range,
    check_weight_range,
    is_ready,
    read_features,
    read_weight,
)
from xpnn.estimators._processes import (
    ALONE,
    Way,
    agreed_seed,
    as_a_part,
    check_alike,
    check_comm,
    together,
)
from xpnn.estimators._readblocks import read_blocks
from xpnn.estimators._sklearn import CallbackSupportMixin, with_callbacks
from xpnn.estimators._split import NO_ROWS, hold_out
from xpnn.parts.losses import Loss
from xpnn.steps.compiled.outputs import compiled_outputs
from xpnn.training.data import Dataset, predict_in_chunks
from xpnn.training.interrupt import TrainingInterrupted
from xpnn.training.lbfgs import train_lbfgs
from xpnn.training.loop import train
from xpnn.training.state import DivergedError, TrainingState


class BaseMLP(CallbackSupportMixin, FittedNetwork):
    """A multi-layer perceptron with scikit-learn's interface."""

    _moments_of: type | None  # the optimizer whose moments the state holds
    _fewest_scored: ClassVar = 1  # rows that a score is defined for
    _output: ClassVar = "forward"  # what is predicted from: raw outputs, or "predict"

    # -- what a subclass says ------------------------------------------------------------------

    @abstractmethod
    def _read_target(self, y: Any, x: Any, role: Role, classes: Any = None) -> Any:
        """Check y; set what is known of the outputs; return the loss's target."""

    @abstractmethod
    def _resolve_loss(self) -> Loss:
        """The loss of this problem; its link makes predictions."""

    @abstractmethod
    def _combined(self, raw: Array, xp: Any) -> Array:
        """What is predicted from, (n, n_outputs), of raw outputs, also of several members'."""

    @abstractmethod
    def _device_score(self, output: Array, target: Array, weight: Array, xp: Any) -> Array:
        """The score of what `_combined` gives, 0-d."""

    @abstractmethod
    def _scored(self, target: Any) -> Any:
        """What `_device_score` compares with, of a loss's target."""

    @abstractmethod
    def _read_scored(self, y: Any, x: Any) -> Any:
        """The same, of a y that was passed to `score`."""

    @abstractmethod
    def _as_given(self, target: Any) -> np.ndarray:
        """A loss's target as a user would write it, on the host."""

    def _stratify(self, target: Any) -> Any:
        """What to stratify a split by."""

    def _row_weight(self, weight: Any, target: Any) -> Any:
        """Weights to train with; refuses a target that the loss cannot have."""
        return weight

    def _incremental(self) -> bool:
        """Whether `partial_fit` exists, as scikit-learn says it."""
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    # -- fitting --------------------------------------------------------------------------------

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        validation_data: Any = None,
        checkpoint: Any = None,
        resume: bool = False,
        comm: Any = None,
    ) -> "BaseMLP":
        """Fit the network to `X` and `y`.

        Parameters
        ----------
        X : array-like, sparse matrix or Blocks of shape (n_samples, n_features)
            NumPy, pandas, polars, SciPy, an array of any library on any device (without `device=`
            the work is done there), or `xpnn.data.Blocks`, which need not fit in memory.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs); None if inside Blocks
        sample_weight : array-like of shape (n_samples,), default=None
        validation_data : tuple (X, y) or (X, y, sample_weight), default=None
            Rows to validate on after each epoch. With `early_stopping` they take the place of
            the fraction split off.
        checkpoint : path-like or xpnn.Checkpoint, default=None
            A folder for checkpoints of this training, by default one in five minutes. Ctrl-C and
            SIGTERM leave one too; after SIGTERM the process ends with status 143.
        resume : bool, default=False
            Go on from the checkpoint there, if there is one, to the bits that a training without
            a break ends with.
        comm : xpnn.distributed.Communicator, default=None
            The processes that train this network together, such as `xpnn.distributed.mpi()`: each
            makes this call. The result has the same bits for any number of them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input; the estimator is then as it was before.
        DivergedError
            When a weight becomes NaN or infinite. The estimator keeps the weights of the last
            good epoch, if there was one, and else is as it was.
        CheckpointError
            Before training, for a folder that cannot be used, and for a checkpoint of other data,
            parameters or another version of xpnn, with what differs.
        """
        check_parameters(self)
        check_comm(comm)
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        tasks = FitTasks(self, X, y, metadata)
        tasks.begin()
        with together(comm), checkpoints(checkpoint, resume, comm) as keeper:
            way = Way(tasks, keeper, comm)
            return self._commit(
                lambda new: new._fit(X, y, sample_weight, validation_data, way),
                lambda: tasks.end(dict(self.__dict__)),
            )

    def initialize(self, X: Any, y: Any, *, classes: Any = None) -> "BaseMLP":
        """Draw the initial weights for the shapes of `X` and `y`, and train nothing.

        It can predict, its `coefs_` and `intercepts_` can be assigned, and `partial_fit`, or
        `fit` with `warm_start`, goes on from there.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        classes : array-like of shape (n_classes,), default=None
            All classes, where `y` lacks some (classifier).

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input; the estimator is then as it was before.
        """
        check_parameters(self)

        def begin(new: Any) -> None:
            new._begin(*new._read(X, y, None, first=True, classes=classes))
            new._adopt(new._state, 0)

        return self._commit(begin)

    def _read(
        self, X: Any, y: Any, weight: Any, *, first: bool, classes: Any, **how: Any
    ) -> tuple[Rows, Backend]:
        """Check the input; the rows, and where X is."""
        method = how.get("method", "fit")
        role: Role = "first" if first else "warm" if method == "fit" else "later"
        blocks = isinstance(X, Blocks)
        x, source = (X, NUMPY) if blocks else read_features(self, X, reset=first)
        if not first:
            self._check_place(source, method)
        if blocks:
            found = read_blocks(self, X, y, weight, role, classes, how.get("comm"))
            return Rows(found, None, None), source
        target = self._read_target(y, x, role, classes)
        return Rows(x, target, self._row_weight(read_weight(weight, x), target)), source

    def _begin(self, rows: Rows, source: Backend, way: Way = ALONE) -> None:
        """A new network with initial weights, and attributes that begin with it."""
        backend, loss = self._backend_for(source), self._resolve_loss()
        seed = agreed_seed(way.comm, settings.draw_seed(self.random_state))
        self.network_ = settings.make_network(self, int(rows.x.shape[1]), loss)
        theta, buffers = self.network_.init(seed, self.initializer)
        self._source, self._backend = source, backend
        self._dtype = self._working_dtype(rows.x, backend)
        theta, buffers = (backend.asarray(a, dtype=self._dtype) for a in (theta, buffers))
        self._state, self._moments_of = TrainingState(theta, buffers, (), seed), None
        self.n_layers_ = count_layers(self.network_)
        self.__dict__.pop("loss_", None)

    def _resume(self, source: Backend) -> None:
        """Go on from the weights there are, by the parameters as they are now.

        Raises
        ------
        ValueError
            When these describe a network with other weights.
        """
        self.network_ = settings.same_layout(self, self._resolve_loss())
        backend = self._backend_for(source)
        self._dtype = self._working_dtype(self._state.theta, backend)
        self._state = self._state.moved(self._backend, backend, self._dtype)
        self._source, self._backend = source, backend

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any = None,
        way: Way = ALONE,
        *,
        incremental: bool = False,
        classes: Any = None,
    ) -> None:
        first = not hasattr(self, "network_") or not (self.warm_start or incremental)
        method = "partial_fit" if incremental else "fit"
        here, keeper = None if isinstance(X, Blocks) else y, way.keeper
        with as_a_part(way, self, here, classes) as classes:
            how = {"classes": classes, "method": method, "comm": way.comm}
            rows, source = self._read(X, y, sample_weight, first=first, **how)
            if first:
                self._begin(rows, source, way)
            else:
                self._resume(source)
            check_ranges(rows, self._dtype, classes=getattr(self, "class_weight", None) is not None)
        if keeper is not None:
            self._state = replace(self._state, seed=keeper.note("seed", self._state.seed))
        check_alike(way, self, rows)
        kept, held_out = hold_out(self, rows, validation_data, source, incremental, way)
        if keeper is not None:
            whole = validation_data is not None and not way.apart(held_out)
            begin(keeper, self, NO_ROWS if way.own_rows else rows, held_out if whole else None)
        self._train(kept, held_out, way, incremental, fresh=first)

    def _train(
        self, rows: Rows, held_out: Rows | None, way: Way, incremental: bool, *, fresh: bool
    ) -> None:
        backend, loss = self._backend, self._resolve_loss()
        optimizer = None if self.solver == "lbfgs" else settings.make_optimizer(self)
        stopping = bool(self.early_stopping) and held_out is not None and optimizer is not None
        n_held = None if held_out is None else way.total(held_out)
        monitor = make_monitor(self, n_held=n_held, stopping=stopping)
        about = {"stopping": stopping, "incremental": incremental}
        config = settings.make_config(self, way.total(rows), loss, optimizer, monitor.name, **about)
        validation = None
        if held_out is not None:
            validation = make_validation(self, held_out, loss, monitor, way)
        callbacks, tasks = chosen_callbacks(self, way.speaks, print_epoch), way.tasks
        if tasks is not None and tasks.active:
            tasks.fitted = dict(self.__dict__)
            callbacks.append(tasks)
        data, keeper = training_data(rows, backend, self._dtype, way.comm), way.keeper
        how: dict[str, Any] = {"validation": validation, "callbacks": callbacks, "keeper": keeper}
        how |= {"comm": way.comm}
        before = len(self._state.history.get("loss", ()))
        if keeper is not None:
            before = keeper.note("before", before)
        try:
            if optimizer is None:
                settings.check_lbfgs(self)
                settings.place_moments(self, None, restart=True)
                state, result = train_lbfgs(
                    self.network_, self._state, data, config, max_fun=int(self.max_fun), **how
                )
            else:
                settings.place_moments(self, optimizer, restart=not incremental)
                how["consume"] = fresh  # nobody else has seen the state
                state = train(self.network_, self._state, data, config, **how)
        except DivergedError as error:
            if error.state is not None:
                self._adopt(error.state, before)
            raise
        state = chosen_state(callbacks, state)
        self._adopt(state, before)
        if optimizer is None and state.outcome == "interrupted":
            raise TrainingInterrupted("" if keeper is None else keeper.advice)
        if optimizer is None and result is not None:
            self.loss_ = float(result.fun)  # also where no iteration was needed
            settings.warn_of_lbfgs(result, int(self.max_iter))
        if optimizer is not None and state.outcome == "finished" and not incremental:
            settings.warn_of_max_iter(int(self.max_iter))

    # -- predicting -----------------------------------------------------------------------------

    def _outputs(self, X: Any, method: str, output: str = "") -> tuple[Array, Backend]:
        """What `_combined` gives of rows, on the device of the work, and where X is.

        With `output="predict"` a single network's link of it.
        """
        state, output = self.__dict__.get("_state"), output or self._output
        if state is not None and self._backend is NUMPY and is_ready(self, X):
            self._check_place(NUMPY, method)  # all of the checks below, at a tenth of their time
            link = output == "predict"
            out = compiled_outputs(self.network_, state.theta, state.buffers, X, link)
            if out is None:
                with np.errstate(all="ignore"):
                    out = self._computed(state, X, output)
            return out, NUMPY
        check_is_fitted(self)
        if isinstance(X, Blocks):
            self._check_place(NUMPY, method)
            return self._backend.xp.concat(list(block_outputs(self, X, method, output))), NUMPY
        x, source = read_features(self, X, reset=False)
        self._check_place(source, method)
        check_range(x, self._dtype)
        with self._backend.device_context(), np.errstate(all="ignore"):
            return self._computed(self._state, x, output), source

    def _computed(self, state: TrainingState, x: Any, output: str) -> Array:
        network, backend = self.network_, self._backend
        out = predict_in_chunks(network, state.theta, state.buffers, x, backend, output)
        return out if out.ndim == 2 else self._combined(out, backend.xp)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The accuracy of a classifier, R2 of a regressor, computed where the work is done.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
            For multilabel the fraction of rows that are right in every label; for several
            outputs the mean of their R2. R2 of a single row is NaN, with a warning.

        Raises
        ------
        ValueError
            For a `y` of another kind than that of `fit`.
        """
        y, sample_weight = given_targets(X, y, sample_weight)
        output, _ = self._outputs(X, "score")
        weight = read_weight(sample_weight, output)
        backend = self._backend
        wide = "float64" if "float64" in backend.dtypes else "float32"
        check_weight_range(weight, wide)
        weight = np.ones(output.shape[0]) if weight is None else weight
        widest, truth = backend.float_dtype(wide), self._read_scored(y, output)
        rows = Dataset(output, truth, weight, backend, widest)
        raw, truth, weight = rows.arrays
        with backend.device_context(), np.errstate(all="ignore"):
            found = float(self._device_score(raw, truth, weight, backend.xp))
        settings.warn_of_few_rows(rows.n, self._fewest_scored)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags
