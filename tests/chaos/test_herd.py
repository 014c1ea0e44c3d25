"""Many clients whose server goes: they come back within seconds, spread, and each once (R20).

With PBWEB_FULL=1, which `make chaos` sets, 1,000 real ones do, five times; else 60 do. The
moments that 1,000 choose are looked at in any case.
"""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter

import psutil
import pytest

import pbweb as pb
from pbweb import client as client_module
from pbweb.draining import back_in
from tests.chaos.conductor import Plan, Server

FULL = bool(os.environ.get("PBWEB_FULL"))
CLIENTS, RUNS = (1000, 5) if FULL else (60, 1)
SECONDS = 30  # until all are back
BUCKET = 1.0
"""Seconds of the spread that are counted together. Of less the clients that come are few, and by
chance alone some part has three times as many as another; and what a server needs is not less."""
MOST_OF_MEAN = 3
PEGGED = 10  # seconds
BUSY = 0.95  # of a core


def fullest(moments):
    """How many came in the fullest second."""
    first = min(moments)
    counts = Counter(int((moment - first) / BUCKET) for moment in moments)
    return max(counts.values())


def peak(moments):
    """The same, compared to the mean of all from the first to the last."""
    return fullest(moments) / BUCKET / (len(moments) / (max(moments) - min(moments)))


@pytest.mark.parametrize("seed", range(20))
def test_1000_clients_that_are_told_when_to_come_back_choose_moments_that_are_spread(
    monkeypatch, seed
):
    monkeypatch.setattr(client_module, "random", random.Random(seed))
    told = back_in(1000)
    moments = [client_module._in_range(*told) + client_module.backoff(0) for _ in range(1000)]
    assert peak(moments) < MOST_OF_MEAN
    assert max(moments) < SECONDS
    assert min(moments) >= 1  # as the server asked


@pytest.mark.parametrize("seed", range(20))
def test_1000_clients_that_are_told_nothing_are_back_in_time(monkeypatch, seed):
    """The server is killed, and there again two seconds later."""
    monkeypatch.setattr(client_module, "random", random.Random(seed))
    moments = []
    for _ in range(1000):
        moment, attempt = client_module.backoff(0), 0
        while moment < 2:
            attempt += 1
            moment += client_module.backoff(attempt)
        moments.append(moment)
    assert max(moments) < SECONDS
    assert fullest(moments) < 600


class Herd:
    """So many clients of one server."""

    def __init__(self, folder):
        # all of one address, which real clients are not
        limits = {"handshakes": 10 * CLIENTS, "connections_per_address": 2 * CLIENTS}
        self.server = Server(folder, Plan(), **limits)
        self.history = folder / "server.jsonl"
        self.connections = []
        self.begun = [0] * CLIENTS
        self.all_back = asyncio.Event()
        self.pegged = 0.0
        """The most seconds on end that the server has used all of a core."""

    async def connect(self):
        url = f"ws://localhost:{self.server.port}/pb"
        for first in range(0, CLIENTS, 50):
            some = range(first, min(first + 50, CLIENTS))
            self.connections += await asyncio.gather(*(self._client(url, at) for at in some))

    async def _client(self, url, number):
        async def on_session(root, connection):
            await root.callRemote("note", "-")
            self.begun[number] += 1
            if min(self.begun) == 2:
                self.all_back.set()

        return await pb.connect(url, on_session=on_session)

    async def restart(self, number):
        """Stop the server with this signal and start it; the moments of sessions, from then on."""
        await asyncio.to_thread(self.server.stop, number)
        await asyncio.to_thread(self.server.start)
        up = time.time()
        watch = asyncio.ensure_future(self._watch(psutil.Process(self.server.pid)))
        await self.all_back.wait()
        watch.cancel()
        lines = map(json.loads, self.history.read_text().splitlines())
        sessions = [line for line in lines if line["ev"] == "owed"]
        return [line["t"] - up for line in sessions if line["who"] == self.server.who]

    async def _watch(self, process):
        pegged, busy = 0.0, sum(process.cpu_times()[:2])
        while True:
            await asyncio.sleep(1)
            last, busy = busy, sum(process.cpu_times()[:2])
            pegged = pegged + 1 if busy - last > BUSY else 0.0
            self.pegged = max(self.pegged, pegged)

    async def close(self):
        await asyncio.gather(*(connection.close() for connection in self.connections))


@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_herd_comes_back_spread_and_once(tmp_path, monkeypatch, number, run):
    monkeypatch.setenv("CHAOS_ENDS_ONLY", "1")
    herd = Herd(tmp_path)
    herd.server.start()
    try:
        await herd.connect()
        moments = sorted(await herd.restart(number))
        assert herd.begun == [2] * CLIENTS
        assert len(moments) == CLIENTS  # no second wave
        ratio = peak(moments)
        print(
            f"{CLIENTS} clients after {number.name}: back from {moments[0]:.1f} to "
            f"{moments[-1]:.1f} s after the server, {ratio:.1f} times the mean in the fullest "
            f"second; all of a core for {herd.pegged:g} s on end"
        )
        assert moments[-1] - moments[0] > 0.5  # they did not come at once
        if FULL:
            assert moments[-1] < SECONDS
            assert herd.pegged <= PEGGED
            if number == signal.SIGTERM:  # who was killed has told nobody when to come
                assert ratio < MOST_OF_MEAN
    finally:
        await herd.close()
        herd.server.stop()
