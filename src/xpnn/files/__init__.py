"""Model files: written whole or not at all, and nothing in them can run."""

from xpnn.files.model import *  # noqa: F403
