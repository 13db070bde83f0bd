"""Tables: read, taken apart into features and target, and made numbers."""

from xpnn.tables.columns import *  # noqa: F403
from xpnn.tables.read import *  # noqa: F403
