"""Calls over a link that breaks: python examples/resilience/client.py [URL]"""

import asyncio
import sys
import uuid
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

import pbweb as pb


class Cable:
    """The way to the server, with a switch: what a network does to a program is done here."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.is_cut = False
        self.ends: set[asyncio.StreamWriter] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is cut or one side ends it."""
        if self.is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self.host, self.port)
        ends = {writer, back}
        self.ends |= ends
        ways = [asyncio.create_task(self._pass(*way)) for way in ((reader, back), (there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.transport.abort()
        await asyncio.wait(ways)
        self.ends -= ends

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()

    def cut(self) -> None:
        self.is_cut = True
        for end in self.ends:
            end.transport.abort()

    def mend(self) -> None:
        self.is_cut = False


class Listener(pb.Referenceable):
    """The object of ours that the server calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.called = asyncio.Event()

    def remote_beat(self, number: int, _done: int, _twice: int) -> int:
        self.calls.append(number)
        self.called.set()
        return number


def tell(what: str, answers: list[object]) -> None:
    """How many calls ended how."""
    ends = Counter(
        error.outcome if isinstance(error, pb.PBConnectionLost) else "answered" for error in answers
    )
    print(f"{what}: {', '.join(f'{number} {end}' for end, number in sorted(ends.items()))}")


async def main(url: str = "ws://localhost:8000/pb") -> None:
    parts = urlsplit(url)
    cable = Cable(parts.hostname or "localhost", parts.port or 80)
    relay = await asyncio.start_server(cable.carry, "localhost", 0)
    port = relay.sockets[0].getsockname()[1]
    url = parts._replace(netloc=f"localhost:{port}").geturl()
    key, listener = str(uuid.uuid4()), Listener()
    visits: asyncio.Queue[pb.RemoteReference] = asyncio.Queue()

    async def set_up(visit: pb.RemoteReference, _connection: pb.Connection) -> None:
        """Run for each session: the first one, and any that takes the place of one that is lost."""
        await visit.callRemote("join", key, listener)
        visits.put_nowait(visit)

    connection = await pb.connect(url, on_session=set_up)
    statuses: asyncio.Queue[str] = asyncio.Queue()
    connection.on_status(statuses.put_nowait)
    visit = await visits.get()

    calls = [visit.callRemote("work", number) for number in range(3)]
    await asyncio.sleep(0.1)  # they are under way
    cable.cut()
    print(await statuses.get())
    calls += [visit.callRemote("work", number) for number in range(3, 6)]
    await asyncio.sleep(1)
    cable.mend()
    print(await statuses.get())
    tell("six calls", await asyncio.gather(*calls, return_exceptions=True))
    await listener.called.wait()
    record = await visit.callRemote("record")
    print(f"the server did {record['calls']}, twice {record['twice']}")
    print(f"its calls came in order: {listener.calls == sorted(set(listener.calls))}")

    print("now the server forgets the session:")
    calls = [visit.callRemote("work", number) for number in range(6, 8)]
    await asyncio.sleep(0.5)  # the server says by then that it has them
    calls += [visit.callRemote("work", number) for number in range(8, 10)]
    await visit.callRemote("crash")
    cable.cut()
    print(await statuses.get())
    calls += [visit.callRemote("work", number) for number in range(10, 12)]
    await asyncio.sleep(2)
    cable.mend()
    visit = await visits.get()
    print(f"set up again: {connection.status}")
    tell("six calls", await asyncio.gather(*calls, return_exceptions=True))
    record = await visit.callRemote("record")
    print(f"the server did {record['calls'] - 6}, twice {record['twice']}")
    await connection.close()
    relay.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
