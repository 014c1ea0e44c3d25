"""What is served in the tests of mistakes: a newcomer's, with each of them in it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pbweb as pb
from pbweb.checkers import AllowAnonymousAccess

SECONDS = 0.5  # of blocking, against the 0.1 that are allowed


class Forgetful(pb.Referenceable):
    def three(self, number: int) -> int:
        """It lacks the prefix."""
        return number * 3


class Plain:
    """It inherits from nothing that crosses."""


class Visitor(pb.Avatar):
    def remote_look(self) -> None:
        """It has the prefix of other objects."""


class Lobby:
    def requestAvatar(self, avatarId: Any, mind: Any, interface: Any) -> Any:
        return interface, Visitor(), lambda: None


portal = pb.Portal(Lobby(), [AllowAnonymousAccess()])


class Newcomer(pb.Root):
    def remote_forgetful(self) -> Forgetful:
        return Forgetful()

    def remote_getTwo(self) -> str:
        return "two"

    def remote_plain(self) -> Any:
        return {"things": [Plain()]}

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_generate(self) -> Iterator[int]:
        yield 1  # and no async

    async def remote_stream(self) -> AsyncIterator[int]:
        yield 1

    def remote_block(self) -> None:
        time.sleep(SECONDS)

    async def remote_blockLater(self) -> None:
        await asyncio.sleep(0)
        time.sleep(SECONDS)  # noqa: ASYNC251
