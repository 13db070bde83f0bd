"""Damages model files and checkpoints in every way, and says which ones are not told.

    python ci/fuzz.py                # 10,000 files, by hand
    python ci/fuzz.py --files 2000   # what ci/test.sh runs

Half of the files have a wrong bit, length or piece; half have a right checksum, and a header or an
array that is changed: other types, numbers out of range, huge and deep things, fields that are gone
or have another's value. Each one must end in a `ModelFileError` (a checkpoint: also in a
`CheckpointError`) or be a model that can be used: it predicts, goes on learning and is saved again,
and if it refuses that it does so in a ValueError. Never more memory than three times the file (and
a constant), never longer than `SLOW` seconds. Exit status 1 with the seeds of those that fail:
`--only SEED` does one of them again.
"""

import argparse
import copy
import json
import random
import struct
import sys
import tempfile
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as to_bytes

import xpnn
from xpnn.files import record
from xpnn.files.checkpoints import CheckpointFolder

SLOW = 5.0  # seconds
CONSTANT = 4 << 20  # bytes beside three times the file
MEASURED = 8  # one file of so many has its memory measured, which takes twice the time
N, D = 24, 3

RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D))
WORDS = np.where(X[:, 0] > 0, "yes", "no")
NUMBERS = X @ np.arange(1.0, D + 1)
TABLE = {"a": X[:, 0], "b": np.where(X[:, 1] > 0, "u", "v"), "c": X[:, 2]}


class Sample(NamedTuple):
    """A sound file, and what is done with one that opens."""

    data: bytes
    use: Callable[[Path], None]


# -- sound files --------------------------------------------------------------------------------


def samples(folder: Path) -> dict[str, Sample]:
    """One file of each kind."""
    small: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    stopped = xpnn.MLPClassifier(
        **small, early_stopping=True, normalization="batch", dropout=0.1, clip_norm=1.0,
        groups={"weight": xpnn.network.Group(rate=0.5)}, learning_rate="cosine",
    )  # fmt: skip
    for _ in range(2):
        stopped.partial_fit(X, WORDS, classes=["no", "yes"], validation_data=(X, WORDS))
    models = {
        "classifier": stopped,
        "regressor": xpnn.MLPRegressor(
            **small, embedding="periodic", members=2, solver="adamw", loss="huber"
        ).fit(X, NUMBERS),
        "perceptron": xpnn.Perceptron(average=True, max_iter=3).fit(X, WORDS),
        "table of classes": xpnn.TabularClassifier(2, 4, epochs=2, random_state=0).fit(
            TABLE, WORDS
        ),
        "table of numbers": xpnn.TabularRegressor(2, 4, epochs=2, random_state=0).fit(
            TABLE, NUMBERS
        ),
    }
    found = {}
    for name, model in models.items():
        xpnn.save(model, folder / "sound")
        found[name] = Sample((folder / "sound").read_bytes(), use_model)
    xpnn.MLPClassifier(**small).fit(X, WORDS, checkpoint=xpnn.Checkpoint(folder / "run", 1))
    with CheckpointFolder(folder / "run", 2) as run:
        found["checkpoint"] = Sample(run.files()[0].read_bytes(), use_checkpoint)
    return found


def use_model(path: Path) -> None:
    """Open a file; what opens must work, or refuse in a ValueError."""
    model = xpnn.load(path)
    repr(model)
    given = TABLE if hasattr(model, "encoding_") else X
    model.predict(given)
    xpnn.save(model, path.with_name("again"))
    if hasattr(model, "partial_fit"):
        held = {"validation_data": (X, model.predict(X))}
        able = getattr(model, "early_stopping", False) and hasattr(model, "network_")
        try:
            model.partial_fit(X, model.predict(X), **(held if able else {}))
        except ValueError:
            model.predict(X)  # it is as it was


def use_checkpoint(path: Path) -> None:
    """Go on from a checkpoint."""
    folder = path.with_name("run")
    for left in folder.glob("checkpoint-*"):
        left.unlink()
    folder.mkdir(exist_ok=True)
    (folder / "checkpoint-00000001.safetensors").write_bytes(path.read_bytes())
    model = xpnn.MLPClassifier((4,), max_iter=2, random_state=0)
    try:
        model.fit(X, WORDS, checkpoint=folder, resume=True)
    except xpnn.CheckpointError as error:
        raise record.ModelFileError(str(error)) from error
    except xpnn.DivergedError:
        pass  # of weights that are no longer those that were trained


# -- damage --------------------------------------------------------------------------------------

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 10**40, -(10**40), 2**63, 1e308, -1e308, 5e-324, 0.5, "", "x",
    "relu", "adam", "cosine", "é" * 300, [], {}, [[]], [None], {"a": 1}, ["relu", "tanh"],
    {"__float__": "nan"}, {"__float__": "inf"}, {"__float__": "-inf"}, {"__float__": "x"},
    {"__float__": 3}, {"__tuple__": []}, {"__tuple__": 3}, {"__tuple__": [1, 2]}, {"__pairs__": []},
    {"__pairs__": [[1]]}, {"__pairs__": [[[], 1]]},
    {"__array__": {"dtype": "<f8", "shape": [0, 10**15], "values": []}},
    {"__array__": {"dtype": "<U1000000000", "shape": [1], "values": ["a"]}},
    {"__array__": {"dtype": "object", "shape": [2], "values": [1, "a"]}},
    {"__array__": {"dtype": "V8", "shape": [1], "values": [1]}},
    {"__array__": {"dtype": "<i8", "shape": [3], "values": [1]}},
    {"entry": "activation", "name": "tanh", "params": {}},
    {"entry": "schedule", "name": "cosine", "params": {}},
    {"entry": "optimizer", "name": "adam", "params": {}},
    {"entry": "loss", "name": "huber", "params": {"delta": -1}},
    {"entry": "group", "name": "", "params": {"rate": 10**40}},
    {"entry": "x", "name": "y", "params": {}},
)  # fmt: skip


def raw_damage(data: bytes, dice: random.Random) -> bytes:
    """Wrong bits, lengths and pieces; the checksum is as it was."""
    broken, kind = bytearray(data), dice.randrange(6)
    if kind == 0:
        for _ in range(dice.choice((1, 1, 2, 9, 99))):
            broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del broken[dice.randrange(len(broken)) :]
    elif kind == 2:
        at = dice.randrange(len(broken))
        broken[at:at] = dice.randbytes(dice.choice((1, 8, 1000)))
    elif kind == 3:
        broken[:8] = struct.pack("<Q", dice.choice((0, 1, 2**63, 2**64 - 1, len(data), 1 << 40)))
    elif kind == 4:
        at = dice.randrange(8, len(broken))
        del broken[at : at + dice.choice((1, 8, 1000))]
    else:
        return tensor_damage(data, dice)
    return bytes(broken)


def tensor_damage(data: bytes, dice: random.Random) -> bytes:
    """The list of arrays is another one: shapes, types, places, deep nesting."""
    length = int.from_bytes(data[:8], "little")
    text, tail = data[8 : 8 + length], data[8 + length :]
    kind = dice.randrange(4)
    if kind == 0:
        text = b"[" * 100_000
    elif kind == 1:
        text = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    else:
        head = json.loads(text)
        name = dice.choice([k for k in head if k != "__metadata__"])
        field = dice.choice(("dtype", "shape", "data_offsets"))
        odd = ([10**15], [-1], [2**63, 2**63], [], "F64", "BOOL", "X", None, [0, 1 << 60])
        head[name][field] = dice.choice(odd)
        text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + tail


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in JSON data."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(min(len(value), 6)):
            yield from places(value[key], (*path, key))


def at_place(value: Any, path: tuple[Any, ...]) -> Any:
    """What stands there."""
    for key in path:
        value = value[key]
    return value


def header_damage(text: str, dice: random.Random) -> str:
    """Another value, none, another's, or another name, at one place of the header."""
    if dice.random() < 0.02:
        return dice.choice(('{"__float__": "1"}', "[" * 50_000, "3", "{", '{"a":' * 9000, "null"))
    head = json.loads(text)
    everywhere = list(places(head))
    for _ in range(dice.choice((1, 1, 1, 2))):
        *above, last = dice.choice(everywhere)
        try:
            owner, kind = at_place(head, tuple(above)), dice.randrange(5)
            if kind < 3:
                owner[last] = copy.deepcopy(dice.choice(NASTY))
            elif kind == 3:
                owner[last] = copy.deepcopy(at_place(head, dice.choice(everywhere)))
            elif dice.random() < 0.5 or isinstance(owner, list):
                del owner[last]
            else:
                owner[f"{last}_"] = owner.pop(last)
        except (AttributeError, LookupError, TypeError):
            pass  # an earlier change took the place away
    return json.dumps(head)


def array_damage(arrays: dict[str, np.ndarray], dice: random.Random) -> None:
    """An array of another value, type, shape or name, or none."""
    name, kind = dice.choice(sorted(arrays)), dice.randrange(7)
    a = arrays[name].copy()
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[dice.choice(("x", "moment_9", "theta", f"{name}_"))] = arrays.pop(name)
    elif kind == 2:
        dtypes = ("float32", "float64", "float16", "int8", "uint64", "bool", "int32")
        with np.errstate(all="ignore"):
            arrays[name] = a.astype(dice.choice(dtypes))
    elif kind == 3:
        arrays[name] = a.reshape(-1)[: dice.randrange(a.size + 1)].copy()
    elif kind == 4:
        arrays[name] = a.reshape(dice.choice(((1, *a.shape), (*a.shape, 1), (-1,))))
    elif a.size:
        odd = (1e308, -1e308, 1e30, np.nan, np.inf, -1, 2**31 - 1, 0)
        with np.errstate(all="ignore"):
            a.reshape(-1)[dice.randrange(a.size)] = np.asarray(dice.choice(odd)).astype(a.dtype)
        arrays[name] = a


def signed_damage(data: bytes, dice: random.Random) -> bytes:
    """Another header or array, and the checksum that belongs to it."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    arrays = read_tensors(data)
    if dice.random() < 0.7:
        metadata["header"] = header_damage(metadata["header"], dice)
    else:
        array_damage(arrays, dice)
    metadata["sha256"] = record._digest(metadata["header"], arrays)
    if dice.random() < 0.02:
        metadata[dice.choice(("version", "format"))] = dice.choice(("", "0", "99", "x", "1e3"))
    return to_bytes(arrays, metadata=metadata)


# -- the judge -------------------------------------------------------------------------------------


def why_bad(data: bytes, use: Callable[[Path], None], path: Path, measured: bool) -> str:
    """What is wrong with how a file ends; "" where nothing is."""
    path.write_bytes(data)
    began, before = time.perf_counter(), 0
    if measured:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
    try:
        use(path)
    except record.ModelFileError:
        pass
    except BaseException as error:
        return "".join(traceback.format_exception(error)[-3:])
    finally:
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    if (took := time.perf_counter() - began) > SLOW:
        return f"it took {took:.1f} s"
    if peak > 3 * len(data) + CONSTANT:
        return f"{peak:,} bytes for a file of {len(data):,}"
    return ""


def damaged(sample: Sample, seed: int) -> bytes:
    """The file of a seed."""
    dice = random.Random(seed)
    return (raw_damage if dice.random() < 0.5 else signed_damage)(sample.data, dice)


def hunt(seeds: range, folder: Path) -> dict[int, str]:
    """The seeds whose files end otherwise than they should, and how."""
    sound = samples(folder)
    names, found = list(sound), {}
    for seed in seeds:
        sample = sound[names[seed % len(names)]]
        measured = seed // len(names) % MEASURED == 0
        told = why_bad(damaged(sample, seed), sample.use, folder / "file", measured)
        if told:
            found[seed] = f"{names[seed % len(names)]}: {told}"
    return found


def main_found(files: int, first: int = 0) -> dict[int, str]:
    """`hunt` in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return hunt(range(first, first + files), Path(folder))


def main() -> None:
    """Damage files, and say what came of them."""
    parser = argparse.ArgumentParser(description="Damage files and see what opens them do.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--only", type=int)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    began, first = time.monotonic(), asked.first if asked.only is None else asked.only
    seeds = range(first, first + (asked.files if asked.only is None else 1))
    found = main_found(len(seeds), first)
    for seed, told in found.items():
        print(f"--only {seed}: {told}")
    print(f"{len(found)} of {len(seeds)} damaged files are not told as they should be; "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
