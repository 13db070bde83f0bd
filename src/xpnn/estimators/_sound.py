"""Whether what a model file says of a network fits together: told when it is opened, not later."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from xpnn.estimators import _settings as settings
from xpnn.estimators._coefs import count_layers
from xpnn.model.network import Network, make_groups
from xpnn.training.sound import MOST, check_history, check_range


def check_arrays(
    arrays: dict[str, np.ndarray], network: Network, dtype: Any, optimizer: Any
) -> None:
    """Raise a ValueError unless these are a network's parameters, statistics and moments.

    Parameters
    ----------
    arrays : dict of str to ndarray
    dtype : {"float32", "float64"}
    optimizer : class of xpnn.optimizers, or None
        Whose moments there are.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"its dtype is {dtype!r}")
    n_moments = 0 if optimizer is None else optimizer.moments
    names = {"theta", "buffers", *(f"moment_{i}" for i in range(n_moments))}
    if {"best_theta", "best_buffers"} & set(arrays):
        names |= {"best_theta", "best_buffers"}
    if set(arrays) != names:
        raise ValueError(f"its arrays are {sorted(arrays)}, expected {sorted(names)}")
    positive = {f"moment_{i}" for i in ([] if optimizer is None else optimizer.squares)}
    for name, array in arrays.items():
        layout = network.buffer_layout if name.endswith("buffers") else network.layout
        if array.shape != (layout.size,) or array.dtype != dtype:
            raise ValueError(
                f"{name} is {array.dtype} of shape {array.shape}, not {layout.size} {dtype}"
            )
        if not name.startswith("moment"):
            check_range(name, array)
        elif name in positive and (array < 0).any():
            raise ValueError(f"{name} has a square below zero")
    for name in ("buffers", "best_buffers"):
        for e in network.buffer_layout.entries if name in arrays else ():
            if e.part == "variance" and (arrays[name][e.offset : e.offset + e.size] < 0).any():
                raise ValueError(f"{name} has a variance below zero")


def check_learning(estimator: Any) -> None:
    """Raise a ValueError where parameters contradict the network, or nothing could be learned.

    Parameters
    ----------
    estimator : BaseMLP
        With its network and labels.
    """
    loss = estimator._resolve_loss()
    network = settings.same_layout(estimator, loss)
    make_groups(estimator.groups or (), network.layout)
    optimizer = None if estimator.solver == "lbfgs" else settings.make_optimizer(estimator)
    names = {"stopping": False, "incremental": False}
    settings.make_config(estimator, 2**62, loss, optimizer, "loss", **names)
    for name in ("max_iter", "max_fun", "members", "batch_size"):
        value = getattr(estimator, name)
        if not isinstance(value, str) and int(value) > MOST:
            raise ValueError(f"its {name} is {value!r}")


def check_attributes(
    given: dict[str, Any], network: Network, classifier: bool, known: tuple[str, ...]
) -> None:
    """Raise a ValueError unless these are a network's fitted attributes."""
    n_in, n_out = network.layers[0].n_in, network.layers[-1].n_out
    facts: dict[str, Any] = {"n_features_in_": n_in, "n_outputs_": n_out}
    facts["n_layers_"] = count_layers(network)
    text = given["out_activation_"]
    check_feature_names(given, n_in)
    right = all(type(given[name]) is int and given[name] == n for name, n in facts.items())
    right = right and set(given) <= set(known) and isinstance(text, str)
    right = right and type(given.get("n_iter_", 0)) is int and given.get("n_iter_", 0) >= 0
    right = right and type(given.get("loss_", 0.0)) is float
    if not classifier:
        right = right and type(given["_vector"]) is bool and (n_out == 1 or not given["_vector"])
    if not right:
        raise ValueError("its attributes are not those of its network")


def check_names(given: dict[str, Any], names: Iterable[str], perhaps: Iterable[str]) -> None:
    """Raise a ValueError unless fitted attributes are these, with features that can be."""
    known = set(names)
    if not known <= set(given) <= known.union(perhaps):
        raise ValueError(f"its attributes are {', '.join(map(str, given))}")
    if type(given["n_features_in_"]) is not int or given["n_features_in_"] < 1:
        raise ValueError(f"its n_features_in_ is {given['n_features_in_']!r}")
    check_feature_names(given, given["n_features_in_"])
    check_history(given["history_"])


def check_feature_names(given: dict[str, Any], n_in: int) -> None:
    """Raise a ValueError unless there are no names, or one for each feature."""
    if "feature_names_in_" in given:
        names = given["feature_names_in_"]
        if not isinstance(names, np.ndarray) or names.shape != (n_in,):
            raise ValueError(f"its features have the names {names!r}")
