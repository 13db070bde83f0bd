"""Random numbers that are the same on every device."""

from xpnn.arrays.random import *  # noqa: F403

__all__ = ["dropout_mask", "host_generator", "keep_count", "step_keys", "threefry_2x32"]  # noqa: F405
