"""The private side of scikit-learn that xpnn stands on, and what its older versions lack.

Everything else of scikit-learn that is used here is public. A test reads the imports and fails
where a private name is used in another file, or where the installed version lacks one of these.
"""

from typing import Any, TypeVar

__all__ = [
    "PRIVATE",
    "CallbackSupportMixin",
    "begin_tasks",
    "get_progress",
    "has_callbacks",
    "set_progress",
    "with_callbacks",
]

Method = TypeVar("Method")

PRIVATE = ("CallbackSupportMixin._init_callback_context", "CallbackSupportMixin._skl_callbacks")
"""Both of `sklearn.callback`, the first one documented; needed from scikit-learn 1.9 on."""

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9: no set_callbacks, and everything else works

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to attach callbacks with."""

    def with_callbacks(method: Method) -> Method:
        """The method as it is."""
        return method


def begin_tasks(est: Any, most: int) -> Any:
    """The root task of a fit with at most so many subtasks; None before scikit-learn 1.9."""
    begin = getattr(est, "_init_callback_context", None)
    return None if begin is None else begin(max_subtasks=most)


def has_callbacks(est: Any) -> bool:
    """Whether a user or a search has attached callbacks of `sklearn.callback`."""
    return bool(getattr(est, "_skl_callbacks", None))


def get_progress(model: Any) -> dict[str, Any]:
    """Where the training of scikit-learn's own MLP stands.

    Returns
    -------
    dict
        What it has of: "moments", a list of lists of arrays; "t", steps that they have seen;
        "rate", the learning rate of sgd; "stale", epochs without improvement.
    """
    found: dict[str, Any] = {}
    optimizer: Any = getattr(model, "_optimizer", None)
    if hasattr(optimizer, "ms"):
        found |= {"moments": [optimizer.ms, optimizer.vs], "t": int(optimizer.t)}
    if hasattr(optimizer, "velocities"):
        found |= {"moments": [optimizer.velocities], "rate": float(optimizer.learning_rate)}
    if hasattr(model, "_no_improvement_count"):
        found["stale"] = int(model._no_improvement_count)
    return found


def set_progress(model: Any, progress: dict[str, Any]) -> None:
    """Let the training of scikit-learn's own MLP go on from there."""
    optimizer: Any = getattr(model, "_optimizer", None)
    moments = progress.get("moments", ())
    if hasattr(optimizer, "ms") and len(moments) == 2:
        (optimizer.ms, optimizer.vs), optimizer.t = moments, progress["t"]
    if hasattr(optimizer, "velocities") and len(moments) == 1:
        optimizer.velocities, optimizer.learning_rate = moments[0], progress["rate"]
    if hasattr(model, "_no_improvement_count"):
        model._no_improvement_count = progress.get("stale", 0)
