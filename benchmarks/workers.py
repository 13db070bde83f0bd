"""Each peer in a process of its own: thread pools never meet, and memory can be told apart."""

import multiprocessing
import time
from typing import Any

from workloads import Workload


def peak_memory() -> float:
    """MiB that this process has had resident at most."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _events(call: Any) -> tuple[float, Any]:
    """Seconds by events, which the GPU itself stamps."""
    import cupy

    cupy.cuda.Device().synchronize()  # other libraries' streams too
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    result = call()
    cupy.cuda.Device().synchronize()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(start, end) / 1e3, result


def _clock(call: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _serve(pipe: Any, name: str, device: str | None) -> None:
    """Answer (task, workload, argument) until told to stop."""
    import inference
    import peers

    clock = _events if device and device.startswith("cupy") else _clock
    ready: dict[Any, Any] = {}
    while (order := pipe.recv()) is not None:
        task, work, argument = order
        if task == "inference":
            pipe.send(inference.seconds(name, *argument))
            continue
        if work not in ready:
            ready.clear()
            ready[work] = peers.make(name, work, device)
        before = peak_memory()
        seconds, predict = clock(lambda work=work, n=argument: ready[work](n))
        accuracy = None
        if task == "check" and predict is not None:
            accuracy = peers.accuracy(predict, work, device if name.startswith("xpnn") else None)
        pipe.send({"seconds": seconds, "accuracy": accuracy, "memory": peak_memory() - before})


class Worker:
    """A peer in its own process, asleep between two orders."""

    def __init__(self, name: str, device: str | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, (self.pipe, other) = name, context.Pipe()
        self.process = context.Process(target=_serve, args=(other, name, device), daemon=True)
        self.process.start()

    def __call__(self, task: str, work: Workload | None, argument: Any) -> Any:
        """Do it and wait for the answer."""
        self.pipe.send((task, work, argument))
        return self.pipe.recv()

    def close(self) -> None:
        """End the process."""
        self.pipe.send(None)
        self.process.join(10)
