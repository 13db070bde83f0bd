"""What is behind `Perceptron`: from checked samples to fitted attributes, and scores."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend, backend_of, dtype_name, to_numpy
from xpnn.arrays.typing import Array
from xpnn.blocks import Blocks
from xpnn.distributed.communicator import Communicator
from xpnn.estimators._blocks import block_outputs
from xpnn.estimators._checkpoint import about, drawing
from xpnn.estimators._device import OnDevice
from xpnn.estimators._inputs import (
    NUMPY,
    check_range,
    check_weight_range,
    is_foreign,
    read_features,
    read_target,
)
from xpnn.estimators._labels import Labels
from xpnn.estimators._processes import Way, agreed_seed, as_a_part, check_own_rows, check_same
from xpnn.perceptron import record
from xpnn.perceptron.batches import rows_at_once
from xpnn.perceptron.choice import place
from xpnn.perceptron.fit import Fitted, Plan, fit_problems
from xpnn.perceptron.reading import Rows, look_late, make_samples, read_rows
from xpnn.perceptron.reference import Rule, initial_state
from xpnn.perceptron.restart import Problems
from xpnn.steps.scores import first_largest
from xpnn.training.agreement import one_thread_a_product
from xpnn.training.checkpoint import Keeper
from xpnn.training.data import Dataset, dense, is_sparse
from xpnn.training.interrupt import TrainingInterrupted

_MAX_INT = np.iinfo(np.int32).max
_CHUNK = 1 << 16  # rows scored at a time


class BasePerceptron(OnDevice):
    """The work of `Perceptron`."""

    _records: ClassVar[Any] = record

    penalty: str | None
    alpha: float
    l1_ratio: float
    fit_intercept: bool
    max_iter: int
    tol: float | None
    shuffle: bool
    verbose: int
    eta0: float
    random_state: Any
    early_stopping: bool
    n_iter_no_change: int
    class_weight: Any
    warm_start: bool
    average: bool
    pocket: bool
    batch_size: int
    n_features_in_: int
    coef_: Any
    intercept_: Array
    classes_: Array
    history_: dict[str, list[float]]
    n_iter_: int
    t_: float
    _labels: Labels
    _dtype: str
    _last: dict[str, Array]  # of average=True: the weights themselves and their mean

    # -- fitting ------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        init: tuple[Any, Any] = (None, None),
        *,
        classes: Any = None,
        incremental: bool = False,
        keeper: Keeper | None = None,
        comm: Communicator | None = None,
    ) -> None:
        if self.average and self.pocket:
            raise ValueError("average=True and pocket=True each say which weights to keep: use one")
        again, way = incremental and hasattr(self, "classes_"), Way(None, keeper, comm)
        with look_late(self, X, way, again=again) as look:
            how: dict[str, Any] = {"incremental": incremental, "again": again, "look": look}
            self._learn(X, y, sample_weight, init, classes, way, **how)

    def _learn(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        init: tuple[Any, Any],
        classes: Any,
        way: Way,
        *,
        incremental: bool,
        again: bool,
        look: bool,
    ) -> None:
        keeper, comm, here = way.keeper, way.comm, None if isinstance(X, Blocks) else y
        with as_a_part(way, self, here, classes) as classes:
            how: dict[str, Any] = {"again": again, "look": look, "comm": comm}
            rows, source = read_rows(self, X, y, sample_weight, classes, **how)
            backend = self._backend_for(source)
            self._dtype = dtype = self._working_dtype(rows.x, backend)
            if not rows.in_blocks:  # which are checked when they are read
                check_range(rows.x, dtype)
                check_weight_range(rows.weight, dtype)
        if not again:
            self._source, self.t_ = source, 1.0
            if not (self.warm_start and hasattr(self, "coef_")):
                self.__dict__.pop("coef_", None)
            self.__dict__.pop("_last", None)
        self._backend = backend
        rule = self._rule(is_sparse(rows.x))
        work = place(backend, rule)
        with work.device_context(), np.errstate(all="ignore"):
            start = self._start(work, dtype, *init)
            epochs = 1 if incremental else int(self.max_iter)
            if keeper is not None:
                data = {"classes": self.classes_}
                if not way.own_rows:
                    data |= {"X": rows.x, "y": rows.codes, "sample_weight": rows.weight}
                given = None if init[0] is init[1] is None else [*start.values()]
                keeper.begin(about(self, dtype, **data, start=given and tuple(given)))
            with one_thread_a_product(comm, work):
                results, self.history_, interrupted = self._train(
                    rows, rule, work, start, dtype, epochs, way
                )
            self._adopt(results, work, source)
        self.n_iter_ = max(r.n_iter for r in results)
        self.t_ += self.n_iter_ * way.sum_of_own(rows.n)
        if interrupted:
            raise TrainingInterrupted("" if keeper is None else keeper.advice)
        if not incremental and self.tol is not None and self.n_iter_ == self.max_iter:
            warn_user(
                "Maximum number of iteration reached before convergence. Consider increasing "
                "max_iter to improve the fit.",
                ConvergenceWarning,
            )

    def _read_target(self, y: Any, x: Any, role: str, classes: Any = None) -> np.ndarray:
        """Class codes of the targets in `Blocks`; the classes are set in a first fit."""
        host = read_target(self, y, x, numeric=False, warn=False)
        if role == "held out":
            codes: np.ndarray = self._labels.encode(host).astype(np.int32)
            return codes
        return self._read_labels(host, y, classes, again=role == "later")

    def _read_labels(self, host: np.ndarray, y: Any, classes: Any, *, again: bool) -> np.ndarray:
        """Class codes of the target; set the classes unless they stand."""
        if host.ndim != 1:
            raise ValueError(f"y should be a 1d array, got an array of shape {host.shape} instead.")
        given = None if classes is None else np.asarray(to_numpy(classes))
        if again and classes is not None:
            self._labels.check_classes(classes)
        if not again:
            self._labels = Labels.of(host, given)
            self.classes_ = self._labels.classes
            if self._labels.numeric and is_foreign(y):
                self.classes_ = backend_of(y).asarray(self._labels.classes)
        if len(self._labels.classes) < 2:
            raise ValueError(
                "The number of classes has to be greater than one; got "
                f"{len(self._labels.classes)} class"
            )
        codes: np.ndarray = self._labels.encode(host)
        return codes

    def _start(self, backend: Backend, dtype: str, coef: Any, intercept: Any) -> dict[str, Array]:
        """Weights to begin with, and their mean so far, on the device of the work."""
        n_classes, d = len(self._labels.classes), self.n_features_in_
        k = 1 if n_classes == 2 else n_classes
        last = getattr(self, "_last", {})
        if coef is None and hasattr(self, "coef_"):
            coef = last.get("coef", self.coef_)
        if intercept is None and hasattr(self, "coef_"):
            intercept = last.get("intercept", self.intercept_)
        found = {"coef": (coef, (k, d)), "intercept": (intercept, (k,))}
        found |= {"mean": (last.get("mean"), (k, d))}
        found |= {"mean_intercept": (last.get("mean_intercept"), (k,))}
        start = {}
        for name, (value, shape) in found.items():
            if value is None:
                real = backend.float_dtype(dtype)
                start[name] = backend.xp.zeros(shape, dtype=real, device=backend.device)
                continue
            array = backend.asarray(dense(value), dtype=dtype, copy=True)
            if array.ndim < len(shape) and int(np.prod(array.shape)) == int(np.prod(shape)):
                array = backend.xp.reshape(array, shape)
            if tuple(array.shape) != shape:
                raise ValueError(
                    f"{name}_init or the weights to go on from have shape {tuple(array.shape)}, "
                    f"but this data needs {shape}: Provided ``{name}_`` does not match dataset."
                )
            start[name] = array
        return start

    def _train(
        self,
        rows: Rows,
        rule: Rule,
        backend: Backend,
        start: dict[str, Array],
        dtype: str,
        epochs: int,
        way: Way,
    ) -> tuple[list[Fitted], dict[str, list[float]], bool]:
        k, move = int(start["coef"].shape[0]), backend.asarray
        comm, random_state = way.comm, drawing(self.random_state, way.keeper)
        if comm is not None and not isinstance(random_state, int):
            drawn = check_random_state(random_state).randint(_MAX_INT)
            random_state = agreed_seed(comm, drawn)
        check_own_rows(way, self, rows)
        how = rows, rule, backend, dtype, random_state, way
        samples, held, seed, known = make_samples(self, *how)
        check_same(comm, self, known)
        problems = Problems(
            move(np.asarray([1] if k == 1 else range(k)), dtype="int32"),
            move(rows.class_weight, dtype=dtype),
        )
        state = initial_state(start["coef"], start["intercept"], backend.xp, rule.alpha != 0.0)
        state = state._replace(
            mean=start["mean"], mean_intercept=start["mean_intercept"], t=float(self.t_)
        )
        plan = Plan(
            max_iter=epochs,
            tol=-np.inf if self.tol is None else float(self.tol),
            patience=int(self.n_iter_no_change),
            seed=seed if self.shuffle else None,
            keep_best=bool(self.pocket),
            verbose=bool(self.verbose) and (comm is None or comm.rank == 0),
            comm=comm,
        )
        return fit_problems(state, samples, problems, held, rule, plan, backend, way.keeper)

    def _rule(self, sparse: bool) -> Rule:
        shares = {"l2": 0.0, "l1": 1.0, "elasticnet": float(self.l1_ratio)}
        return Rule(
            eta=float(self.eta0),
            alpha=0.0 if self.penalty is None else float(self.alpha),
            l1_ratio=0.0 if self.penalty is None else shares[self.penalty],
            fit_intercept=bool(self.fit_intercept),
            batch_size=int(self.batch_size),
            average=bool(self.average),
            sparse=sparse,
        )

    def _adopt(self, results: list[Fitted], backend: Backend, source: Backend) -> None:
        """Set the fitted attributes, in X's library and on its device."""
        xp = backend.xp

        def gather(name: str) -> Array:
            rows = xp.stack([getattr(r, name) for r in results])
            return source.asarray(rows, dtype=dtype_name(results[0].coef.dtype))

        fields = ("coef", "intercept", "mean", "mean_intercept")
        found = {name: gather(name) for name in (fields if self.average else fields[:2])}
        self.coef_, self.intercept_ = found["coef"], found["intercept"]
        self.__dict__.pop("_last", None)
        if self.average:  # the next epoch goes on from the weights themselves
            self.coef_, self.intercept_ = found["mean"], found["mean_intercept"]
            self._last = found

    def _move(self, target: Backend) -> None:
        for name in ("coef_", "intercept_", "classes_"):
            value = getattr(self, name)
            if not is_sparse(value) and (self._labels.numeric or name != "classes_"):
                setattr(self, name, target.asarray(value, copy=True))
        if "_last" in self.__dict__:
            self._last = {k: target.asarray(v, copy=True) for k, v in self._last.items()}

    # -- predicting ---------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_") and hasattr(self, "t_")

    def _outputs(self, X: Any, method: str) -> tuple[Array, Backend, Backend]:
        """Scores (n, K) on the device of the work, the backend of the work, and that of X."""
        check_is_fitted(self)
        if isinstance(X, Blocks):
            self._check_place(NUMPY, method)
            backend = self._backend_for(NUMPY)
            return backend.xp.concat(list(block_outputs(self, X, method))), backend, NUMPY
        x, source = read_features(self, X, reset=False)
        self._check_place(source, method)
        backend = self._backend_for(source)
        coef = dense(self.coef_)
        check_range(x, dtype_name(coef.dtype))
        with backend.device_context():
            xp, coef = backend.xp, backend.asarray(coef)
            data = Dataset(x, None, None, backend, coef.dtype)
            weights = xp.matrix_transpose(coef)
            parts = []
            most = rows_at_once(coef.shape[1], _CHUNK)
            for first in range(0, data.n, most):
                size = min(most, data.n - first)
                if data.resident:
                    parts.append(data.arrays[0][first : first + size, :] @ weights)
                else:
                    parts.append(data.fetch(None, first, size)[0] @ weights)
            score = parts[0] if len(parts) == 1 else xp.concat(parts)
            return score + backend.asarray(self.intercept_), backend, source

    def _codes(self, X: Any, method: str) -> tuple[Array, Backend, Backend]:
        score, backend, source = self._outputs(X, method)
        with backend.device_context():
            xp = backend.xp
            integer = xp.int64 if "int64" in backend.dtypes else xp.int32
            if score.shape[1] == 1:
                codes = xp.astype(score[:, 0] > 0, integer)
            else:
                codes = first_largest(score, integer, xp)
            return codes, backend, source
