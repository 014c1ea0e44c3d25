"""The server's side under `pbweb serve`: all flavors, both ways, and a history of what ran.

`CHAOS_HISTORY` names the file. With `CHAOS_ENDS_ONLY` nothing stands in it but what is owed at the
end of a session, and the server keeps nothing of what goes over the wire: it may run for long.
"""

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pbweb as pb
from pbweb.session import Session
from pbweb.testing import tables
from tests.chaos.history import History
from tests.chaos.wire import Wire
from tests.chaos.workload import follow

WHO = f"server-{os.getpid()}"
PATH = Path(os.environ["CHAOS_HISTORY"])
HISTORY = History(PATH, WHO)
WIRE = None
if "CHAOS_ENDS_ONLY" in os.environ:
    HISTORY.only = frozenset({"owed", "notice"})
else:
    WIRE = Wire(HISTORY)


class Pond(pb.Cacheable):
    """Tells each change to all who watch."""

    def __init__(self) -> None:
        self.observers: dict[Any, str] = {}
        self.state = 0
        self.updates = 0

    def getStateToCacheAndObserveFor(self, _perspective: Any, observer: Any) -> dict[str, int]:
        key = f"{WHO}/observer {self.updates}/{id(observer)}/{len(self.observers)}"
        self.observers[observer] = key
        HISTORY.add("owed", key=key)
        return {"state": self.state}

    def stoppedObserving(self, _perspective: Any, observer: Any) -> None:
        HISTORY.add("notice", key=self.observers.pop(observer))

    def add(self, number: int) -> None:
        self.updates += 1
        self.state = follow(self.state, number)
        for observer in list(self.observers):
            observer.callRemoteOnly("add", number)


class TheirPond(pb.RemoteCache):
    """A cache that a client owns."""

    def observe_add(self, number: int) -> None:
        self.state = follow(self.state, number)


pb.setUnjellyableForClass("chaos.Pond", TheirPond)


@pb.live
class Board:
    title: str
    cards: list[int]


class Thing(pb.Referenceable):
    def remote_number(self, call: str) -> str:
        HISTORY.add("run", call=call)
        return call


class Office(pb.Root):
    """One for all; each session has a `Desk`."""

    def __init__(self) -> None:
        self.pond = Pond()
        self.board = Board(title="", cards=[])
        self.brokers: list[Any] = []
        self.sessions = 0

    def rootObject(self, broker: Any) -> pb.Referenceable:
        self.sessions += 1
        self.brokers.append(broker)
        desk = Desk(self, broker)
        key = f"{WHO}/session {self.sessions}"
        HISTORY.add("owed", key=key)
        broker.notifyOnDisconnect(lambda: HISTORY.add("notice", key=key))
        broker.runtime.on_status(lambda status: status == "interrupted" and HISTORY.add("away"))
        return desk

    def change(self, number: int) -> None:
        self.pond.add(number)
        self.board.cards.append(number)
        if len(self.board.cards) > 5:
            del self.board.cards[0]
        self.board.title = f"the {number}th"

    def digest(self) -> dict[str, str]:
        return {
            "pond": str(self.pond.state),
            "board": json.dumps([self.board.title, list(self.board.cards)]),
        }


class Desk(pb.Referenceable):
    """What one session calls; every method notes its call first."""

    def __init__(self, office: Office, broker: Any) -> None:
        self.office = office
        self.broker = broker
        self.session = ""
        self.them: Any = None
        self.their_pond: Any = None
        self.calls = 0
        self.last_ordered = 0
        self.talks: set[asyncio.Task[None]] = set()

    def remote_begin(self, call: str, session: str, them: Any) -> None:
        HISTORY.add("run", call=call)
        self.session, self.them = session, them

    def remote_note(self, call: str, text: str = "") -> str:
        HISTORY.add("run", call=call)
        return call

    def remote_only(self, call: str) -> None:
        HISTORY.add("run", call=call)

    async def remote_slow(self, call: str) -> str:
        HISTORY.add("run", call=call)
        await asyncio.sleep(0)
        return call

    async def remote_fail(self, call: str) -> None:
        HISTORY.add("run", call=call)
        await asyncio.sleep(0)
        raise pb.Error(call)

    async def remote_hang(self, call: str) -> None:
        HISTORY.add("run", call=call)
        await asyncio.Event().wait()

    def remote_make(self, call: str) -> Thing:
        HISTORY.add("run", call=call)
        return Thing()

    async def remote_ask(self, call: str, them: Any) -> str:
        """The way there and back: a call of the client's inside one of the server's."""
        HISTORY.add("run", call=call)
        inner = self._next("told")
        try:
            answer = await them.callRemote("told", inner)
        except pb.PBConnectionLost as error:
            HISTORY.add("info", call=inner, outcome=error.outcome)
            raise
        except BaseException:  # this session has ended, or the caller wants it no more
            HISTORY.add("fail", call=inner, ran=None)
            raise
        HISTORY.add("ok", call=inner)
        if answer != inner:
            HISTORY.add("wrong", text=f"told {inner} answered {answer!r}")
        return call

    def remote_talk(self, call: str, kinds: list[str]) -> list[Any]:
        """Call the client a few times; the answer says which call went out before it."""
        HISTORY.add("run", call=call)
        for kind in kinds:
            self._say(kind)
        return ["s/" + self.session, self.last_ordered]

    def _next(self, kind: str, **facts: Any) -> str:
        self.calls += 1
        self.last_ordered = self.calls
        call = f"s/{self.session}/{self.calls}"
        HISTORY.add("invoke", call=call, kind=kind, ordered=True, **facts)
        return call

    def _say(self, kind: str) -> None:
        if kind == "only":
            self.them.callRemoteOnly("only", self._next(kind, only=True))
            return
        before = self.last_ordered
        call = self._next(kind, may=kind == "hangs")
        promise = self.them.callRemote(kind, call)
        task = asyncio.ensure_future(self._settle(kind, call, promise))
        self.talks.add(task)
        task.add_done_callback(self.talks.discard)
        if kind == "hangs":  # which may never start there
            self.last_ordered = before
            asyncio.get_running_loop().call_later(0.01, promise.cancel)

    async def _settle(self, kind: str, call: str, promise: Any) -> None:
        try:
            await promise
        except pb.PBConnectionLost as error:
            HISTORY.add("info", call=call, outcome=error.outcome)
        except pb.Error as error:
            is_told = kind == "fails" and error.message == call
            HISTORY.add("fail", call=call, ran=True if is_told else None)
            if not is_told and not (kind == "hangs" and isinstance(error, pb.CancelledError)):
                HISTORY.add("wrong", text=f"{call} ({kind}) failed: {error!r}")
        else:
            HISTORY.add("ok", call=call)

    def remote_count(self, call: str, to: int) -> AsyncIterator[int]:
        HISTORY.add("run", call=call)

        async def numbers() -> AsyncIterator[int]:
            for number in range(to):
                if number % 7 == 0:
                    await asyncio.sleep(0)
                yield number

        return numbers()

    async def remote_sum(self, call: str, numbers: Any) -> int:
        HISTORY.add("run", call=call)
        return sum([number async for number in numbers])

    def remote_getPond(self, call: str) -> Pond:
        HISTORY.add("run", call=call)
        return self.office.pond

    def remote_getBoard(self, call: str) -> Board:
        HISTORY.add("run", call=call)
        return self.office.board

    def remote_watch(self, call: str, pond: Any) -> None:
        """Keep the copy of a cache that the client owns."""
        HISTORY.add("run", call=call)
        self.their_pond = pond

    def remote_change(self, call: str, number: int) -> dict[str, str]:
        HISTORY.add("run", call=call)
        self.office.change(number)
        return self.office.digest()

    async def remote_quiet(self, call: str) -> dict[str, str]:
        """When nothing of this session's is under way here: the state of all that is shared."""
        HISTORY.add("run", call=call)
        while self.talks:
            await asyncio.wait(self.talks)
        digest = self.office.digest()
        for of, value in digest.items():
            HISTORY.add("digest", of=of, value=value)
        if self.their_pond is not None:
            HISTORY.add("digest", of=f"pond of {self.session}", value=str(self.their_pond.state))
        return digest

    def remote_letGo(self, call: str) -> None:
        HISTORY.add("run", call=call)
        self.their_pond = None

    def remote_census(self) -> dict[str, Any]:
        """What is left in the tables of sessions that have ended, and how many have not; tasks."""
        if WIRE is not None:
            WIRE.save(PATH.with_suffix(".wire"))
        gc.collect()
        office = self.office
        office.brokers = [broker for broker in office.brokers if broker is not self.broker]
        alive = [broker for broker in office.brokers if not broker.disconnected]
        left: dict[str, int] = {}
        for broker in office.brokers:
            if broker.disconnected:
                for table, number in tables(broker.runtime.session).items():
                    if number:
                        left[table] = left.get(table, 0) + number
        left |= {"observers": len(office.pond.observers)} if office.pond.observers else {}
        office.brokers = alive
        broker = None
        gc.collect()
        sessions = sum(type(thing) is Session for thing in gc.get_objects())
        if sessions > len(alive) + 1:  # and this one
            left["sessions in memory"] = sessions - len(alive) - 1
        return {"alive": len(alive), "left": left, "tasks": len(asyncio.all_tasks())}
