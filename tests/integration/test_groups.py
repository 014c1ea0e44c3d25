"""A group with members behind `pbweb serve`'s own WebSocket class and behind stock uvicorn."""

import asyncio
from contextlib import AsyncExitStack

import pytest
import uvloop

import pbweb as pb
from tests.hostile.kit import gateway, until
from tests.integration.test_mounted import starlette_routes, stock_uvicorn

MESSAGES = 200


class Room(pb.Root):
    """Whoever joins is told what is published."""

    def __init__(self) -> None:
        self.group = pb.Group()

    def remote_echo(self, value: object = None) -> object:
        return value

    def remote_join(self, listener: pb.RemoteReference) -> None:
        self.group.add(listener)


class Listener(pb.Referenceable):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def remote_hear(self, value: object) -> int:
        self.heard.append(value)
        return len(self.heard)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_members_of_several_servers_are_told_together(loop_factory: object) -> None:
    async def main() -> None:
        room = Room()
        async with (
            gateway(room) as own,
            stock_uvicorn(starlette_routes(pb.endpoint(room))) as port,
            AsyncExitStack() as stack,
        ):
            listeners = []
            for url in (own.url, own.url, f"ws://localhost:{port}/pb"):
                client = await stack.enter_async_context(pb.connect(url))
                listeners.append(Listener())
                await (await client.getRootObject()).callRemote("join", listeners[-1])
            for number in range(MESSAGES):
                room.group.callRemoteOnly("hear", number)
                if number % 3:
                    await asyncio.sleep(0)  # one, or two, in a turn
            results = await room.group.callRemote("hear", {"last": b"x" * 5000})
            assert list(results.values()) == [MESSAGES + 1] * 3
            for listener in listeners:
                assert listener.heard == [*range(MESSAGES), {"last": b"x" * 5000}]
            await stack.aclose()
            await until(lambda: not room.group)

    with asyncio.Runner(loop_factory=loop_factory) as runner:  # type: ignore[arg-type]
        runner.run(main())
