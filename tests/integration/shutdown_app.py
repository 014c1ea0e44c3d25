"""What is served while the server is stopped: each execution is written to a file."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pbweb as pb

EXECUTED = Path(os.environ.get("EXECUTED", "/dev/null"))


def executed(name: str) -> None:
    with EXECUTED.open("a") as file:
        file.write(f"{name}\n")


class Desk(pb.Root):
    def remote_now(self, name: str) -> str:
        executed(name)
        return name

    async def remote_soon(self, name: str) -> str:
        executed(name)
        await asyncio.sleep(0.02)
        return name

    @pb.in_thread
    def remote_blocking(self, name: str) -> str:
        executed(name)
        time.sleep(0.02)
        return name

    async def remote_ask(self, name: str, reference: Any) -> object:
        executed(name)
        return await reference.callRemote("tell", name)

    async def remote_gate(self) -> str:
        """Waits for a signal of its own: SIGUSR1 lets it go."""
        import signal

        let_go = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, let_go.set)
        print("the gate is closed", flush=True)
        await let_go.wait()
        return "through"

    async def remote_tidy(self) -> None:
        print("tidy is running", flush=True)
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.05)
            print("tidy has tidied up", flush=True)

    async def remote_stubborn(self) -> None:
        print("stubborn is running", flush=True)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                print("stubborn was cancelled", flush=True)

    def remote_blockFor(self, seconds: float) -> None:
        time.sleep(seconds)

    def remote_block(self) -> None:
        print("block is running", flush=True)
        while True:
            time.sleep(1)

    async def remote_push(self, reference: Any) -> None:
        print("push is running", flush=True)
        while True:
            reference.callRemoteOnly("take", "x" * 10_000)
            await asyncio.sleep(0)

    async def remote_clock(self) -> Any:
        print("the clock is running", flush=True)
        yield 1
        await asyncio.sleep(3600)


class Visitor(pb.Avatar):
    def perspective_ping(self) -> str:
        return "pong"


class Realm:
    def requestAvatar(self, avatarId: object, mind: object, interface: object) -> object:
        print("a visitor came", flush=True)

        async def logout() -> None:
            await asyncio.sleep(0.01)
            print("a visitor left", flush=True)

        return interface, Visitor(), logout


def portal() -> pb.Portal:
    from pbweb.checkers import AllowAnonymousAccess

    return pb.Portal(Realm(), [AllowAnonymousAccess()])
