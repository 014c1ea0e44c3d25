"""How `pbweb serve` stops: as real processes that get real signals.

With PBWEB_FULL=1 the promise is tried 30 times, and stalled readers against the default times.
"""

import asyncio
import http.client
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pbweb as pb
from pbweb.client import ConnectFailed
from tests.hostile.kit import Peer, read_head, upgrade
from tests.integration.process import SECONDS, Process, free_port, pbweb, running, serving

APP = "tests.integration.shutdown_app:Desk"
FULL = bool(os.environ.get("PBWEB_FULL"))
ROUNDS = 30 if FULL else 3
PROMISED = 15.0  # seconds from the signal to the end of the process
QUICK = ("--limit", "drain=0", "--limit", "grace=1")


async def raw(process: Process, *frames: object) -> Peer:
    """A peer that keeps no rules, and has sent *frames*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    peer = Peer(reader, writer)
    peer.send_bytes(upgrade(f"localhost:{process.port}"))
    assert (await read_head(reader))[0] == 101
    peer.greet()
    peer.send(*frames)
    await peer.next("version")
    return peer


def url(process: Process) -> str:
    return f"ws://localhost:{process.port}/pb"


async def said(process: Process, pattern: str) -> None:
    await asyncio.to_thread(process.wait_for, pattern)


# ------------------------------------------------------------- under load (R17)


class Teller(pb.Referenceable):
    def remote_tell(self, name: str) -> str:
        return name


class Load:
    """Clients that call until their sessions end; how each call has ended."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self._teller = Teller()

    async def client(self, number: int, process: Process) -> None:
        connection = await pb.connect(url(process))
        root = await connection.getRootObject()
        await asyncio.gather(*(self._call(root, f"{number}.{lane}", lane) for lane in range(6)))
        await connection.wait_closed()

    async def _call(self, root: pb.RemoteReference, name: str, lane: int) -> None:
        method = ("now", "soon", "blocking", "ask", "now", "soon")[lane]
        more = (self._teller,) if method == "ask" else ()
        for at in range(1_000_000):
            call = f"{name}.{at}"
            try:
                assert await root.callRemote(method, call, *more) == call
                self.ends[call] = "answered"
            except pb.PBConnectionLost as lost:
                self.ends[call] = lost.outcome
                if root.isDead():
                    return
            except pb.DeadReferenceError:
                return


@pytest.mark.parametrize("round", range(ROUNDS))
def test_a_stop_under_load_loses_nothing(
    round: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = tmp_path / "executed"
    monkeypatch.setenv("EXECUTED", str(executed))
    load = Load()

    async def scene(process: Process) -> float:
        clients = [asyncio.ensure_future(load.client(n, process)) for n in range(6)]
        while len(load.ends) < 300 * (1 + round % 3):
            await asyncio.sleep(0.001)
        process.signal(signal.SIGTERM)
        began = time.monotonic()
        assert await asyncio.to_thread(process.end) == 0
        took = time.monotonic() - began
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*clients)
        return took

    with serving(APP) as process:
        assert asyncio.run(scene(process)) < PROMISED
    assert "Traceback" not in process.output
    assert "never retrieved" not in process.output
    times = Counter(executed.read_text().split())
    assert set(times.values()) == {1}
    ends = load.ends
    assert {call for call, end in ends.items() if end == "answered"} == set(times)
    assert {end for call, end in ends.items() if call not in times} <= {"not_executed"}
    assert Counter(ends.values()).keys() <= {"answered", "not_executed"}


# ------------------------------------------------------------------ in order


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_call_in_progress_is_answered_and_a_later_one_refused(number: int) -> None:
    async def scene(process: Process) -> None:
        async with await raw(process, ["message", 1, "root", "gate"]) as peer:
            await said(process, "the gate is closed")
            process.signal(number)
            await said(process, "stopping: 1 calls in progress have 3000 seconds")
            peer.send(["message", 2, "root", "now", ["later"]])
            refused = await peer.answer(2)
            assert refused[2]["type"] == "PBConnectionLost"
            assert refused[2]["outcome"] == "not_executed"
            process.signal(signal.SIGUSR1)
            assert await peer.answer(1) == ["answer", 1, "through"]
            code, close = await peer.closed()
            assert code == 1012
            assert close is not None
            assert close[:2] == ["close", 1012]
            assert close[3:] == [[1.0, 2.01], 2]

    with serving(APP, "--limit", "drain=3000") as process:
        asyncio.run(scene(process))
        assert process.end() == 0
    assert "Traceback" not in process.output


def test_nobody_is_let_in_and_probes_are_told() -> None:
    async def scene(process: Process) -> None:
        kept = [
            http.client.HTTPConnection("localhost", process.port, timeout=SECONDS) for _ in "12"
        ]
        for one in kept:
            assert status(one, "/readyz") == 200
        late = await asyncio.open_connection("127.0.0.1", process.port)  # has sent nothing yet
        async with await raw(process, ["message", 1, "root", "gate"]) as peer:
            await said(process, "the gate is closed")
            process.signal(signal.SIGTERM)
            await said(process, "stopping")
            assert await asyncio.to_thread(status, kept[0], "/readyz") == 503
            assert await asyncio.to_thread(status, kept[0], "/healthz") == 200
            assert await asyncio.to_thread(status, kept[1], "/pb/pbweb.js") == 200
            late[1].write(upgrade(f"localhost:{process.port}"))
            assert (await read_head(late[0]))[0] == 503
            with pytest.raises(ConnectFailed, match="nobody answers there"):
                await pb.connect(url(process))
            process.signal(signal.SIGUSR1)
            await peer.closed()
        late[1].close()
        for one in kept:
            one.close()

    def status(connection: http.client.HTTPConnection, path: str) -> int:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status

    with serving(APP, "--limit", "drain=3000", "--limit", "first_frame=3000") as process:
        asyncio.run(scene(process))
        assert process.end() == 0


def test_what_is_cancelled_at_the_end_may_tidy_up_and_peers_are_told() -> None:
    async def scene(process: Process) -> None:
        peers = [await raw(process, ["message", 1, "root", "tidy"]) for _ in range(3)]
        await said(process, "tidy is running")
        process.signal(signal.SIGTERM)
        for peer in peers:
            code, close = await peer.closed()
            assert code == 1012
            assert close is not None
            assert close[3] == [1.0, 2.03]
            await peer.cut()

    with serving(APP, "--limit", "drain=0") as process:
        asyncio.run(scene(process))
        assert process.end() == 0
    assert process.output.count("tidy has tidied up") == 3
    assert "Traceback" not in process.output


def test_who_reads_a_stream_holds_up_nothing() -> None:
    async def scene(process: Process) -> None:
        connection = await pb.connect(url(process))
        root = await connection.getRootObject()
        clock = await root.callRemote("clock")
        assert await anext(clock) == 1
        process.signal(signal.SIGTERM)
        with pytest.raises(pb.PBConnectionLost):
            await anext(clock)
        await connection.close()

    with serving(APP, "--limit", "drain=3000") as process:
        asyncio.run(scene(process))
        assert process.end() == 0


def test_sessions_without_a_connection_end_and_log_out() -> None:
    async def scene(process: Process) -> None:
        live = await pb.connect(url(process))
        avatar = await live.login(pb.Anonymous())
        away = await raw(process, ["message", 1, "root", "login", ["anonymous", {}]])
        await away.answer(1)
        await away.cut()
        await said(process, "a visitor came")
        await said(process, "a visitor came")
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.end) == 0
        assert avatar.isDead()
        await live.close()

    with serving("tests.integration.shutdown_app:portal", "--limit", "resume_window=60") as process:
        asyncio.run(scene(process))
    assert process.output.count("a visitor left") == 2
    assert "Traceback" not in process.output


# -------------------------------------------------------- in other applications


@contextmanager
def mounted() -> Iterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port)]
    with running([*command, "tests.integration.mounted_shutdown_app:app"]) as process:
        process.port = port
        process.wait_for("Uvicorn running")
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_application_of_ones_own_can_do_the_same(number: int) -> None:
    async def scene(process: Process) -> None:
        async with await raw(process, ["message", 1, "root", "gate"]) as peer:
            await said(process, "the gate is closed")
            process.signal(number)
            late = await asyncio.open_connection("127.0.0.1", process.port)
            while True:  # the signal has come
                late[1].write(upgrade(f"localhost:{process.port}"))
                if (await read_head(late[0]))[0] == 503:
                    break
                late[1].close()
                late = await asyncio.open_connection("127.0.0.1", process.port)
            late[1].close()
            peer.send(["message", 2, "root", "now", ["later"]])
            assert (await peer.answer(2))[2]["outcome"] == "not_executed"
            process.signal(signal.SIGUSR1)
            assert await peer.answer(1) == ["answer", 1, "through"]
            assert (await peer.closed())[0] == 1012

    with mounted() as process:
        asyncio.run(scene(process))
        assert process.end() in (0, -number)  # uvicorn raises it again
    assert "the application has ended" in process.output


def test_there_too_a_second_signal_goes_through() -> None:
    async def scene(process: Process) -> None:
        async with await raw(process, ["message", 1, "root", "gate"]) as peer:
            await said(process, "the gate is closed")
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGINT)
            await peer.closed()
            await asyncio.to_thread(process.end)

    with mounted() as process:
        asyncio.run(scene(process))
    assert "the application has ended" in process.output


# ------------------------------------------------- what would hold up the end


@pytest.mark.parametrize("limits", [(), ("--limit", "drain=0.2", "--limit", "grace=3")][not FULL :])
def test_stalled_readers_do_not_hold_it_up(limits: tuple[str, ...]) -> None:
    async def scene(process: Process) -> None:
        tag = {"$": "remote", "id": 1}
        pushed = [await raw(process, ["message", 1, "root", "push", [tag]]) for _ in range(5)]
        idle = [await raw(process, ["message", 1, "root", "now", ["x"]]) for _ in range(5)]
        for peer in [*pushed, *idle]:
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await said(process, "push is running")
        await asyncio.sleep(0.3)  # their sockets are full by then; if not, the test is only easier
        process.signal(signal.SIGTERM)
        began = time.monotonic()
        assert await asyncio.to_thread(process.end) == 0
        assert time.monotonic() - began < PROMISED
        for peer in [*pushed, *idle]:
            await peer.cut()

    with serving(APP, *limits) as process:
        asyncio.run(scene(process))
    assert "Traceback" not in process.output


def test_idle_and_half_requests_do_not_hold_it_up() -> None:
    async def scene(process: Process) -> None:
        peers = [await asyncio.open_connection("127.0.0.1", process.port) for _ in range(3)]
        peers[1][1].write(b"GET /hea")
        peers[2][1].write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await peers[2][0].read(1000)
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.end) == 0
        for _, writer in peers:
            writer.close()

    with serving(APP) as process:
        asyncio.run(scene(process))
    assert "Traceback" not in process.output


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second: int) -> None:
    async def scene(process: Process) -> None:
        peer = await raw(process, ["message", 1, "root", "gate"])
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await said(process, "the gate is closed")
        process.signal(signal.SIGTERM)
        await said(process, "stopping")
        process.signal(second)
        assert await asyncio.to_thread(process.end) == 0  # `drain` would be 50 minutes
        await peer.cut()

    with serving(APP, "--limit", "drain=3000", "--limit", "grace=3000") as process:
        asyncio.run(scene(process))
    assert "Traceback" not in process.output


def test_a_second_signal_ends_it_at_once_whatever_a_method_does() -> None:
    async def scene(process: Process) -> None:
        peer = await raw(process, ["message", 1, "root", "stubborn"])
        await said(process, "stubborn is running")
        process.signal(signal.SIGTERM)
        await said(process, "stopping")
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.end) == 1
        await peer.cut()

    with serving(APP, "--limit", "drain=3000", "--limit", "grace=3000") as process:
        asyncio.run(scene(process))
    assert "Timeout" in process.output


@pytest.mark.parametrize("method", ["stubborn", "block"])
def test_a_method_that_never_ends_is_shown_and_the_process_ends(method: str) -> None:
    async def scene(process: Process) -> None:
        peer = await raw_unanswered(process, method)
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.end) == 1
        await peer.cut()

    async def raw_unanswered(process: Process, method: str) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
        peer = Peer(reader, writer)
        peer.send_bytes(upgrade(f"localhost:{process.port}"))
        await read_head(reader)
        peer.send(["version", 1], ["message", 1, "root", method])
        await said(process, f"{method} is running")
        return peer

    with serving(APP, *QUICK) as process:
        asyncio.run(scene(process))
    assert "Timeout" in process.output
    if method == "block":
        assert "remote_block" in process.output


# ------------------------------------------------------------------ coming back


def test_clients_come_back_to_the_next_server_with_a_new_session() -> None:
    async def scene(process: Process, command: list[str]) -> None:
        begun: asyncio.Queue[str] = asyncio.Queue()

        async def on_session(root: pb.RemoteReference, connection: pb.Connection) -> None:
            begun.put_nowait(await root.callRemote("now", "a session"))

        connection = await pb.connect(url(process), on_session=on_session)
        await begun.get()
        root = await connection.getRootObject()
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.end) == 0
        with running([*command, "--port", str(process.port)]) as again:
            async with asyncio.timeout(SECONDS):
                await begun.get()
            assert root.isDead()
            assert connection.status == "connected"
            root = await connection.getRootObject()
            assert await root.callRemote("now", "again") == "again"
            await connection.close()
            again.signal(signal.SIGTERM)
            assert await asyncio.to_thread(again.end) == 0

    command = pbweb("serve", APP, "--limit", "resume_window=60")
    with serving(command=command) as process:
        asyncio.run(scene(process, command))
