"""What the tests serve."""

import asyncio
import os
import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

import pbweb as pb


class Counter(pb.Referenceable):
    def __init__(self) -> None:
        self.number = 0

    def remote_add(self, number: int) -> int:
        self.number += number
        return self.number


class Pond(pb.Copyable):
    pbType = "Pond"
    frogs: list[int]


class IntegrationRoot(pb.Root):
    def remote_echo(self, value: object) -> object:
        return value

    def remote_failWith(self, text: str) -> None:
        raise ValueError(text)

    def remote_counter(self) -> Counter:
        return Counter()

    async def remote_callBack(self, reference: Any, value: object) -> object:
        return await reference.callRemote("take", value)

    async def remote_slow(self) -> None:
        print("slow is running", flush=True)
        await asyncio.sleep(3600)

    async def remote_stubborn(self) -> None:
        print("stubborn is running", flush=True)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                print("stubborn was cancelled", flush=True)

    def remote_block(self) -> None:
        print("block is running", flush=True)
        while True:
            time.sleep(1)

    async def remote_push(self, reference: Any) -> None:
        print("push is running", flush=True)
        while True:
            reference.callRemoteOnly("take", "x" * 10_000)
            await asyncio.sleep(0)

    def remote_copies(self) -> object:
        pond = Pond()
        pond.frogs = [1, 2]
        return [pond, {"again": pond}]

    def remote_fail(self) -> None:
        raise ValueError("MARK-of-the-fault")


class Broken(pb.Root):
    def __init__(self) -> None:
        raise RuntimeError("this root cannot be made")


class Door(pb.Root):
    """Gives each peer a root of its own, by who it is."""

    def rootObject(self, broker: pb.Broker) -> pb.Referenceable:
        return Desk(broker.identity)


class Desk(pb.Referenceable):
    def __init__(self, identity: object) -> None:
        self.identity = identity

    def remote_whoAmI(self) -> object:
        return self.identity


async def who(request: HTTPConnection) -> object:
    """By cookie or by header; some ask for what goes wrong."""
    await asyncio.sleep(0)
    match request.headers.get("authorization"):
        case "Bearer of nothing":
            raise ValueError("MARK-of-the-fault")
        case "Bearer of patience":
            await asyncio.sleep(3600)
        case "Bearer for two":
            return {
                "path": request.url.path,
                "query": dict(request.query_params),
                "client": request.client and request.client.host,
                "scheme": request.url.scheme,
            }
    name = request.cookies.get("name") or request.headers.get("x-name")
    if not name:
        raise HTTPException(401, "say your name", {"www-authenticate": "Bearer"})
    return name


SEVERAL = {"/one/pb": IntegrationRoot, "/two/pb": IntegrationRoot()}
NOT_A_ROOT = 5


class User(pb.Avatar):
    def __init__(self, name: str, mind: Any) -> None:
        self.name, self.mind = name, mind

    def perspective_whoami(self) -> str:
        return self.name

    async def perspective_tell(self, value: object) -> object:
        return await self.mind.callRemote("take", value)


class Realm:
    def requestAvatar(self, avatarId: str, mind: Any, interface: object) -> object:
        print(f"{avatarId} came", flush=True)
        return interface, User(avatarId, mind), lambda: print(f"{avatarId} left", flush=True)


def portal() -> pb.Portal:
    """Whose passwords are in the file that a variable names, and who came by the upgrade."""
    from pbweb.checkers import FilePasswordDB, IdentityChecker

    return pb.Portal(Realm(), [FilePasswordDB(os.environ["PASSWORDS"]), IdentityChecker()])
