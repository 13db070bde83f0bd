"""The public names of `xpnn.parts.optimizers` and `xpnn.parts.regularization`."""

from xpnn.parts.optimizers import *  # noqa: F403
from xpnn.parts.regularization import *  # noqa: F403
