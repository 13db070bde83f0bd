"""What is to be known of each activation: formula, derivative, range, and when to use it."""

from typing import NamedTuple

from xpnn._text import table


class Note(NamedTuple):
    """A row of the table of activations; formulas are Python with z the weighted sum.

    Attributes
    ----------
    formula, derivative : str
        Of ``z``, ``a`` (the output), and functions of their usual names; a derivative that does
        not exist is "-".
    range : str
    use : str
        When to use it.

    Examples
    --------
    >>> NOTES["tanh"].formula, NOTES["tanh"].derivative
    ('tanh(z)', '1 - a**2')
    """

    formula: str
    derivative: str
    range: str
    use: str


NOTES: dict[str, Note] = {
    "identity": Note("z", "1", "(-inf, inf)", "last layer of a regression"),
    "step": Note("1 if z >= 0 else 0", "-", "{0, 1}", "perceptrons; gradients cannot train it"),
    "sigmoid": Note(
        "1 / (1 + exp(-z))", "a * (1 - a)", "(0, 1)", "a probability; saturates in deep networks"
    ),
    "tanh": Note(
        "tanh(z)", "1 - a**2", "(-1, 1)", "small and recurrent networks; centred, saturates"
    ),
    "relu": Note("max(0, z)", "1 if z > 0 else 0", "[0, inf)", "hidden layers, the first to try"),
    "leaky_relu": Note(
        "max(z, 0.01 * z)", "1 if z > 0 else 0.01", "(-inf, inf)", "relu whose units do not die"
    ),
    "elu": Note(
        "z if z > 0 else exp(z) - 1",
        "1 if z > 0 else a + 1",
        "(-1, inf)",
        "smooth relu, near mean 0",
    ),
    "selu": Note(
        "1.0507 * (z if z > 0 else 1.67326 * (exp(z) - 1))",
        "1.0507 if z > 0 else a + 1.75810",
        "(-1.75810, inf)",
        "deep plain networks that keep mean 0 and variance 1",
    ),
    "gelu": Note(
        "z / 2 * (1 + tanh(0.797885 * (z + 0.044715 * z**3)))",
        "(1 + t) / 2 + z / 2 * (1 - t**2) * (0.797885 + 0.107032 * z**2)",
        "[-0.17004, inf)",
        "transformers and large networks; t is the tanh of its formula",
    ),
    "silu": Note("z * s", "s + a * (1 - s)", "[-0.27846, inf)", "deep networks; s is sigmoid(z)"),
    "mish": Note(
        "z * tanh(log(1 + exp(z)))",
        "a / z + z * s * (1 - (a / z)**2)",
        "[-0.30884, inf)",
        "deep networks, and tables; s is sigmoid(z)",
    ),
    "softplus": Note("log(1 + exp(z))", "1 - exp(-a)", "(0, inf)", "a positive output"),
    "softsign": Note("z / (1 + abs(z))", "1 / (1 + abs(z))**2", "(-1, 1)", "a slower tanh"),
    "hard_sigmoid": Note(
        "min(1, max(0, z / 6 + 1 / 2))",
        "1 / 6 if abs(z) < 3 else 0",
        "[0, 1]",
        "sigmoid without exp, for small devices",
    ),
    "exp": Note("exp(z)", "a", "(0, inf)", "a rate: the link of the Poisson loss"),
    "softmax": Note(
        "exp(z_i) / sum(exp(z))", "a_i * (d_ij - a_j)", "(0, 1), sum 1", "probabilities of classes"
    ),
    "log_softmax": Note(
        "z_i - log(sum(exp(z)))", "d_ij - exp(a_j)", "(-inf, 0]", "log-probabilities of classes"
    ),
}


def activation_table() -> str:
    """The activations with formula, derivative, range and use, as a table of text.

    Returns
    -------
    str

    Examples
    --------
    >>> print(*activation_table().splitlines()[10:14], sep=chr(10))
    sigmoid       value       1 / (1 + exp(-z))
                  derivative  a * (1 - a)
                  range       (0, 1)
                  use         a probability; saturates in deep networks
    """
    rows = [("activation", "", "z is the weighted sum, a the output")]
    for name, note in NOTES.items():
        heads = ("value", "derivative", "range", "use")
        for i, (head, text) in enumerate(zip(heads, note, strict=True)):
            rows.append(("" if i else name, head, text))
    return table(rows, ruled=True)
