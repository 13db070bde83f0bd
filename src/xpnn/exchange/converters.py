"""`register_converters`: our estimators among those that skl2onnx and hummingbird convert."""

from importlib import import_module
from importlib.util import find_spec

from xpnn._optional import needed

LIBRARIES = {"skl2onnx": "skl2onnx", "hummingbird": "hummingbird-ml"}
"""The module of each converter, and the package that has it."""


def register_converters(*libraries: str) -> tuple[str, ...]:
    """Make skl2onnx and hummingbird convert our estimators, alone and inside of others.

    Each goes by the class of an estimator, and has no way to find those of other packages: call
    this once, before `skl2onnx.to_onnx` or `hummingbird.ml.convert`. A pipeline is converted
    whole, and so are scikit-learn's `GridSearchCV`, `VotingClassifier` and others of which the
    library knows the parts. It may be called again.

    Parameters
    ----------
    *libraries : {"skl2onnx", "hummingbird"}
        The default is each that is installed. hummingbird brings PyTorch along.

    Returns
    -------
    tuple of str
        Those that know ours now.

    Raises
    ------
    ImportError
        Where a library is not installed; says how to install it.
    ValueError
        For another name.

    See Also
    --------
    to_onnx : writes ONNX by xpnn alone, with a table's preprocessing inside.
    to_torch : PyTorch's layers of a network.

    Examples
    --------
    >>> import xpnn
    >>> xpnn.register_converters("skl2onnx")  # doctest: +SKIP
    ('skl2onnx',)
    """
    for name in libraries:
        if name not in LIBRARIES:
            raise ValueError(
                f"register_converters takes {' or '.join(map(repr, LIBRARIES))}, got {name!r}."
            )
    chosen = libraries or tuple(name for name in LIBRARIES if find_spec(name) is not None)
    if not chosen:
        raise ImportError(
            "There is neither skl2onnx nor hummingbird to register with; get one with: "
            "python -m pip install skl2onnx, or hummingbird-ml"
        )
    for name in chosen:
        needed(name, "Registering converters", LIBRARIES[name])
        import_module(f"xpnn.exchange.{name}").register()
    return chosen
