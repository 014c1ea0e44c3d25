"""The proxy passes everything on in its order, and counts the round trips."""

import asyncio

from .delay_proxy import DelayProxy


async def through_proxy(work):
    """What *work* returns, given both ends of a connection, and the round trips that it took."""
    ended = asyncio.Event()

    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = DelayProxy(server.sockets[0].getsockname()[1], 0)
    async with proxy.listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        result = await work(reader, writer)
        writer.close()
        await writer.wait_closed()
        await ended.wait()
    server.close()
    return result, proxy.round_trips


def test_what_waits_for_its_answer_is_a_round_trip_each():
    async def work(reader, writer):
        for _ in range(3):
            writer.write(b"x")
            await reader.readexactly(1)

    assert asyncio.run(through_proxy(work)) == (None, 3)


def test_what_does_not_wait_is_one_round_trip():
    async def work(reader, writer):
        for number in range(50):
            writer.write(b"%02d" % number)
        return await reader.readexactly(100)

    sent = b"".join(b"%02d" % number for number in range(50))
    assert asyncio.run(through_proxy(work)) == (sent, 1)
