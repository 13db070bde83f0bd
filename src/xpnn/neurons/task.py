"""A network, its parameters, rows and a loss, side by side on one device."""

from __future__ import annotations

from typing import Any

from xpnn.arrays.backend import dtype_name
from xpnn.arrays.compiling import host_words
from xpnn.arrays.random import step_keys
from xpnn.arrays.typing import Array
from xpnn.model.network import Network
from xpnn.neurons.inputs import floating, host_values, read_rows
from xpnn.neurons.parameters import flat_parameters, start_buffers
from xpnn.neurons.programs import error_of
from xpnn.parts.losses import Loss, built_in, get_loss


class Task:
    """What a lesson passes in, read and moved beside the inputs."""

    def __init__(
        self, network: Network, weights: Any, x: Any, y: Any, loss: Any, device: Any = None
    ) -> None:
        rows = read_rows((x,), network.n_in, device)
        self.network, self.backend, self.x = network, rows.backend, rows.x
        self.n = int(self.x.shape[0])
        self.loss = loss_of(loss, network.n_out)
        real = dtype_name(self.x.dtype)
        with self.backend.device_context():
            self.y = self._target(y, real)
            self.theta = flat_parameters(network, weights, self.backend, real)
            self.buffers = start_buffers(network, weights, self.backend, real)

    def _target(self, y: Any, real: str) -> Array:
        """Targets (n, n_out) in the dtype of the inputs, or labels (n,) of exclusive classes."""
        found = self.backend.asarray(host_values(y))
        if self.loss.link == "softmax" and found.shape == (self.n,):
            return self._labels(found)
        found = self.backend.asarray(floating(found, self.backend), dtype=real)
        shape, size = (self.n, self.network.n_out), 1
        for length in found.shape:
            size *= int(length)
        if found.ndim < 3 and size == shape[0] * shape[1]:
            return self.backend.xp.reshape(found, shape)
        if built_in(self.loss) is not None and found.ndim < 3:
            raise ValueError(
                f"targets have the shape {tuple(found.shape)}, expected {shape}: one row for each "
                "row of x, one column for each output of the network"
            )
        return found

    def _labels(self, found: Array) -> Array:
        """Labels of classes, once they are known to name an output each."""
        host = self.backend.to_numpy(floating(found, self.backend))
        wrong = [v for v in host.tolist() if v not in range(self.network.n_out)]
        if wrong:
            raise ValueError(
                f"the target {wrong[0]:g} is no class: the network has {self.network.n_out} "
                f"outputs, so labels are 0 to {self.network.n_out - 1}"
            )
        return found

    def batch(self, step: int, online: bool) -> tuple[Array, Array]:
        """Inputs and targets of a step: of all rows, or of one after the other."""
        if not online:
            return self.x, self.y
        rows = slice(step % self.n, step % self.n + 1)
        return self.x[rows, :], self.y[rows, ...]

    def keys(self, seed: int, step: int) -> Any:
        """Of a step's dropout masks; None where nothing is dropped."""
        net = self.network
        if not net.draws:
            return None
        return host_words(step_keys(seed, step, 1, len(net.rates))[0], self.backend.xp)

    def error(self, theta: Array) -> Array:
        """The loss of all rows, without dropout."""
        xp = self.backend.xp
        return error_of(self.network, self.loss, theta, self.buffers, self.x, self.y, xp)


def loss_of(spec: Any, n_outputs: int) -> Loss:
    """The loss of a name; "cross_entropy" of a single output is that of one probability.

    Examples
    --------
    >>> loss_of("cross_entropy", 1).name, loss_of("cross_entropy", 3).name
    ('binary_cross_entropy', 'softmax_cross_entropy')
    """
    single = spec == "cross_entropy" and n_outputs == 1
    return get_loss("binary_cross_entropy" if single else spec)
