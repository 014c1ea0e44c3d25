"""A server that has no more file descriptors (threat F6), as a process of its own."""

import asyncio
import os
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pbweb as pb
from tests.hostile.canary import singing
from tests.integration.process import serving

ROOM = 40  # connections that it may have


async def test_who_is_there_is_served_and_others_come_in_later() -> None:
    with serving("tests.hostile.test_descriptors:Root") as server:
        url = f"ws://localhost:{server.port}/pb"
        async with pb.connect(url) as connection:
            root = await connection.getRootObject()
            most = await root.callRemote("open_descriptors") + ROOM
            async with singing(root):
                with ExitStack() as stack:
                    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (most, most))
                    for _ in range(2 * ROOM):
                        address = ("127.0.0.1", server.port)
                        stack.enter_context(socket.create_connection(address))
                    async with asyncio.timeout(60):
                        while not await root.callRemote("is_exhausted"):
                            await asyncio.sleep(0.02)
                async with asyncio.timeout(60):
                    await come_in(url)
        assert len(server.lines) < 200, server.output


async def come_in(url: str) -> None:
    """Connect; who comes before the server has descriptors again is turned away."""
    while True:
        try:
            async with pb.connect(url) as other:
                assert await (await other.getRootObject()).callRemote("sing", 5) == 5
                return
        except pb.ConnectFailed:
            await asyncio.sleep(0.02)


class Root(pb.Root):
    """What the process publishes."""

    def remote_sing(self, number: int) -> int:
        return number

    def remote_open_descriptors(self) -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def remote_is_exhausted(self) -> bool:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return True
        return False
