"""What several commands do alike."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.cli import options as opt

if TYPE_CHECKING:
    from xpnn.tables.problem import Problem


def parameters(
    hidden: str | None,
    members: int | None,
    embedding: str,
    epochs: int | None,
    time_limit: float | None,
    seed: int,
    dtype: str,
) -> dict[str, Any]:
    """An estimator's parameters from options of both tasks."""
    kind = opt.known("embedding", embedding, opt.MODELS)
    return {
        "hidden": opt.sizes(hidden),
        "n_members": members,
        "embedding": None if kind == "none" else kind,
        "epochs": epochs,
        "time_limit": opt.within("--time-limit", time_limit, 0, math.inf, True),
        "random_state": seed,
        "dtype": opt.one_of("--dtype", dtype, ("float32", "float64")),
    }


def load_model(model: Path) -> Any:
    """The model of a file, or of the folder that has it."""
    from xpnn.command.predict import model_of
    from xpnn.estimators import load
    from xpnn.files.model import IN_FOLDER

    place = model / IN_FOLDER if model.is_dir() else model
    if not place.exists():
        below = [str(path.parent) for path in sorted(model.glob(f"*/{IN_FOLDER}"))]
        there = f"There are {', '.join(below[:8])}" if below else "xpnn train writes one"
        raise ValueError(f"{place}: No such file or directory. {there}.")
    return model_of(load(model), str(model))


def about(source: str, n_rows: int, problem: "Problem") -> Iterator[str]:
    """Lines that say what is learnt."""
    what = problem.target.task
    if what == "classification":
        what += f" into {len(set(problem.y.tolist()))} classes"
    n, names = len(problem.parsed), problem.target_names
    named = f"target{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"
    columns = f"{n_rows:,} rows, {n} {'column' if n == 1 else 'columns'}"
    yield f"data    {source}: {columns}; {what}, {named}"
    yield from (f"note    {notice}" for notice in problem.notices)
