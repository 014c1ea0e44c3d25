"""What a delivery to one of many costs inside the process: no socket, no kernel.

`python -m tests.benchmarks.fan_out` shows how much of the rows *fan-out* and *live updates* is our
own doing, beside a plain loop of calls.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, cast

import uvloop
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

import pbweb as pb
from pbweb.websocket import WebSocketLink

from .apps import Echo
from .inside import Sink
from .wires.base import masked

CLIENTS = 1000
TEXT = "hello network"
JOIN = b'[["message",1,"root","join",[{"$":"remote","id":1}]],["message",2,"root","observe"]]'


class Client:
    """One that joined and observes; what is written to it is counted."""

    def __init__(self, endpoint: pb.Endpoint) -> None:
        self.sink = Sink()
        self.connection = endpoint.connect()
        websocket = ServerProtocol(max_size=endpoint.limits.message, state=OPEN)
        self.link = WebSocketLink(websocket, cast(Any, self.sink), self.connection, endpoint.limits)
        self.connection.attach(self.link)
        self.link.data_received(masked(b'["version",1]'))
        self.link.data_received(masked(JOIN))

    def acknowledge(self) -> None:
        """Take all that was sent."""
        sent = self.connection.session.sent
        self.link.data_received(masked(b'["ack",%d,2]' % sent))
        self.sink.writes = 0


def told(root: Echo, way: str) -> Callable[[], None]:
    """A function that tells all clients of *root*."""
    if way == "Group":
        return lambda: root.remote_publish(TEXT)
    if way == "live object":
        return lambda: root.remote_change(TEXT)

    def loop() -> None:
        for listener in root.listeners:
            listener.callRemoteOnly("deliver", TEXT)

    return loop


async def cost(way: str, clients: int, runs: int) -> float:
    """Microseconds a delivery: the best of some runs."""
    root = Echo()
    endpoint = pb.endpoint(root)  # one: each has a thread that watches the loop
    made = [Client(endpoint) for _ in range(clients)]
    tell, best = told(root, way), 1e9
    for _ in range(runs):
        for client in made:
            client.acknowledge()
        await asyncio.sleep(0)
        start = time.perf_counter()
        tell()
        for _ in range(3):  # turns of the loop: a change, and what is written, wait for one
            await asyncio.sleep(0)
        best = min(best, (time.perf_counter() - start) / clients * 1e6)
        assert all(client.sink.writes for client in made)
    return best


async def main(clients: int = CLIENTS, runs: int = 30) -> None:
    """Print what each way takes."""
    for way in ("Group", "live object", "callRemoteOnly"):
        print(f"{way:24}{await cost(way, clients, runs):8.2f}  microseconds a delivery")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    uvloop.run(main())
