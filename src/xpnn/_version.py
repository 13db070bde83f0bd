"""The version of xpnn; nothing else says it."""

__version__ = "0.1.0"
