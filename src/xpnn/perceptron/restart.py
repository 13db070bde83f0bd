"""A perceptron's fit as a checkpoint's record, and back to the same bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.backend import Backend, to_numpy
from xpnn.arrays.typing import Array, Namespace
from xpnn.perceptron.reference import State
from xpnn.training.checkpoint import Record
from xpnn.training.restart import moved
from xpnn.training.sound import check_count, check_history

_NUMBERS = ("scale", "clip", "t")
_ARRAYS = tuple(name for name in State._fields if name not in _NUMBERS)
_POCKET = ("coef", "intercept", "badness")
_RESULT = ("coef", "intercept", "mean", "mean_intercept")


class Problems(NamedTuple):
    """The binary problems, as the last fields of `Data`."""

    labels: Array
    class_weight: Array


def of_problems(problems: Problems, keep: Array, xp: Namespace) -> Problems:
    """Some of the problems."""
    return Problems(
        xp.take(problems.labels, keep, axis=0), xp.take(problems.class_weight, keep, axis=1)
    )


def fit_record(fit: Any) -> Record:
    """All that a fit needs to go on.

    Parameters
    ----------
    fit : the fit of `xpnn.perceptron.fit`
        Between two pieces of its samples.
    """
    arrays = {name: getattr(fit.state, name) for name in _ARRAYS} | fit.samples.arrays
    if fit.at:
        arrays["sums"] = fit.sums
    if fit.pocket.badness is not None:
        arrays |= {f"pocket_{name}": getattr(fit.pocket, name) for name in _POCKET}
    problems = []
    for i, progress in enumerate(fit.progress):
        result = progress.result
        problems.append([progress.best, progress.waited, None if result is None else result.n_iter])
        if result is not None:
            arrays |= {f"result_{i}_{name}": getattr(result, name) for name in _RESULT}
    header = {
        "number": fit.number,
        "at": fit.at,
        "active": fit.active,
        "history": fit.history,
        "numbers": {name: float(getattr(fit.state, name)) for name in _NUMBERS},
        "problems": problems,
    }
    return Record(header, {k: np.asarray(to_numpy(a)) for k, a in arrays.items()})


def restore_fit(fit: Any, record: Record, backend: Backend, make_result: Any) -> None:
    """Put a fit that has not begun where `fit_record` found one.

    Parameters
    ----------
    fit : the fit of `xpnn.perceptron.fit`
        Of the same samples.
    make_result : callable
        Makes the result of a problem.
    """
    header, host = record.header, record.arrays
    _check(fit, record)
    fit.number, fit.active, fit.history = header["number"], header["active"], header["history"]
    fit.at = header["at"]
    fit.sums = moved(backend, host["sums"]) if fit.at else None
    fit.samples.restore(host)
    for i, (best, waited, n_iter) in enumerate(header["problems"]):
        fit.progress[i].best, fit.progress[i].waited = best, waited
        if n_iter is not None:
            arrays = [moved(backend, host[f"result_{i}_{name}"]) for name in _RESULT]
            fit.progress[i].result = make_result(*arrays, n_iter)
    if fit.active and len(fit.active) < len(fit.progress):
        at = backend.asarray(np.asarray(fit.active))
        fit.problems = of_problems(fit.problems, at, backend.xp)
    fit.state = State(**{name: moved(backend, host[name]) for name in _ARRAYS}, **header["numbers"])
    if "pocket_badness" in host:
        fit.pocket.coef, fit.pocket.intercept, fit.pocket.badness = (
            moved(backend, host[f"pocket_{name}"]) for name in _POCKET
        )


def _check(fit: Any, record: Record) -> None:
    """Raise a ValueError where arrays or places are not those of this fit."""
    header, host = record.header, record.arrays
    check_count("number", header["number"], high=fit.plan.max_iter)
    check_history(header["history"])
    active, problems = header["active"], len(fit.progress)
    if active != sorted(set(active)) or not set(active) <= set(range(problems)):
        raise ValueError(f"its active problems are {active}")
    ended = {i for i, (_, _, n_iter) in enumerate(header["problems"]) if n_iter is not None}
    if len(header["problems"]) != problems or ended != set(range(problems)) - set(active):
        raise ValueError("its problems are not those of this training")
    k = len(active) or host["coef"].shape[0]
    at = check_count("row of the epoch", header["at"], high=max(0, fit.samples.n - 1))
    fit.samples.batches(at)  # of which it is the end
    if at and (not active or host["sums"].shape != (3, k)):
        raise ValueError(f"its epoch is cut at row {at}, with other sums than of {k} problems")
    for name in _ARRAYS:
        wanted = tuple(getattr(fit.state, name).shape)
        wanted = (2, k) if name == "norms" else (k, *wanted[1:])
        if host[name].shape != wanted or host[name].dtype.kind != "f":
            raise ValueError(f"{name} is {host[name].dtype} of shape {host[name].shape}")
    for best, waited, n_iter in header["problems"]:
        check_count("waited", waited)
        check_count("n_iter", n_iter or 0)
        check_history({"best": [best]})
