"""The cost model of `benchmarks/distributed.py`: what it counts is what the communicator sends."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from xpnn.distributed import in_threads, tree_sum
from xpnn.distributed.threads import ThreadCommunicator
from xpnn.distributed.tree import MANY, SMALL, bounds

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def model(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("cost_model")
    sys.modules.pop("cost_model")


@pytest.mark.parametrize("k", [100, 10_000])
@pytest.mark.parametrize("processes", [2, 3, 4, 8, 16])
def test_messages_and_bytes_are_those_of_a_sum(model, monkeypatch, processes, k):
    """Messages one after the other, and the bytes of the process that has the most to send."""
    sent = [[0, 0] for _ in range(processes)]
    exchange = ThreadCommunicator.exchange

    def counted(self, parts, counts):
        for peer, part in enumerate(parts):
            if peer != self.rank and len(part):
                sent[self.rank][0] += 1
                sent[self.rank][1] += part.nbytes
        return exchange(self, parts, counts)

    monkeypatch.setattr(ThreadCommunicator, "exchange", counted)

    def work(comm):
        cuts = bounds(comm.shards, comm.size)
        leaves = cuts[comm.rank + 1] - cuts[comm.rank]
        tree_sum(comm, [np.ones(k, np.float32) for _ in range(leaves)])

    in_threads(work, processes, shards=max(8, processes))
    messages, written = (max(part) for part in zip(*sent, strict=True))
    assert model.tree_seconds(model.Link("", 1.0, 0.0), 4 * k, processes) == messages
    if processes < MANY and sum(model.nodes(processes)) * 4 * k <= SMALL:
        written = np.mean([part for _, part in sent])
    said = model.tree_seconds(model.Link("", 0.0, 1.0), 4 * k, processes)
    assert said == pytest.approx(written, abs=16 * processes)  # a vector is cut into whole numbers


def test_from_this_batch_on_so_many_are_half_as_fast_as_they_could_be(model):
    step = model.Step("w", 1000, 32, fixed=1e-4, shard=1e-5, row=1e-6)
    for link in model.LINKS:
        for tree in (True, False):
            for processes in (8, 64, 512):
                batch = model.worth_it(step, link, processes, tree=tree)
                assert batch > 1
                found = model.speedup(step, link, batch, processes, tree=tree)
                assert found == pytest.approx(processes / 2)


def test_one_process_sends_nothing_and_more_than_cores_wait(model):
    step, link = model.Step("w", 1000, 32, fixed=1e-4, shard=1e-5, row=1e-6), model.LINKS[0]
    assert model.tree_seconds(link, 10**6, 1) == model.free_seconds(link, 10**6, 1) == 0.0
    assert model.seconds(step, link, 32, 1) == step.own(32, 1) == 1e-4 + 8e-5 + 32e-6
    alone = model.seconds(step, link, 32, 4) - model.tree_seconds(link, step.message, 4)
    waiting = model.seconds(step, link, 32, 4, cores=2) - model.tree_seconds(link, step.message, 4)
    assert waiting == pytest.approx(2 * alone)
