"""What was done and what came of it, in one screen of text."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from xpnn.tables.encoding import Column
from xpnn.tables.kinds import Numbers, Words
from xpnn.tabular.plain import is_widened, plain_inputs

_MOST_COLUMNS = 30
_KINDS = {"numeric": "numbers", "datetime": "times", "words": "words"}


def summary(estimator: Any) -> str:
    """Lines about a fitted tabular estimator: columns, network, valleys, scores.

    Parameters
    ----------
    estimator : fitted TabularClassifier or TabularRegressor
    """
    return "\n".join([*_columns(estimator), "", *_training(estimator)])


def _columns(est: Any) -> Iterator[str]:
    encoding, members = est.encoding_, est.network_.members
    named = [
        (c.name, _what(c), "; ".join([*encoding.notes.get(c.name, ()), *_steps(c, members)]))
        for c in encoding.columns
    ]
    named += [(name, "left out", why) for name, why in encoding.left_out.items()]
    shown = named[:_MOST_COLUMNS]
    widths = [max((len(row[i]) for row in shown), default=0) for i in (0, 1)]
    for name, what, note in shown:
        yield f"{name:{widths[0]}}  {what:{widths[1]}}  {note}".rstrip()
    if len(named) > len(shown):
        counts = Counter(what.partition(",")[0] for _, what, _ in named[len(shown) :])
        more = ", ".join(f"{what} ({n})" for what, n in counts.items())
        yield f"and {len(named) - len(shown)} more: {more}"


def _what(column: Column) -> str:
    what = _KINDS[column.kind]
    if isinstance(column, Numbers) and column.steps:
        return f"{what}, steps" + (", gaps" if column.flag else "")
    if isinstance(column, Words):
        count = len(column.categories) or 1  # one alone has no input: whether it is there has
        what = f"{count} {what if count > 1 else 'word'}" + (
            ", others by frequency" if column.counts else ""
        )
    return what + (", gaps" if column.flag else "")


def _steps(column: Column, of_all: int) -> Iterator[str]:
    """Where the classes change at once; what members find in their own rows overlaps."""
    places = list[tuple[float, float, set[int]]]()
    for low, high, members in getattr(column, "steps", ()):
        if places and low < places[-1][1]:
            first, last, others = places.pop()
            places.append((first, max(last, high), others | set(members)))
        else:
            places.append((low, high, set(members)))
    if places:
        told = (f"{a:.6g} to {b:.6g} ({len(who)} of {of_all} members)" for a, b, who in places)
        yield f"classes change at once from {', '.join(told)}"


def _training(est: Any) -> Iterator[str]:
    network, recipe = est.network_, est.recipe_
    sizes = " x ".join(str(n) for n in (network.n_in, *recipe.hidden, network.n_out))
    kinds = [layer.kind for layer in network.layers if layer.kind != "dense"]
    yield f"network   {network.members} members of {sizes}, {recipe.activation}; {', '.join(kinds)}"
    yield f"          {network.layout.size // network.members:,} parameters a member"
    plain, host = plain_inputs(est.encoding_), est._backend.to_numpy
    if plain is not None and any(is_widened(host(k.theta), network, plain) for k in est._kept()):
        yield "          numbers without pieces: a second training was better so out of fold"
    epochs = len(est.history_.get("loss", ()))
    yield f"training  {epochs} epochs, batches of {recipe.batch_size}, {est.fit_time_:.1f} s"
    last = max(est.valleys_, default=epochs)
    if last < epochs:  # a longer cycle, see `Plan`
        told = f"the {epochs - last} after epoch {last} were hardly better: they do not count"
        yield f"          {told}"
    for epoch, (score, weight) in est.valleys_.items():
        where = f"epoch {epoch}" if epoch else "linear model"
        yield f"valley    {where}: loss {score:.4f} out of fold, weight {weight:.2f}"
    if hasattr(est, "temperature_"):
        yield f"accuracy  {100 * est.validation_score_:.2f} % out of fold"
        loss, temperature = est.validation_log_loss_, est.temperature_
        yield f"log-loss  {loss:.4f} out of fold, temperature {temperature:.2f}"
    else:
        yield f"R2        {est.validation_score_:.4f} out of fold"
        if est.log_share_ is not None:
            yield f"target    skewed: its logarithm counts {100 * est.log_share_:.0f} %"
