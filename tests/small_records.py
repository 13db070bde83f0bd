"""A record, and how one that lies is forged."""

import numpy as np
from safetensors.numpy import save as to_safetensors

from xpnn.files import record as files

ARRAYS = {
    "theta": np.array([0.1, -1e-310, 1e300, 5e-324, -0.0]),
    "buffers": np.zeros(0, dtype=np.float32),
    "moments": np.arange(6, dtype=np.float32).reshape(2, 3) / 3,
}


def forge(tmp_path, header='{"class": "Thing"}', arrays=ARRAYS, **metadata):
    """A file with a right checksum, whatever else is wrong with it."""
    tensors = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    content = {"format": files.MODEL.name, "version": str(files.MODEL.version), "header": header}
    content["sha256"] = files._digest(header, tensors)
    path = tmp_path / "forged"
    path.write_bytes(to_safetensors(tensors, metadata={**content, **metadata}))
    return path


X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
NUMBERS = X[:, 0] - 2 * X[:, 1]
