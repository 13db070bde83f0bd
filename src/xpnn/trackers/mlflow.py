"""Runs of MLflow."""

from typing import Any

from xpnn._optional import needed
from xpnn._version import __version__
from xpnn.trackers.tensorboard import plain_params
from xpnn.trackers.watch import Watcher
from xpnn.training.callbacks import EpochEnd


class MLflow(Watcher):
    """Logs to MLflow: the parameters, each epoch's metrics, and the network itself.

    MLflow's autolog patches scikit-learn's classes alone; this is its counterpart. It logs into
    the run that is active, or into one of its own; where the active run has other values of
    these parameters, such as those of an earlier fit, into a run nested in it.

    Parameters
    ----------
    run_name : str, default=None
    log_model : bool, default=True
        Whether to log the network of the last epoch, by `mlflow.sklearn` as a pickle, which can
        run code when it is opened.
    log_onnx : bool, default=False
        Whether to log it as ONNX too, by `mlflow.onnx`; needs the extra `onnx`.

    Notes
    -----
    A tabular model is blended after its last epoch: log it after fit, with
    ``mlflow.sklearn.log_model(model, name="model")``.

    Examples
    --------
    >>> from xpnn.callbacks import MLflow
    >>> model = xpnn.MLPClassifier(callbacks=[MLflow("first try")])  # doctest: +SKIP
    """

    def __init__(
        self, run_name: str | None = None, *, log_model: bool = True, log_onnx: bool = False
    ) -> None:
        self.run_name, self.log_model, self.log_onnx = run_name, log_model, log_onnx
        self._last: EpochEnd | None = None
        self._own = False

    def on_begin(self, epochs: int) -> None:
        """Begin a run, unless one is active."""
        mlflow = needed("mlflow", "MLflow")
        params = {} if self._estimator is None else plain_params(self._estimator)
        active, self._last = mlflow.active_run(), None
        taken = active is not None and _differ(mlflow, active, params)
        self._own = active is None or taken
        if self._own:
            mlflow.start_run(run_name=self.run_name, nested=taken)
        mlflow.log_params(params)

    def __call__(self, end: EpochEnd) -> None:
        """Log the metrics."""
        needed("mlflow", "MLflow").log_metrics(end.metrics, step=end.epoch)
        self._last = end

    def on_end(self) -> None:
        """Log the network, and end the run that was begun here."""
        mlflow = needed("mlflow", "MLflow")
        try:
            if self._last is not None and hasattr(self._estimator, "_state"):
                self._log(mlflow, self.model(self._last))
        finally:
            super().on_end()
            self._last = None
            if self._own:
                mlflow.end_run()

    def _log(self, mlflow: Any, model: Any) -> None:
        if self.log_model:
            sklearn = needed("mlflow.sklearn", "MLflow")
            how = sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE
            about = {"serialization_format": how, "pip_requirements": [f"xpnn=={__version__}"]}
            sklearn.log_model(model, name="model", **about)
        if self.log_onnx:
            from xpnn.exchange.onnx.export import to_onnx

            needs = ["onnx", "onnxruntime"]
            log = needed("mlflow.onnx", "MLflow").log_model
            log(to_onnx(model), name="onnx", pip_requirements=needs)


def _differ(mlflow: Any, run: Any, params: dict[str, Any]) -> bool:
    """Whether a run has other values of parameters, which MLflow keeps from being changed."""
    there = mlflow.get_run(run.info.run_id).data.params
    return any(there.get(name, str(value)) != str(value) for name, value in params.items())
