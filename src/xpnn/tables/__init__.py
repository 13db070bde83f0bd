"""Tables: read, taken apart into features and target, and made numbers."""

from xpnn.tables.read import *  # noqa: F403
