"""Records: one safetensors file with a JSON header, and nothing in it that can run.

A record is a header (plain data, see `encode`) and named arrays: a model, or a checkpoint of a
training. This module only knows records and bytes.

The safetensors metadata holds ``format``, ``version`` (see `Format`), ``header`` (JSON) and
``sha256`` (of the header and every array, so that a damaged file is never half believed).
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xpnn.files.atomic import write_atomic


class Format(NamedTuple):
    """A kind of record."""

    name: str  # as files say it, and the version
    version: int
    what: str  # as errors say it
    finite: bool  # whether NaN and infinity in arrays are an error


# Version 1 had no best weights of an early stopping that goes on; it is read as it is.
MODEL = Format("xpnn-model", 2, "model", finite=True)
# In the middle of an epoch a training that is about to diverge may hold anything.
CHECKPOINT = Format("xpnn-checkpoint", 1, "checkpoint", finite=False)

_TAGS = ("__tuple__", "__pairs__", "__float__", "__array__")
# What malformed data can raise in code that takes it to be well-formed.
MALFORMED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class ModelFileError(ValueError):
    """A file that is no model, a damaged one, or one from a newer xpnn."""


def encode(value: Any, where: str = "header") -> Any:
    """Turn plain Python data and NumPy arrays into what JSON holds, losing nothing.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple, dict, NumPy scalar or array
        Arrays of booleans, numbers, strings, times (datetime64, timedelta64), or objects of these.

    Returns
    -------
    None, bool, int, float, str, list or dict
        `decode` gives the value back: tuples stay tuples, floats keep every bit.

    Examples
    --------
    >>> encode({"sizes": (64, 32), "alpha": 0.1})
    {'sizes': {'__tuple__': [64, 32]}, 'alpha': 0.1}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"__float__": repr(float(value))}
    if isinstance(value, list | tuple):
        items = [encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"__tuple__": items}
    if isinstance(value, dict):
        if all(isinstance(k, str) and k not in _TAGS for k in value):
            return {str(k): encode(v, f"{where}.{k}") for k, v in value.items()}
        pairs = [[encode(k, where), encode(v, f"{where}[{k!r}]")] for k, v in value.items()]
        return {"__pairs__": pairs}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUOmM":
        kind = "object" if value.dtype.kind == "O" else value.dtype.str
        value = value.astype(np.int64) if value.dtype.kind in "mM" else value  # counts of its unit
        values = encode(value.ravel().tolist(), where)
        return {"__array__": {"dtype": kind, "shape": list(value.shape), "values": values}}
    raise ValueError(
        f"Cannot save {where} = {value!r}: a model file holds data, never code, and a "
        f"{type(value).__name__} is no plain data. Use a built-in name instead, or pickle the "
        f"estimator if you trust every place it will be loaded from."
    )


def decode(value: Any) -> Any:
    """Give back what `encode` was given.

    Parameters
    ----------
    value : JSON data

    Raises
    ------
    ValueError, TypeError or another error of malformed data
        `read_record` turns them into `ModelFileError`.

    Examples
    --------
    >>> decode({"sizes": {"__tuple__": [64, 32]}})
    {'sizes': (64, 32)}
    """
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "__tuple__" in value:
        return tuple(decode(_of_type(value["__tuple__"], list)))
    if "__pairs__" in value:
        return {decode(k): decode(v) for k, v in value["__pairs__"]}
    if "__float__" in value:
        return float(value["__float__"])
    if "__array__" in value:
        spec = value["__array__"]
        dtype = np.dtype(_of_type(spec["dtype"], str))
        if dtype.kind not in "biufUOmM":
            raise ValueError(f"an array of {dtype}")
        times = dtype.kind in "mM"
        values = np.empty(len(_of_type(spec["values"], list)), dtype=np.int64 if times else dtype)
        for i, item in enumerate(decode(spec["values"])):
            if isinstance(item, list | dict | tuple):
                raise ValueError("an array inside an array")
            values[i] = _of_type(item, int) if times else item
        values = values.view(dtype) if times else values
        return values.reshape([_of_type(n, int) for n in spec["shape"]])
    return {k: decode(v) for k, v in value.items()}


def write_record(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    kind: Format = MODEL,
) -> None:
    """Write a header and arrays as one file, atomically.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Booleans, integers or floats, on the host; all finite in a model.

    Raises
    ------
    OSError
        When the file cannot be written. The old file is then as it was.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "model.safetensors")
    >>> write_record(path, {"classes": ("no", "yes")}, {"theta": np.array([0.1, -0.2])})
    >>> header, arrays = read_record(path)
    >>> header["classes"], arrays["theta"].tolist()
    (('no', 'yes'), [0.1, -0.2])
    >>> folder.cleanup()
    """
    from safetensors.numpy import save

    tensors = {}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise ValueError(
                f"Cannot save {name}: expected a NumPy array of numbers, got {array!r}."
            )
        if kind.finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"Cannot save {name}: it holds NaN or infinity; fit again first.")
        tensors[name] = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")
    text = json.dumps(encode(dict(header)), allow_nan=False, ensure_ascii=False)
    metadata = {"format": kind.name, "version": str(kind.version), "header": text}
    metadata["sha256"] = _digest(text, tensors)
    write_atomic(path, save(tensors, metadata=metadata))


def read_record(
    path: str | os.PathLike[str], kind: Format = MODEL
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file's header and arrays, and check them.

    Returns
    -------
    header : dict of str to plain data
    arrays : dict of str to ndarray
        Each owns its memory; floats of a model are finite.

    Raises
    ------
    ModelFileError
        When it is no such file, is damaged, or has a newer format.
    """
    data = Path(path).read_bytes()
    metadata = _metadata(data, path)
    _check_format(metadata, path, kind)
    try:
        from safetensors.numpy import load

        text = metadata["header"]
        arrays = {name: np.array(array) for name, array in load(data).items()}
        if metadata["sha256"] != _digest(text, arrays):
            raise ValueError("its checksum is wrong")
        header = _of_type(decode(_of_type(json.loads(text), dict)), dict)
        for name, array in arrays.items():
            whole = array.dtype.kind in "biuf"
            if not (whole and (not kind.finite or np.isfinite(array).all())):
                raise ValueError(f"{name} is not all finite numbers")
    except Exception as error:
        if isinstance(error, MALFORMED) or type(error).__name__ == "SafetensorError":
            raise damaged(path, error) from error
        raise
    return header, arrays


class Contents(NamedTuple):
    """What a file says of itself before its arrays."""

    kind: Format
    version: int
    header: dict[str, Any]
    arrays: dict[str, tuple[str, list[int]]]
    """Type and shape of each."""


def read_contents(path: str | os.PathLike[str]) -> Contents:
    """Read a file's header and nothing behind it, so that its checksum is not looked at.

    Raises
    ------
    ModelFileError
        When it is neither a model nor a checkpoint, is damaged, or has a newer format.
    """
    with Path(path).open("rb") as file:
        start = file.read(8)
        left = Path(path).stat().st_size - len(start)
        length = int.from_bytes(start, "little")
        data = start + file.read(length if len(start) == 8 and length <= left else 0)
    metadata = _metadata(data, path)
    kind = CHECKPOINT if metadata.get("format") == CHECKPOINT.name else MODEL
    _check_format(metadata, path, kind)
    try:
        header = _of_type(decode(_of_type(json.loads(metadata["header"]), dict)), dict)
        named = {k: v for k, v in json.loads(data[8:]).items() if k != "__metadata__"}
        arrays = {k: (v["dtype"], [_of_type(n, int) for n in v["shape"]]) for k, v in named.items()}
    except MALFORMED as error:
        raise damaged(path, error) from error
    return Contents(kind, int(metadata["version"]), header, arrays)


def _check_format(metadata: Mapping[str, str], path: Any, kind: Format) -> None:
    """Raise a ModelFileError unless the file is of this kind, and of a version that is known."""
    if metadata.get("format") != kind.name:
        raise ModelFileError(f"{path} is a safetensors file, but no xpnn {kind.what}.")
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 9 and int(version)):
        raise ModelFileError(f"{path} is damaged: its format version is {version!r}.")
    if int(version) > kind.version:
        writer = _writer(metadata)
        raise ModelFileError(
            f"{path} has format version {int(version)}{writer}, this xpnn reads up to "
            f"{kind.version}; upgrade with: python -m pip install --upgrade xpnn"
        )


def _writer(metadata: Mapping[str, str]) -> str:
    """Which xpnn wrote a file of a newer format, as far as it says so."""
    try:
        version = json.loads(metadata["header"])["xpnn"]
    except MALFORMED:
        return ""
    return f" of xpnn {version[:40]}" if isinstance(version, str) else ""


def damaged(path: Any, error: Exception) -> ModelFileError:
    """What to raise where malformed data have raised this."""
    text = str(error).partition("\n")[0][:200] or type(error).__name__
    if isinstance(error, LookupError):
        text = f"{text} is missing"
    return ModelFileError(f"{path} is damaged: {text}.")


def _metadata(data: bytes, path: Any) -> dict[str, str]:
    """The safetensors metadata: a JSON object behind its length in 8 bytes."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        pickled = data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # its protocol
        cure = ": a pickle, which joblib.load opens and can run code" if pickled else ""
        raise ModelFileError(f"{path} is no model file, or was cut short{cure}.")
    try:
        header = json.loads(data[8 : 8 + length])
        metadata = _of_type(header.get("__metadata__", {}), dict)
        return {_of_type(k, str): _of_type(v, str) for k, v in metadata.items()}
    except MALFORMED as error:
        raise ModelFileError(f"{path} is no model file, or is damaged.") from error


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _of_type(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
