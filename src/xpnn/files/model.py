"""Estimators and model files: `save` writes one, `load_as` reads one.

Estimators turn themselves into a record and back (`_to_record`, `_from_record`), see `record.py`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xpnn.arrays.backend import DeviceError
from xpnn.files.record import MALFORMED, ModelFileError, damaged, read_record, write_record

IN_FOLDER = "model.safetensors"
"""What a model's file is called in a folder of its own, as `xpnn train` writes it."""


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator as one model file, atomically.

    Parameters
    ----------
    estimator : fitted estimator of xpnn
    path : path-like
        Usually named ``*.safetensors``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        Before fit.
    ValueError
        For an estimator with code of the user's inside (an activation, a loss) or of the user's
        own class, naming it; pickle keeps these. An older file is then as it was.
    OSError
        When the file cannot be written. An older file is then as it was.

    Examples
    --------
    >>> import numpy as np, tempfile, xpnn
    >>> X, y = np.eye(4), np.array(["a", "b", "a", "b"])
    >>> model = xpnn.MLPClassifier((8,), random_state=0).partial_fit(X, y, classes=["a", "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xpnn.save(model, f"{folder}/model.safetensors")
    ...     again = xpnn.load(f"{folder}/model.safetensors")
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """
    from xpnn._version import __version__

    if not hasattr(estimator, "_to_record"):
        if not hasattr(estimator, "get_params"):
            raise ValueError(f"Only estimators of xpnn can be saved, got {estimator!r}.")
        raise ValueError(
            f"Only estimators of xpnn can be saved, got {type(estimator).__name__}: joblib.dump "
            "keeps pipelines, searches and the like whole, as pickles; or save the estimator in "
            "it, as search.best_estimator_ or pipeline[-1], without what comes before."
        )
    cls = type(estimator)
    if cls.__module__.partition(".")[0] != __name__.partition(".")[0]:
        raise ValueError(
            f"Cannot save a {cls.__qualname__}: it is a class of your own, and a model file holds "
            "data, never code. Pickle it, if you trust every place it will be loaded from."
        )
    record, arrays = estimator._to_record()
    header = {"xpnn": __version__, "class": type(estimator).__name__, "estimator": record}
    write_record(path, header, arrays)


def load_as(path: str | os.PathLike[str], classes: Mapping[str, type]) -> Any:
    """Read a model file into one of the given estimator classes.

    Parameters
    ----------
    path : path-like
        A file, or a folder with one of the name `IN_FOLDER`.
    classes : mapping of str to class
        The estimators by name. Nothing else is ever made from the file.

    Returns
    -------
    estimator
        Fitted.
    """
    path = Path(path) / IN_FOLDER if Path(path).is_dir() else path
    header, arrays = read_record(path)
    if header.get("preprocessing") is not None:
        raise ModelFileError(
            f"{path} holds a network and apart from it how a table becomes its input, as xpnn no "
            "longer writes it: train a TabularClassifier or a TabularRegressor anew, as xpnn train "
            "does."
        )
    try:
        name = header["class"]
        if name not in classes:
            raise ValueError(f"it holds a {name!r}, known are {', '.join(classes)}")
        estimator: Any = classes[name]._from_record(header["estimator"], arrays)  # type: ignore[attr-defined]
    except DeviceError:
        raise  # the file is sound, this machine lacks the device
    except MALFORMED as error:
        raise damaged(path, error) from error
    return estimator
