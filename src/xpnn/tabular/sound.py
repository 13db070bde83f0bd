"""Whether what a model file says of a tabular estimator fits together: told when it is opened."""

from typing import Any, get_args

import numpy as np

from xpnn.estimators._sound import check_names
from xpnn.tabular.quantiles import check_levels
from xpnn.training.sound import check_count, check_history, check_range
from xpnn.training.state import Outcome


def check_attributes(
    given: dict[str, Any], names: tuple[str, ...], perhaps: tuple[str, ...]
) -> None:
    """Raise a ValueError unless these are the fitted attributes of a tabular estimator.

    Parameters
    ----------
    given : dict of str to object
    names : tuple of str
        All that there has to be.
    perhaps : tuple of str
        All others that there may be.
    """
    check_names(given, names, perhaps)
    columns, valleys, levels = given["_columns"], given["valleys_"], given.get("quantiles_")
    n = given["n_features_in_"]
    if not _names(columns) or not len(columns) == len(set(columns)) == n:
        raise ValueError(f"its columns are {columns!r}")
    for epoch, (score, weight) in valleys.items():
        check_count("epoch", epoch)
        check_history({"score": [score], "weight": [weight]})
    if given["outcome_"] not in get_args(Outcome):
        raise ValueError(f"its outcome is {given['outcome_']!r}")
    if levels is not None and not (isinstance(levels, tuple) and levels == check_levels(levels)):
        raise ValueError(f"its quantiles are {levels!r}")
    for name in ("fit_time_", "validation_score_", "validation_log_loss_", "temperature_"):
        check_history({name: [given.get(name, 1.0)]})
    if not 0.0 < given.get("temperature_", 1.0) < np.inf:
        raise ValueError(f"its temperature is {given['temperature_']!r}")
    for name, pair in given.get("importance_", {}).items():
        check_history({name: list(pair)})
        if len(pair) != 2 or not isinstance(name, str):
            raise ValueError(f"its importance of {name!r} is {pair!r}")
    target = given.get("target_name_", "")
    if not _names(target if isinstance(target, list) else [target]):
        raise ValueError(f"its target is {target!r}")


def _names(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(name, str) for name in values)


def check_arrays(
    estimator: Any,
    header: dict[str, Any],
    arrays: dict[str, np.ndarray],
    names: tuple[str, ...],
) -> None:
    """Raise a ValueError unless the arrays have the shapes of the network and the rows."""
    network, weights = estimator.network_, header["weights"]
    numbers = isinstance(weights, list) and all(type(w) is float and w > 0 for w in weights)
    if not (numbers and weights) or network.members != estimator.recipe_.members:
        raise ValueError(f"its weights are {weights!r}")
    n_in = max(1, len(estimator.encoding_.names))
    if network.n_in != n_in:
        raise ValueError(f"its network has {network.n_in} inputs, its table {n_in}")
    steps = (s for c in estimator.encoding_.columns for s in getattr(c, "steps", ()))
    if any(max(s.members) >= network.members for s in steps):
        raise ValueError(f"its table has steps of other members than its {network.members}")
    repeats, n, out = estimator.recipe_.repeats, arrays["folds"].shape[-1], network.n_out
    whole = len(arrays["oof_prediction"])  # rows without weight have no fold
    if whole < n:
        raise ValueError(f"it has predictions out of fold for {whole} of {n} rows")
    wanted: dict[str, tuple[int, ...]] = {"folds": (repeats, n), "held": (repeats, n, out)}
    for i in range(len(weights)):
        wanted |= {f"theta_{i}": (network.layout.size,)}
        wanted |= {f"buffers_{i}": (network.buffer_layout.size,)}
    if not names:  # of classes
        wanted["oof_prediction"] = (whole, out)
    else:
        vector = header["attributes"]["_vector"]
        levels = estimator.quantiles_
        share = estimator.log_share_
        if share is not None and not (
            type(share) is float and 0 <= share <= 1 and out == 2 and vector and levels is None
        ):
            raise ValueError(f"its log_share_ is {share!r}")
        targets = out if levels is None and share is None else 1
        if levels is not None and len(levels) != out:
            raise ValueError(f"it has {out} outputs for the quantiles {levels!r}")
        if type(vector) is not bool or (vector and targets > 1):
            raise ValueError(f"its _vector is {vector!r}")
        wanted |= {"oof_prediction": (whole,) if vector else (whole, out)}
        wanted |= {"residuals": (repeats, n, targets)}
        wanted |= dict.fromkeys(names, (targets if share is None else out,))
    shapes = {name: a.shape for name, a in arrays.items()}
    if shapes != wanted:
        raise ValueError(f"its arrays have the shapes {shapes}, expected {wanted}")
    for name in wanted:
        if name.startswith(("theta", "buffers")):
            check_range(name, arrays[name])
