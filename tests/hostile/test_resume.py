"""Sessions that live through broken connections: a real server, real sockets, a proxy that cuts."""

import asyncio
import json
import random
from pathlib import Path

import pytest
from starlette.applications import Starlette

import pbweb as pb
from pbweb import client as client_module
from pbweb.client import backoff
from pbweb.testing import tables
from tests.chaos.proxy import cuts, fault_proxy
from tests.clock import Clock
from tests.hostile.canary import bystander
from tests.hostile.kit import gateway, until, with_limits
from tests.integration.test_mounted import stock_uvicorn

LIMITS = with_limits(resume_window=60)


class Ledger(pb.Root):
    def __init__(self) -> None:
        self.executed: list[int] = []
        self.wait = asyncio.Event()
        self.gone = 0

    def rootObject(self, broker):
        broker.notifyOnDisconnect(self.count)
        return self

    def count(self):
        self.gone += 1

    def remote_echo(self, value):
        return value

    def remote_note(self, number, text=""):
        self.executed.append(number)
        return [number, len(text)]

    async def remote_slowly(self, number):
        self.executed.append(number)
        await asyncio.sleep(0)
        return number

    async def remote_ask(self, number, them):
        self.executed.append(number)
        return await them.callRemote("told", number)

    def remote_make(self, number):
        self.executed.append(number)
        return Thing(number)

    async def remote_hang(self):
        self.wait.set()
        await asyncio.Event().wait()


class Thing(pb.Referenceable):
    def __init__(self, number):
        self.number = number

    def remote_number(self):
        return self.number


class Them(pb.Referenceable):
    def __init__(self):
        self.told: list[int] = []

    def remote_told(self, number):
        self.told.append(number)
        return number


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(client_module, "LONGEST_WAIT", 0.02)


def end_what_is_away(gate) -> None:
    """Nobody comes back for these, and the window is long."""
    for place in list(gate.endpoint.parking._places.values()):
        if place.session.detached:
            place.session.end("enough")


def test_a_client_waits_twice_as_long_each_time_and_at_random(monkeypatch):
    monkeypatch.undo()
    for attempt, most in [(0, 0.5), (1, 1), (2, 2), (5, 16), (6, 20), (1000, 20)]:
        waits = [backoff(attempt) for _ in range(200)]
        assert 0 <= min(waits) < most / 4
        assert most * 3 / 4 < max(waits) <= most


@pytest.mark.parametrize("seed", range(3))
async def test_every_call_is_executed_once_and_in_order(seed):
    ledger, them = Ledger(), Them()
    chance = random.Random(seed)
    async with gateway(ledger, limits=LIMITS) as gate:
        async with (
            fault_proxy(gate.port) as proxy,
            pb.connect(f"ws://localhost:{proxy.port}/pb") as connection,
        ):
            statuses = []
            connection.on_status(statuses.append)
            root = await connection.getRootObject()
            await root.callRemote("echo", 1)
            proxy.scenario = cuts(seed, 6000)
            proxy.cut()
            calls = []
            for number in range(600):
                method = chance.choice(["note", "slowly", "ask", "make", "text"])
                if method == "ask":
                    calls.append(root.callRemote("ask", number, them))
                elif method == "make":
                    calls.append(root.callRemote("make", number).callRemote("number"))
                elif method == "text":
                    text = "x" * chance.randrange(300)
                    calls.append(root.callRemote("note", number, text))
                else:
                    calls.append(root.callRemote(method, number))
                if number % 10 == 9:
                    await calls[-1]
            answers = await asyncio.gather(*calls)
            proxy.calm()
            assert [a[0] if isinstance(a, list) else a for a in answers] == list(range(600))
            assert sorted(ledger.executed) == list(range(600))
            assert len(set(them.told)) == len(them.told)
            assert proxy.cuts > 20
            # one for each cut, but for those while nothing was resumed yet
            assert statuses.count("interrupted") == statuses.count("connected") > 10
            assert ledger.gone == 0
            server = next(c for c in gate.attacked() if c.session.sent > 200)
            del calls, answers
            await root.callRemote("echo", 1)
            await until(lambda: not server.session.broker.statistics()["handed_out"])
        await until(lambda: ledger.gone == 1)
        assert not any(tables(server.session).values())
        assert gate.endpoint.parking.statistics()["sessions"] == 1  # the canary's
    assert ledger.gone == 2


async def test_calls_wait_while_the_server_is_away_and_go_out_in_order():
    ledger = Ledger()
    async with gateway(ledger, limits=LIMITS) as gate:
        async with (
            fault_proxy(gate.port) as proxy,
            pb.connect(f"ws://localhost:{proxy.port}/pb") as connection,
        ):
            root = await connection.getRootObject()
            await root.callRemote("echo", 1)
            proxy.is_down = True
            proxy.cut()
            await until(lambda: connection.status == "interrupted")
            calls = [root.callRemote("note", number) for number in range(50)]
            argument = [1]
            changed = root.callRemote("echo", argument)
            await asyncio.sleep(0)
            argument.append(2)
            proxy.is_down = False
            await asyncio.gather(*calls)
            assert await changed == [1]
            assert connection.status == "connected"
        assert ledger.executed == list(range(50))


async def test_when_the_window_has_passed_every_call_says_what_is_known_and_a_session_follows():
    ledger = Ledger()
    begun = []

    async def on_session(root, connection):
        begun.append(await root.callRemote("note", -1))

    async with (
        gateway(ledger, turned=True) as gate,
        fault_proxy(gate.port) as proxy,
        pb.connect(f"ws://localhost:{proxy.port}/pb", on_session=on_session) as connection,
    ):
        root = await connection.getRootObject()
        lost, statuses = [], []
        connection.notifyOnDisconnect(lambda: lost.append(1))
        connection.on_status(statuses.append)
        running = root.callRemote("hang")
        await ledger.wait.wait()
        [server] = gate.attacked()
        clock = Clock.of(connection)
        proxy.is_down = True
        proxy.cut()
        await until(lambda: connection.status == server.status == "interrupted")
        waiting = root.callRemote("note", 1)
        clock.turn(60)
        gate.clock.turn(60)
        with pytest.raises(pb.PBConnectionLost) as found:
            await running
        assert found.value.outcome in ("unknown", "executed_answer_lost")
        with pytest.raises(pb.PBConnectionLost) as found:
            await waiting
        assert found.value.outcome == "not_executed"
        with pytest.raises(pb.DeadReferenceError):
            await root.callRemote("echo", 1)
        assert lost == [1]
        assert connection.status == "interrupted"  # another session is to follow
        proxy.is_down = False
        await until(lambda: len(begun) == 2)
        assert statuses == ["interrupted", "connected"]
        root = await connection.getRootObject()
        assert await root.callRemote("echo", 2) == 2
        assert 1 not in ledger.executed
        await until(lambda: ledger.gone == 1)


async def test_a_server_that_has_the_session_no_more_says_so_and_begins_another():
    ledger = Ledger()
    begun = []

    async def on_session(root, connection):
        begun.append(root)

    async with (
        gateway(ledger, limits=LIMITS) as gate,
        fault_proxy(gate.port) as proxy,
        pb.connect(f"ws://localhost:{proxy.port}/pb", on_session=on_session) as connection,
    ):
        root = await connection.getRootObject()
        assert await root.callRemote("echo", 1) == 1
        statuses = []
        connection.on_status(statuses.append)
        running = root.callRemote("hang")
        await ledger.wait.wait()
        [server] = gate.attacked()
        proxy.is_down = True
        proxy.cut()
        await until(lambda: server.status == "interrupted")
        server.session.overflow()
        assert server.status == "ended"
        proxy.is_down = False
        with pytest.raises(pb.PBConnectionLost) as found:
            await running
        assert found.value.outcome == "executed_answer_lost"
        await until(lambda: len(begun) == 2)
        assert await begun[1].callRemote("echo", 2) == 2
        assert connection.status == "connected"
        assert statuses == ["interrupted", "connected"]


async def test_who_closes_while_another_session_is_to_follow_is_told_the_end_once():
    async def on_session(root, connection):
        await root.callRemote("echo", 1)

    async with gateway(Ledger(), limits=with_limits(resume_window=0)) as gate:  # noqa: SIM117
        async with fault_proxy(gate.port) as proxy:
            url = f"ws://localhost:{proxy.port}/pb"
            connection = await pb.connect(url, on_session=on_session)
            statuses = []
            connection.on_status(statuses.append)
            proxy.is_down = True
            proxy.cut()
            await until(lambda: connection.status == "interrupted")
            await connection.close()
            assert statuses == ["interrupted", "ended"]
            assert connection.status == "ended"


async def test_a_set_up_lives_through_a_lost_connection_and_stops_with_its_session():
    ledger = Ledger()
    begun, done, stopped = [], [], []

    async def on_session(root, connection):
        begun.append(root)
        number = len(begun)
        try:
            if number > 1:
                await go_on.wait()
            done.append([number, await root.callRemote("echo", number)])
        except asyncio.CancelledError:
            stopped.append(number)
            raise

    async with gateway(ledger, limits=LIMITS) as gate, fault_proxy(gate.port) as proxy:
        canary = set(gate.endpoint.connections)
        url = f"ws://localhost:{proxy.port}/pb"
        connection = await pb.connect(url, on_session=on_session)
        go_on = asyncio.Event()

        async def lose(number):
            [server] = gate.endpoint.connections - canary
            proxy.is_down = True
            proxy.cut()
            await until(lambda: server.status == "interrupted")
            server.session.overflow()
            proxy.is_down = False
            await until(lambda: len(begun) == number)
            await until(lambda: connection.status == "connected")

        await lose(2)
        await lose(3)  # while it is set up
        assert stopped == [2]
        statuses = []
        connection.on_status(statuses.append)
        proxy.cut()
        await until(lambda: statuses == ["interrupted", "connected"])
        go_on.set()
        await until(lambda: done == [[1, 1], [3, 3]])
        assert stopped == [2]
        await connection.close()


async def test_a_connection_without_a_set_up_is_over_with_its_session():
    ledger = Ledger()
    async with gateway(ledger, limits=LIMITS) as gate, fault_proxy(gate.port) as proxy:
        connection = await pb.connect(f"ws://localhost:{proxy.port}/pb")
        root = await connection.getRootObject()
        await root.callRemote("echo", 1)
        [server] = gate.attacked()
        server.session.broker.disconnect()
        await asyncio.wait_for(connection.wait_closed(), 30)
        assert connection.status == "ended"


async def test_without_a_window_a_connection_ends_with_its_link():
    limits = with_limits(resume_window=0)
    async with gateway(Ledger(), limits=limits) as gate, fault_proxy(gate.port) as proxy:
        connection = await pb.connect(f"ws://localhost:{proxy.port}/pb")
        root = await connection.getRootObject()
        await root.callRemote("echo", 1)
        proxy.cut()
        await asyncio.wait_for(connection.wait_closed(), 30)
        assert connection.status == "ended"


async def test_a_client_that_does_not_want_to_resume_does_not():
    async with gateway(Ledger(), limits=with_limits(resume_window=60)) as gate:  # noqa: SIM117
        async with fault_proxy(gate.port) as proxy:
            connection = await pb.connect(f"ws://localhost:{proxy.port}/pb", resume=False)
            root = await connection.getRootObject()
            await root.callRemote("echo", 1)
            proxy.cut()
            await asyncio.wait_for(connection.wait_closed(), 30)
            assert connection.status == "ended"
            await until(lambda: len(gate.endpoint.connections) == 1)  # the canary's
            statistics = gate.endpoint.parking.statistics()
            assert (statistics["sessions"], statistics["away"]) == (1, 0)  # the server was told


async def test_a_client_that_is_closed_while_it_is_interrupted_is_closed():
    ledger = Ledger()
    async with gateway(ledger, limits=LIMITS) as gate, fault_proxy(gate.port) as proxy:
        connection = await pb.connect(f"ws://localhost:{proxy.port}/pb")
        root = await connection.getRootObject()
        await root.callRemote("echo", 1)
        proxy.is_down = True
        proxy.cut()
        await until(lambda: connection.status == "interrupted")
        await asyncio.wait_for(connection.close(), 30)
        assert connection.status == "ended"
        end_what_is_away(gate)


class Orders(Ledger):
    """Lets the proxy cut once the session has begun, and no more at the end."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.proxy = None
        self.seed = seed

    def remote_begin(self):
        self.proxy.scenario = cuts(self.seed, 6000)
        asyncio.get_running_loop().call_soon(self.proxy.cut)

    def remote_finish(self):
        self.proxy.calm()


@pytest.mark.parametrize("seed", range(2))
async def test_a_javascript_client_loses_nothing_either(seed):
    ledger, total = Orders(seed), 300
    async with gateway(ledger, limits=LIMITS) as gate, fault_proxy(gate.port) as proxy:
        ledger.proxy = proxy
        node = await asyncio.create_subprocess_exec(
            "node",
            str(Path(__file__).with_name("resume.mjs")),
            f"ws://localhost:{proxy.port}/pb",
            str(total),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await node.communicate()
        assert node.returncode == 0, complained.decode()
        report = json.loads(said)
        assert report["right"]
        assert report["twice"] == 0
        assert report["interrupted"] == report["resumed"] > 5
        assert report["ended"] == "ended"
        assert sorted(ledger.executed) == list(range(total))
        assert proxy.cuts > 5
        away = gate.endpoint.parking.statistics
        await until(lambda: ledger.gone or away()["away"])
        if not ledger.gone:  # the last cut went through the client's close
            end_what_is_away(gate)
        await until(lambda: ledger.gone == 1)


@pb.live
class Board:
    title: str
    cards: list[int]


class Pond(pb.Cacheable):
    def __init__(self):
        self.observers = []
        self.stopped = 0
        self.ducks = []

    def getStateToCacheAndObserveFor(self, _perspective, observer):
        self.observers.append(observer)
        return {"ducks": list(self.ducks)}

    def stoppedObserving(self, _perspective, observer):
        self.observers.remove(observer)
        self.stopped += 1

    def add(self, duck):
        self.ducks.append(duck)
        for observer in self.observers:
            observer.callRemoteOnly("add", duck)


class PondCopy(pb.RemoteCache):
    def observe_add(self, duck):
        self.ducks.append(duck)


pb.setUnjellyableForClass(Pond, PondCopy)


class Full(pb.Root):
    """All that lives through a connection that is lost: caches, live objects, streams."""

    def __init__(self):
        self.board = Board(title="", cards=[])
        self.pond = Pond()

    def remote_echo(self, value):
        return value

    def remote_getBoard(self):
        return self.board

    def remote_getPond(self):
        return self.pond

    async def remote_count(self, to):
        for number in range(to):
            await asyncio.sleep(0)
            yield number

    def remote_change(self, number):
        self.board.cards.append(number)
        if len(self.board.cards) > 5:
            del self.board.cards[0]
        self.board.title = f"the {number}th"
        self.pond.add(number)
        return number


@pytest.mark.parametrize("seed", range(2))
async def test_caches_live_objects_and_streams_go_on(seed):
    full = Full()
    async with gateway(full, limits=LIMITS) as gate:
        async with (
            fault_proxy(gate.port) as proxy,
            pb.connect(f"ws://localhost:{proxy.port}/pb") as connection,
        ):
            root = await connection.getRootObject()
            board, pond = await root.callRemote("getBoard"), await root.callRemote("getPond")
            proxy.scenario = cuts(seed, 4000)
            proxy.cut()

            async def read():
                return [number async for number in root.callRemote("count", 300)]

            reading = asyncio.ensure_future(read())
            for number in range(200):
                assert await root.callRemote("change", number) == number
                assert board.cards[-1] == number  # updates come before the answer behind them
                assert pond.ducks[-1] == number
            assert await reading == list(range(300))
            proxy.calm()
            assert pond.ducks == full.pond.ducks == list(range(200))
            assert (board.title, list(board.cards)) == ("the 199th", full.board.cards)
            assert proxy.cuts > 5
            assert len(full.pond.observers) == 1
        await until(lambda: full.pond.stopped == 1)
        assert full.pond.observers == []


async def test_under_somebody_elses_server_it_is_the_same():
    ledger = Ledger()
    endpoint = pb.endpoint(ledger, limits=LIMITS)
    async with (
        bystander(),
        stock_uvicorn(Starlette(routes=endpoint.routes("/pb")), ws="websockets-sansio") as port,
        fault_proxy(port) as proxy,
        pb.connect(f"ws://localhost:{proxy.port}/pb") as connection,
    ):
        root = await connection.getRootObject()
        await root.callRemote("echo", 1)
        [server] = endpoint.connections
        proxy.scenario = cuts(1, 4000)
        proxy.cut()
        for number in range(200):
            assert await root.callRemote("slowly", number) == number
        proxy.calm()
        assert ledger.executed == list(range(200))
        assert proxy.cuts > 5
        # a connection of which the server does not know that it is lost is taken over
        proxy.stall()
        await root.callRemote("echo", 2)
        await until(lambda: endpoint.connections == {server})
        assert ledger.gone == 0
    await until(lambda: ledger.gone == 1)
    await until(lambda: not endpoint.connections)
