"""Each fault of the proxy does what it says, and the same seed does the same again."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from tests.chaos.proxy import ENDING, Fault, cuts, fault_proxy, resuming_part, weather
from tests.hostile.kit import TEXT, until, upgrade, ws_frame


@asynccontextmanager
async def echoing(*faults):
    """An echoing server behind a proxy whose first connection has *faults*; what it was sent."""
    heard, writers = [], []

    async def echo(reader, writer):
        mine = bytearray()
        heard.append(mine)
        writers.append(writer)
        try:
            while data := await reader.read(1000):
                mine += data
                writer.write(data)
            writer.write(b"bye")
            writer.write_eof()
        except ConnectionError:
            mine += b"RST"

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with fault_proxy(port, lambda number: faults if number == 1 else ()) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            await until(lambda: heard)
            writers.append(writer)
            yield SimpleNamespace(proxy=proxy, reader=reader, writer=writer, heard=heard)
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_without_faults_all_goes_through_and_ends_are_passed_on():
    async with echoing() as net:
        net.writer.write(b"x" * 100_000)
        net.writer.write_eof()
        assert await net.reader.read() == b"x" * 100_000 + b"bye"
        assert net.heard == [b"x" * 100_000]
        assert net.proxy.cuts == 0
        assert net.proxy.connections == 1


@pytest.mark.parametrize("at", [1, 5, 10])
async def test_a_cut_comes_exactly_there(at):
    async with echoing(Fault("cut", at=at)) as net:
        net.writer.write(b"0123456789")
        await net.reader.read()
        await until(lambda: net.proxy.cuts == 1)
        assert net.heard[0] == b"0123456789"[:at]


async def test_a_reset_is_one_on_both_sides():
    async with echoing(Fault("reset", at=5)) as net:
        net.writer.write(b"0123456789")
        with pytest.raises(ConnectionResetError):
            await net.reader.read()
        await until(lambda: net.heard[0].endswith(b"RST"))


async def test_a_time_is_as_good_as_a_number_of_bytes():
    async with echoing(Fault("reset", after=0.01)) as net:
        with pytest.raises(ConnectionResetError):
            await net.reader.read()


async def test_half_of_a_connection_goes_on_for_a_while():
    fault = Fault("half_close", at=10, seconds=0.2, up=True)
    async with echoing(fault) as net:
        net.writer.write(b"0123456789")
        assert await net.reader.readexactly(13) == b"0123456789bye"
        net.writer.write(b"more")
        await until(lambda: net.reader.at_eof() or net.reader.exception())
        assert net.heard[0] == b"0123456789"


async def test_a_direction_stands_still_and_goes_on():
    fault = Fault("stall", at=3, seconds=0.1, up=False)
    async with echoing(fault) as net:
        net.writer.write(b"012")
        await until(lambda: net.heard[0] == b"012")
        net.writer.write(b"345")
        await until(lambda: net.heard[0] == b"012345")
        assert await net.reader.readexactly(6) == b"012345"


async def test_silence_tells_nobody_anything_until_it_ends():
    async with echoing(Fault("silence", at=3, seconds=0.1)) as net:
        net.writer.write(b"0123456")
        with pytest.raises(ConnectionResetError):
            await net.reader.read()
        assert net.heard[0].removesuffix(b"RST") == b"012"


async def test_slow_and_sliced_bytes_are_the_same_bytes():
    faults = [Fault("delay", at=1, seconds=0.001), Fault("slice", at=10, size=7)]
    async with echoing(*faults) as net:
        net.writer.write(bytes(range(200)))
        assert await net.reader.readexactly(200) == bytes(range(200))


async def test_who_is_refused_is_let_in_later():
    async with echoing(Fault("refuse", at=1, seconds=0.1)) as net:
        net.writer.write(b"0")
        with pytest.raises(ConnectionResetError):
            await net.reader.read()
        while True:
            again, other = await asyncio.open_connection("127.0.0.1", net.proxy.port)
            other.write(b"1")
            try:
                assert await again.readexactly(1) == b"1"
                break
            except (ConnectionError, asyncio.IncompleteReadError):
                continue
        assert net.proxy.connections == 2
        other.transport.abort()


def opening(**options):
    text = json.dumps(["version", 1, options]).encode()
    return upgrade("localhost") + ws_frame(TEXT, text)


@pytest.mark.parametrize(
    ("options", "times"), [({"resume": {"session": "a"}}, 2), ({"software": "b"}, 1)]
)
async def test_an_opening_comes_again_if_it_resumes_a_session(options, times):
    first = opening(**options)
    async with echoing(Fault("duplicate", at=1000, seconds=0.1)) as net:
        net.writer.write(first + b"x" * 2000)
        await until(lambda: len(net.heard[0]) == len(first) + 2000)
        await until(lambda: net.proxy.counts["duplicate"])
        await until(lambda: len(net.heard) == times)
        if times == 2:
            await until(lambda: net.heard[1].removesuffix(b"RST") == first)


def test_what_is_incomplete_is_not_repeated():
    first = opening(resume={"session": "a" * 200})
    assert resuming_part(first) == resuming_part(first + b"more") == first
    assert {resuming_part(first[:at]) for at in range(len(first))} == {None}


async def test_calm_clears_the_sky():
    async with echoing(Fault("stall", at=1, seconds=1e6), Fault("reset", at=50)) as net:
        net.writer.write(b"0123456789")
        await until(lambda: net.proxy.counts["stall"])
        net.proxy.calm()
        net.writer.write(b"x" * 100)
        assert await net.reader.readexactly(110) == b"0123456789" + b"x" * 100


def test_the_same_seed_is_the_same_weather():
    for make in (lambda seed: weather(str(seed), 10_000), lambda seed: cuts(seed, 10_000)):
        one, same, other = make(1), make(1), make(2)
        first = [one(number) for number in range(100)]
        assert first == [same(number) for number in range(100)]
        assert first != [other(number) for number in range(100)]
        for faults in first:
            assert [fault.kind in ENDING for fault in faults][-1:] == [True]
