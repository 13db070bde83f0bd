"""What the classifier and the regressor share: building, training, and where arrays live."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from xpnn._typing import Array
from xpnn.activations import ACTIVATIONS, Activation
from xpnn.backends import Backend, backend_of, dtype_name, get_backend
from xpnn.callbacks import EpochEnd
from xpnn.data import Dataset, predict_in_chunks
from xpnn.estimators._inputs import is_foreign, read_features, read_weight
from xpnn.estimators._parameters import Parameters
from xpnn.estimators._record import from_record, to_record
from xpnn.initializers import INITIALIZERS, Initializer
from xpnn.losses import Loss
from xpnn.network import Network, multilayer_perceptron
from xpnn.optimizers import get_optimizer
from xpnn.schedules import SCHEDULES, Schedule, get_schedule
from xpnn.state import DivergedError, TrainingConfig, TrainingState
from xpnn.training import train

_SOLVERS = ("sgd", "adam", "adamw", "rmsprop", "adagrad")
_SKLEARN_SCHEDULES = ("constant", "invscaling", "adaptive")  # scikit-learn: for sgd alone


class Rows(NamedTuple):
    """Checked training or validation rows."""

    x: Any
    target: Any
    weight: Any


class BaseMLP(BaseEstimator):
    """A multi-layer perceptron with scikit-learn's interface."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({*ACTIVATIONS, "logistic"}), Activation, callable, tuple],
        "solver": [StrOptions(set(_SOLVERS)), HasMethods(["init", "coefficients", "update"])],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(SCHEDULES)), Schedule, callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "initializer": [StrOptions(set(INITIALIZERS)), Initializer],
        "device": [str, Backend, None],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "callbacks": ["array-like", callable, None],
    }

    network_: Network
    n_outputs_: int
    _state: TrainingState
    _source: Backend  # where X was
    _backend: Backend  # where the work is done and the state lies
    _dtype: str
    _moments_of: type | None  # the optimizer whose moments the state holds

    # -- what a subclass says ------------------------------------------------------------------

    @abstractmethod
    def _read_target(self, y: Any, x: Any, *, first: bool, classes: Any) -> Any:
        """Check y; set what is known of the outputs; return the loss's target."""

    @abstractmethod
    def _resolve_loss(self) -> Loss:
        """The loss of this problem; its link makes predictions."""

    @abstractmethod
    def _device_score(self, output: Array, target: Array, weight: Array, xp: Any) -> Array:
        """The score of raw outputs, 0-d."""

    @abstractmethod
    def _scored(self, target: Any) -> Any:
        """What `_device_score` compares with, of a loss's target."""

    @abstractmethod
    def _read_scored(self, y: Any, x: Any) -> Any:
        """The same, of a y that was passed to `score`."""

    def _stratify(self, target: Any) -> Any:
        return None

    def _incremental(self) -> bool:
        """Whether `partial_fit` exists, as scikit-learn says it."""
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    # -- fitting --------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None
    ) -> "BaseMLP":
        """Fit the network to `X` and `y`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            NumPy, pandas, polars, SciPy, or an array of any supported library on any device;
            without `device=` the work is done where `X` is.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
        validation_data : tuple (X, y) or (X, y, sample_weight), default=None
            Rows to validate on after each epoch. With `early_stopping` they take the place of
            the fraction split off.

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
        """
        return self._commit(lambda new: new._fit(X, y, sample_weight, validation_data))

    def _commit(self, work: Callable[[Any], None]) -> "BaseMLP":
        """Do `work` on a twin and take over its attributes only when it went well.

        Fitted arrays are replaced, never written into, so the twin may share them.
        """
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        try:
            work(new)
        except DivergedError as error:
            if error.state is not None:
                self.__dict__ = new.__dict__
            raise
        self.__dict__ = new.__dict__
        return self

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation_data: Any = None,
        *,
        incremental: bool = False,
        classes: Any = None,
    ) -> None:
        first = not hasattr(self, "network_") or not (self.warm_start or incremental)
        x, source = read_features(self, X, reset=first)
        backend = source if self.device is None else get_backend(self.device)
        if not first:
            self._check_place(source)
        target = self._read_target(y, x, first=first, classes=classes)
        rows = Rows(x, target, read_weight(sample_weight, x))
        seed = draw_seed(self.random_state) if first else self._state.seed
        rows, held_out = self._split(rows, validation_data, source, seed, incremental)
        loss, optimizer = self._resolve_loss(), self._resolve_optimizer()
        if first:
            self._source, self._dtype = source, self._working_dtype(x, backend)
            self._initialize(int(x.shape[1]), loss, seed, backend)
        self._place_state(backend, optimizer, restart=not incremental)
        self._train(rows, held_out, loss, optimizer, incremental)

    def _initialize(self, n_features: int, loss: Loss, seed: int, backend: Backend) -> None:
        """A new network with initial weights, and attributes that begin with it."""
        sizes = [n_features, *hidden_sizes(self.hidden_layer_sizes), self.n_outputs_]
        self.network_ = multilayer_perceptron(
            sizes,
            self.activation,
            dropout=float(self.dropout),
            input_dropout=float(self.input_dropout),
            link=loss.link,
        )
        theta, buffers = self.network_.init(seed, self.initializer)
        move = backend.asarray
        self._backend, self._moments_of = backend, None
        self._state = TrainingState(
            move(theta, dtype=self._dtype), move(buffers, dtype=self._dtype), (), seed
        )
        self.n_layers_ = len(sizes)
        self.out_activation_ = {"sigmoid": "logistic"}.get(loss.link, loss.link)

    def _place_state(self, backend: Backend, optimizer: Any, *, restart: bool) -> None:
        """The state on the device of the work, with moments that are the optimizer's."""
        state = self._state.moved(self._backend, backend)
        if restart or self._moments_of is not type(optimizer):
            state = replace(state, moments=optimizer.init(state.theta, backend.xp), t=0)
        self._backend, self._moments_of, self._state = backend, type(optimizer), state

    def _train(
        self, rows: Rows, held_out: Rows | None, loss: Loss, optimizer: Any, incremental: bool
    ) -> None:
        backend, n = self._backend, int(rows.x.shape[0])
        stopping = bool(self.early_stopping) and held_out is not None
        config = TrainingConfig(
            loss=loss,
            optimizer=optimizer,
            learning_rate=float(self.learning_rate_init),
            schedule=self._resolve_schedule(),
            epochs=1 if incremental else int(self.max_iter),
            batch_size=self._batch_size(n),
            shuffle=bool(self.shuffle),
            l2=float(self.alpha),
            monitor="val_score" if stopping else "loss",
            restore_best=stopping,
            tol=float(self.tol),
            patience=float(self.n_iter_no_change),
        )
        validation = None if held_out is None else self._validation(held_out, loss)
        dtype = backend.float_dtype(self._dtype)
        before = len(self._state.history.get("loss", ()))
        try:
            data = Dataset(*rows, backend, dtype)
            state = train(
                self.network_,
                self._state,
                data,
                config,
                validation=validation,
                callbacks=self._callbacks(),
            )
        except DivergedError as error:
            if error.state is not None:
                self._adopt(error.state, before)
            raise
        self._adopt(state, before)
        if state.outcome == "finished" and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _adopt(self, state: TrainingState, before: int) -> None:
        """Take over a training state and the attributes that scikit-learn's users read."""
        self._state, history = state, state.history
        self.loss_curve_, self.history_ = list(history.get("loss", ())), history
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.inf
        self.t_ = state.samples
        self.n_iter_ = len(self.loss_curve_) - before
        scores = history.get("val_score") if self.early_stopping else None
        self.validation_scores_ = None if scores is None else list(scores)
        self.best_validation_score_ = None if scores is None else state.best
        self.best_loss_ = -state.best if scores is None else None

    # -- pieces of a fit ---------------------------------------------------------------------

    def _split(
        self, rows: Rows, validation_data: Any, source: Backend, seed: int, incremental: bool
    ) -> tuple[Rows, Rows | None]:
        """The rows to train on and those held out."""
        if validation_data is not None:
            return rows, self._read_validation(validation_data, source)
        if not self.early_stopping:
            return rows, None
        if incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        keep, hold = train_test_split(
            np.arange(rows.x.shape[0]),
            random_state=seed & 0xFFFFFFFF,
            test_size=self.validation_fraction,
            stratify=self._stratify(rows.target),
        )
        if len(hold) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        kept, held = (Rows(*(take_rows(a, i) for a in rows)) for i in (keep, hold))
        return kept, held

    def _read_validation(self, validation_data: Any, source: Backend) -> Rows:
        if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
            raise ValueError(
                "validation_data must be a tuple (X, y) or (X, y, sample_weight), got "
                f"{type(validation_data).__name__}."
            )
        X, y, *rest = validation_data
        x, place = read_features(self, X, reset=False)
        if place is not source:
            raise ValueError(
                f"X and validation_data must use the same namespace and device, got {source} and "
                f"{place}; move one of them, as with get_backend({source.name!r}).asarray(X)."
            )
        target = self._read_target(y, x, first=False, classes=None)
        return Rows(x, target, read_weight(rest[0] if rest else None, x))

    def _validation(self, rows: Rows, loss: Loss) -> Callable[[Array, Array], dict[str, float]]:
        """The metrics of held-out rows, moved to the device once."""
        backend, network, xp = self._backend, self.network_, self._backend.xp
        dtype = backend.float_dtype(self._dtype)
        weight = np.ones(rows.x.shape[0]) if rows.weight is None else rows.weight
        held = Dataset(rows.x, rows.target, weight, backend, dtype)
        x = held.arrays[0]
        truth = held.move(self._scored(rows.target))
        target, weight = held.move(rows.target), held.move(weight)

        def measure(theta: Array, buffers: Array) -> dict[str, float]:
            output = predict_in_chunks(network, theta, buffers, x, backend, "forward")
            value, _ = loss(output, target, weight, xp)
            score = self._device_score(output, truth, weight, xp)
            pair = backend.to_numpy(xp.stack([value, score]))
            return {"val_loss": float(pair[0]), "val_score": float(pair[1])}

        return measure

    def _resolve_optimizer(self) -> Any:
        if not isinstance(self.solver, str):
            return self.solver
        if self.solver == "sgd":
            if self.momentum == 0:
                return get_optimizer("sgd")
            rule = "nesterov" if self.nesterovs_momentum else "momentum"
            return get_optimizer(rule, momentum=float(self.momentum))
        if self.solver in ("adam", "adamw"):
            return get_optimizer(
                self.solver,
                beta_1=float(self.beta_1),
                beta_2=float(self.beta_2),
                epsilon=float(self.epsilon),
            )
        return get_optimizer(self.solver)

    def _resolve_schedule(self) -> Schedule:
        named = self.learning_rate in _SKLEARN_SCHEDULES
        if named and self.solver != "sgd":
            return get_schedule("constant")
        if self.learning_rate == "invscaling":
            return get_schedule("invscaling", power_t=float(self.power_t))
        return get_schedule(self.learning_rate)

    def _batch_size(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=2,
            )
        return min(int(self.batch_size), n)

    def _callbacks(self) -> list[Callable[[EpochEnd], Any]]:
        given = self.callbacks
        chosen = [] if given is None else [given] if callable(given) else list(given)
        return [*chosen, print_epoch] if self.verbose else chosen

    def _working_dtype(self, x: Any, backend: Backend) -> str:
        name = self.dtype or dtype_name(x.dtype)
        if name not in backend.dtypes:
            if backend.name not in _WARNED:
                _WARNED.add(backend.name)
                warnings.warn(f"{backend} has no {name}: computing in float32.", stacklevel=2)
            return "float32"
        return name

    # -- predicting -----------------------------------------------------------------------------

    def _check_place(self, source: Backend) -> None:
        """Refuse arrays of another library or device than fit's, unless `device` says where."""
        if self.device is None and source is not self._source:
            raise ValueError(
                f"Inputs must use the same namespace and device as in fit: X is on {source}, and "
                f"this {type(self).__name__} was fitted on {self._source}. Move X with "
                f"xpnn.get_backend({self._source.name!r}).asarray(X), or set the estimator's "
                f"device, as in set_params(device={self._backend.name!r}), to take X from anywhere."
            )

    def _outputs(self, X: Any, method: str) -> tuple[Array, Backend]:
        """Raw outputs (`forward`) or predictions (`predict`) on the device of the work."""
        check_is_fitted(self)
        x, source = read_features(self, X, reset=False)
        self._check_place(source)
        state, backend = self._state, self._backend
        with backend.device_context(), np.errstate(all="ignore"):
            out = predict_in_chunks(self.network_, state.theta, state.buffers, x, backend, method)
        return out, source

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """The score of the predictions for X, computed where the work is done."""
        output, _ = self._outputs(X, "forward")
        weight = read_weight(sample_weight, output)
        weight = np.ones(output.shape[0]) if weight is None else weight
        backend = self._backend
        widest = backend.float_dtype("float64" if "float64" in backend.dtypes else "float32")
        rows = Dataset(output, self._read_scored(y, output), weight, backend, widest)
        raw, truth, weight = rows.arrays
        with backend.device_context(), np.errstate(all="ignore"):
            return float(self._device_score(raw, truth, weight, backend.xp))

    # -- files ------------------------------------------------------------------------------------

    def _to_record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        check_is_fitted(self)
        return to_record(self, _RECORDED)

    @classmethod
    def _from_record(cls, header: dict[str, Any], arrays: dict[str, Any]) -> Any:
        unknown = set(header["attributes"]) - set(_RECORDED)
        model = from_record(cls, header, arrays)
        layers = model.network_.layers
        sizes = (layers[0].n_in, layers[-1].n_out, len(layers) + 1)
        if unknown or sizes != (model.n_features_in_, model.n_outputs_, model.n_layers_):
            raise ValueError("its attributes are not those of its network")
        return model

    # -- fitted attributes ------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, (n_in, n_out) each, in X's library and on its device; assignable."""
        return self._parameters("coefs_", "weight")

    @coefs_.setter
    def coefs_(self, value: Iterable[Any]) -> None:
        self._assign("coefs_", "weight", value)

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, (n_out,) each, in X's library and on its device; assignable."""
        return self._parameters("intercepts_", "bias")

    @intercepts_.setter
    def intercepts_(self, value: Iterable[Any]) -> None:
        self._assign("intercepts_", "bias", value)

    def _parameters(self, name: str, role: str) -> list[Array]:
        if not hasattr(self, "network_"):
            raise AttributeError(f"{type(self).__name__} has no {name} before fit.")
        theta, layout = self._state.theta, self.network_.layout
        with self._backend.device_context():
            parts = layout.split(theta, self._backend.xp)
            arrays = [
                self._source.asarray(parts[e.name], copy=True)
                for e in layout.entries
                if e.role == role
            ]
        for a in arrays:
            if isinstance(a, np.ndarray):
                a.flags.writeable = False  # a write would be lost; assign the item instead
        return Parameters(arrays, self, name)

    def _assign(self, name: str, role: str, value: Iterable[Any]) -> None:
        check_is_fitted(self)
        layout, backend = self.network_.layout, self._backend
        entries = [e for e in layout.entries if e.role == role]
        arrays = list(value)
        shapes = [tuple(np.shape(a)) for a in arrays]
        if shapes != [e.shape for e in entries]:
            raise ValueError(
                f"{name} must have the shapes {[e.shape for e in entries]}, got {shapes}."
            )
        with backend.device_context():
            parts = layout.split(self._state.theta, backend.xp)
            for e, a in zip(entries, arrays, strict=True):
                parts[e.name] = backend.asarray(a, dtype=self._dtype)
            self._state = replace(self._state, theta=layout.join(parts, backend.xp))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags


_WARNED: set[str] = set()
# Fitted attributes of plain data that do not follow from the others.
_RECORDED = (
    "n_features_in_",
    "feature_names_in_",
    "n_outputs_",
    "n_layers_",
    "out_activation_",
    "_vector",
)


def draw_seed(random_state: Any) -> int:
    """64 bits from scikit-learn's kinds of random state."""
    high, low = check_random_state(random_state).randint(0, 2**32, size=2, dtype=np.uint32)
    return int(high) << 32 | int(low)


def hidden_sizes(value: Any) -> list[Any]:
    """Sizes of the hidden layers as a list; a number stands for one layer."""
    sizes = list(value) if hasattr(value, "__iter__") else [value]
    if any(isinstance(size, Real) and size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    if any(not isinstance(size, Integral) or isinstance(size, bool) for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be whole numbers, got {sizes}.")
    return sizes


def take_rows(a: Any, rows: np.ndarray) -> Any:
    """Rows of an array of any library, or of a CSR matrix; None stays None."""
    if a is None or not is_foreign(a):
        return None if a is None else a[rows]
    backend = backend_of(a)
    with backend.device_context():
        return backend.xp.take(a, backend.asarray(rows), axis=0)


def print_epoch(end: EpochEnd) -> None:
    """What scikit-learn's `verbose` prints."""
    print(f"Iteration {end.epoch}, loss = {end.metrics['loss']:.8f}")  # noqa: T201
    if "val_score" in end.metrics:
        print(f"Validation score: {end.metrics['val_score']:f}")  # noqa: T201
