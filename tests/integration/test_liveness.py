"""Liveness between real processes: a loop that is blocked, a process that is stopped.

With PBWEB_FULL=1 the default times are held against the promise R8 (docs/limits.md).
"""

import asyncio
import os
import signal
import socket
import sys
import time

import pytest

import pbweb as pb
from tests.integration.process import SECONDS, serving

APP = "tests.integration.shutdown_app:Desk"
SESSIONS = 100


class Counter(pb.Referenceable):
    def __init__(self) -> None:
        self.told: list[str] = []

    def remote_tell(self, name: str) -> str:
        self.told.append(name)
        return name


def test_a_loop_that_is_blocked_for_5_seconds_loses_no_session_and_no_frame() -> None:
    """R18. The server's times are so short that its timers are late by more than all of them.

    Together they are just less than the 5 seconds, nearly all of it for the answer to a ping:
    the clients, in one process, have so long to give it when the machine is busy.
    """

    async def scene(url: str) -> list[object]:
        statuses: list[object] = []
        connections = [
            await pb.connect(url, limits=pb.Limits(heartbeat=60, pong=60)) for _ in range(SESSIONS)
        ]
        for connection in connections:
            connection.on_status(statuses.append)
        roots = [await connection.getRootObject() for connection in connections]
        counters = [Counter() for _ in roots]

        async def talk(at: int) -> None:
            for number in range(20):
                name = f"{at}.{number}"
                assert await roots[at].callRemote("ask", name, counters[at]) == name

        talks = [asyncio.ensure_future(talk(at)) for at in range(SESSIONS)]
        while not all(counter.told for counter in counters):
            await asyncio.sleep(0.001)
        began = time.monotonic()
        await roots[0].callRemote("blockFor", 5)
        assert time.monotonic() - began >= 5
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*talks)
        for at, counter in enumerate(counters):
            assert counter.told == [f"{at}.{number}" for number in range(20)]
        assert all(connection.status == "connected" for connection in connections)
        seen = list(statuses)
        await asyncio.gather(*(connection.close() for connection in connections))
        return seen

    limits = ("heartbeat=0.5", "pong=4.4", "resume_window=0")
    options = [part for limit in limits for part in ("--limit", limit)]
    with serving(APP, *options) as process:
        assert asyncio.run(scene(f"ws://localhost:{process.port}/pb")) == []
        process.wait_for(r"Desk\.remote_blockFor has blocked the event loop for \d+ ms")
        blocked = process.wait_for(r"Desk\.remote_blockFor blocked the event loop for (\d+) ms")
        assert int(blocked[1]) >= 4000
    assert "Traceback" not in process.output


FULL = bool(os.environ.get("PBWEB_FULL"))
SHORT = (pb.Limits(heartbeat=1, pong=1), SECONDS)


@pytest.mark.parametrize(
    ("waits", "limits", "within"),
    [(True, *SHORT), (False, *SHORT), (True, pb.Limits(), 15), (False, pb.Limits(), 25)][
        : None if FULL else 2
    ],
)
def test_a_server_that_is_stopped_is_found_dead_and_its_session_resumed(
    waits: bool, limits: pb.Limits, within: float
) -> None:
    async def scene(url: str) -> None:
        async with pb.connect(url, limits=limits) as connection:
            statuses: asyncio.Queue[str] = asyncio.Queue()
            connection.on_status(statuses.put_nowait)
            root = await connection.getRootObject()
            assert await root.callRemote("now", "before") == "before"
            process.signal(signal.SIGSTOP)
            began = time.monotonic()
            calls = [root.callRemote("now", "meanwhile")] if waits else []
            assert await asyncio.wait_for(statuses.get(), within) == "interrupted"
            assert time.monotonic() - began <= within
            calls.append(root.callRemote("now", "interrupted"))
            process.signal(signal.SIGCONT)
            async with asyncio.timeout(SECONDS):
                assert await calls[-1] == "interrupted"
                assert [await call for call in calls[:-1]] == ["meanwhile"] * waits
                while connection.status != "connected":  # a busy server is found dead once more
                    await statuses.get()

    options = ("--limit", "resume_window=60", "--limit", f"heartbeat={limits.heartbeat}")
    with serving(APP, *options) as process:
        asyncio.run(scene(f"ws://localhost:{process.port}/pb"))


@pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")
def test_an_accepted_socket_has_the_option_of_the_one_that_listens() -> None:
    """What `Server` relies on (TCP_USER_TIMEOUT)."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                found = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert found == 20_000
