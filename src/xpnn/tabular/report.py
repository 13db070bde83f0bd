"""What was done and what came of it, in one screen of text."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from xpnn.tables.encoding import Column
from xpnn.tables.kinds import Words

_MOST_COLUMNS = 30
_KINDS = {"numeric": "numbers", "datetime": "times", "words": "words"}


def summary(estimator: Any) -> str:
    """Lines about a fitted tabular estimator: columns, network, valleys, scores.

    Parameters
    ----------
    estimator : fitted TabularClassifier or TabularRegressor

    Returns
    -------
    str
    """
    return "\n".join([*_columns(estimator.encoding_), "", *_training(estimator)])


def _columns(encoding: Any) -> Iterator[str]:
    named = [
        (c.name, _what(c), "; ".join(encoding.notes.get(c.name, ()))) for c in encoding.columns
    ]
    named += [(name, "left out", why) for name, why in encoding.left_out.items()]
    shown = named[:_MOST_COLUMNS]
    widths = [max((len(row[i]) for row in shown), default=0) for i in (0, 1)]
    for name, what, note in shown:
        yield f"{name:{widths[0]}}  {what:{widths[1]}}  {note}".rstrip()
    if len(named) > len(shown):
        counts = Counter(what.partition(",")[0] for _, what, _ in named[len(shown) :])
        more = ", ".join(f"{n} of {what}" for what, n in counts.items())
        yield f"and {len(named) - len(shown)} more: {more}"


def _what(column: Column) -> str:
    what = _KINDS[column.kind]
    if isinstance(column, Words):
        what = f"{len(column.categories)} {what}" + (
            ", others by frequency" if column.counts else ""
        )
    return what + (", gaps" if column.flag else "")


def _training(est: Any) -> Iterator[str]:
    network, recipe = est.network_, est.recipe_
    sizes = " x ".join(str(n) for n in (network.n_in, *recipe.hidden, network.n_out))
    kinds = [layer.kind for layer in network.layers if layer.kind != "dense"]
    yield f"network   {network.members} members of {sizes}, {recipe.activation}; {', '.join(kinds)}"
    yield f"          {network.layout.size // network.members:,} parameters a member"
    epochs = len(est.history_.get("loss", ()))
    yield f"training  {epochs} epochs, batches of {recipe.batch_size}, {est.fit_time_:.1f} s"
    for epoch, (score, weight) in est.valleys_.items():
        yield f"valley    epoch {epoch}: loss {score:.4f} out of fold, weight {weight:.2f}"
    if hasattr(est, "temperature_"):
        yield f"accuracy  {100 * est.validation_score_:.2f} % out of fold"
        loss, temperature = est.validation_log_loss_, est.temperature_
        yield f"log-loss  {loss:.4f} out of fold, temperature {temperature:.2f}"
    else:
        yield f"R2        {est.validation_score_:.4f} out of fold"
        if est.log_share_ is not None:
            yield f"target    skewed: its logarithm counts {100 * est.log_share_:.0f} %"
