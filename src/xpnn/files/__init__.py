"""Model files and checkpoints: written whole or not at all, and nothing in them can run."""

from xpnn.files.model import load_as, save
from xpnn.files.record import ModelFileError, decode, encode, read_record, write_record

__all__ = [
    "ModelFileError",
    "decode",
    "encode",
    "load_as",
    "read_record",
    "save",
    "write_record",
]
