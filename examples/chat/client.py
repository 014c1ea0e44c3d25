"""A terminal in a room: python examples/chat/client.py [URL] [NAME] [ROOM]

What is typed is said; /people tells who is there; /quit, or the end of the input, leaves.
"""

import asyncio
import contextlib
import getpass
import random
import sys
from datetime import UTC, datetime

import pbweb as pb

Message = tuple[str, str, datetime]


def show(line: str) -> None:
    """Print what somebody else made up, without anything that a terminal would obey."""
    print("".join(char if char.isprintable() else " " for char in line), flush=True)


class Listener(pb.Referenceable):
    """What the server calls when something happens in the room."""

    def __init__(self) -> None:
        self.people: dict[str, None] = {}  # in the order in which they came
        self.latest = datetime.min.replace(tzinfo=UTC)

    def remote_welcome(self, you: str, people: list[str], history: list[Message]) -> None:
        self.people = dict.fromkeys(people)
        for message in history:
            if message[2] > self.latest:  # not shown before the connection was lost
                self.remote_said(*message)
        show(f"* you are {you}; here are {', '.join(people)}")

    def remote_said(self, who: str, text: str, at: datetime) -> None:
        self.latest = at
        show(f"{at.astimezone():%H:%M} {who}: {text}")

    def remote_came(self, who: str) -> None:
        self.people[who] = None
        show(f"* {who} came")

    def remote_went(self, who: str) -> None:
        self.people.pop(who, None)
        show(f"* {who} went")

    def remote_missed(self) -> None:
        show("* you were too slow, and may have missed some lines")


async def keyboard() -> asyncio.StreamReader:
    """The lines that are typed; waiting for one holds up nothing."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def speak(typed: asyncio.StreamReader, seat: pb.RemoteReference, me: Listener) -> None:
    """Say what is typed, until the end."""
    while line := (await typed.readline()).decode(errors="replace"):
        text = line.strip()
        if text == "/quit":
            return
        if text == "/people":
            show(f"* here are {', '.join(me.people)}")
        elif text:
            try:
                await seat.callRemote("say", text)
            except pb.RemoteError as error:  # it is too long, say
                show(f"! {error.message}")


async def visit(url: str, room: str, name: str, me: Listener, typed: asyncio.StreamReader) -> None:
    """One connection, from joining to leaving.

    Raises:
        pb.Error: there is no connection, or the server will not have us, or it went.
    """
    async with pb.connect(url) as connection:
        root = await connection.getRootObject()
        seat = await root.callRemote("join", room, name, me)
        speaking = asyncio.ensure_future(speak(typed, seat, me))
        lost = asyncio.ensure_future(connection.wait_closed())
        await asyncio.wait((speaking, lost), return_when=asyncio.FIRST_COMPLETED)
        if lost.done() and not speaking.done():
            speaking.cancel()
            raise pb.PBConnectionLost("the server has gone")
        lost.cancel()
        await speaking


async def main(url: str = "ws://localhost:8000/pb", name: str = "", room: str = "lobby") -> None:
    typed = await keyboard()
    me = Listener()
    while True:
        try:
            return await visit(url, room, name or getpass.getuser(), me, typed)
        except pb.Error as error:
            if not me.people:  # we never were in the room
                sys.exit(f"! {error}")
            show(f"! {error}; trying again")
        await asyncio.sleep(1 + random.random())  # not all at once, when a server comes back


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
