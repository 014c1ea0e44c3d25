"""Some connections with a workload that is made by a seed: `python -m tests.chaos.python_client`.

Says ``done`` when all calls of all connections are settled; goes on, to compare and to close, when
it reads a line. With ``--until-told`` it makes more calls, if only a few, until it has read a line
before that.
"""

import argparse
import asyncio
import gc
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pbweb as pb
from pbweb import client as client_module
from pbweb.testing import tables
from tests.chaos.history import History
from tests.chaos.wire import Wire
from tests.chaos.workload import KINDS, TALKS, follow

AT_ONCE = 48  # calls that are not settled, of one connection
MORE = 0.05  # seconds between two calls that come on top of those which were asked for


class Them(pb.Referenceable):
    """What the server calls."""

    def __init__(self, history: History) -> None:
        self._history = history

    def remote_told(self, call: str) -> str:
        self._history.add("run", call=call)
        return call

    async def remote_toldSlowly(self, call: str) -> str:
        self._history.add("run", call=call)
        await asyncio.sleep(0)
        return call

    def remote_fails(self, call: str) -> None:
        self._history.add("run", call=call)
        raise pb.Error(call)

    async def remote_hangs(self, call: str) -> None:
        self._history.add("run", call=call)
        await asyncio.Event().wait()

    def remote_only(self, call: str) -> None:
        self._history.add("run", call=call)


class OwnPond(pb.Cacheable):
    """A cache that the server has the copy of."""

    pbType = "chaos.Pond"

    def __init__(self) -> None:
        self.observers: list[Any] = []
        self.state = 0

    def getTypeToCopy(self) -> str:
        return "chaos.Pond"

    def getStateToCacheAndObserveFor(self, _perspective: Any, observer: Any) -> dict[str, int]:
        self.observers.append(observer)
        return {"state": self.state}

    def stoppedObserving(self, _perspective: Any, observer: Any) -> None:
        self.observers.remove(observer)

    def add(self, number: int) -> None:
        self.state = follow(self.state, number)
        for observer in self.observers:
            observer.callRemoteOnly("add", number)


class PondCopy(pb.RemoteCache):
    def observe_add(self, number: int) -> None:
        self.state = follow(self.state, number)


pb.setUnjellyableForClass("tests.chaos.app.Pond", PondCopy)


class Client:
    """One connection, its sessions one after the other, and its calls."""

    def __init__(
        self,
        url: str,
        name: str,
        seed: str,
        calls: int,
        history: History,
        limits: pb.Limits,
        told: asyncio.Event,
    ) -> None:
        self._limits = limits
        self._told = told
        self._url = url
        self._name = name
        self._chance = random.Random(f"{seed}/{name}")
        self._left = calls
        self._history = history
        self._epoch = 0
        self._number = 0
        self._session = ""
        self._ready = asyncio.Event()
        self._closing = False
        self._away_since = 0.0
        self._connection: Any = None
        self._broker: Any = None
        self._root: Any = None
        self._them = Them(history)
        self._pond = OwnPond()
        self._copies: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)

    # ------------------------------------------------------------ sessions

    async def connect(self) -> None:
        while True:
            try:
                self._connection = await pb.connect(
                    self._url, on_session=self._begin, limits=self._limits
                )
            except (pb.Error, OSError):  # the proxy cut it
                await asyncio.sleep(self._chance.uniform(0, 0.05))
            else:
                self._connection.on_status(self._changed)
                return

    def _changed(self, status: str) -> None:
        clock = asyncio.get_running_loop().time
        if status == "interrupted":
            self._away_since = clock()
            self._history.add("away")
        elif self._away_since and self._connection.broker is self._broker and status != "ended":
            seconds = clock() - self._away_since
            self._history.add("resumed", session=self._session, seconds=seconds)
        if status != "interrupted":
            self._away_since = 0.0

    async def _begin(self, root: Any, connection: Any) -> None:
        self._epoch += 1
        self._number = 0
        session = self._session = f"{self._name}/{self._epoch}"
        self._broker = connection.broker
        self._root = root
        self._pond = OwnPond()
        key = f"{session} disconnect"
        self._history.add("owed", key=key)
        connection.notifyOnDisconnect(lambda: self._end(session, key))
        begun = [
            self._call("begin", "begin", session, self._them),
            self._call("getPond", "getPond"),
            self._call("getBoard", "getBoard"),
            self._call("watch", "watch", self._pond),
        ]
        tasks = [self._spawn(self._settle(*one)) for one in begun]
        # shielded: this is cancelled when the session goes, and what became of the calls is noted
        self._copies = [await asyncio.shield(task) for task in tasks][1:3]
        if None not in self._copies:
            self._ready.set()

    def _end(self, session: str, key: str) -> None:
        self._history.add("notice", key=key)
        if session == self._session:
            self._ready.clear()
        if not self._closing:
            self._history.add("session", session=session, end="lost")

    # --------------------------------------------------------------- calls

    def _next(self, kind: str, **facts: Any) -> str:
        self._number += 1
        call = f"{self._session}/{self._number}"
        self._history.add("invoke", call=call, kind=kind, ordered=True, **facts)
        return call

    def _call(self, kind: str, method: str, *args: Any, **facts: Any) -> tuple[str, str, Any]:
        call = self._next(kind, **facts)
        return kind, call, self._root.callRemote(method, call, *args)

    async def _settle(
        self, kind: str, call: str, promise: Any, check: Callable[[Any], Any] | None = None
    ) -> Any:
        """Wait for the end of a call and note it; the answer."""
        note = self._history.add
        try:
            answer = await promise
            problem = None if check is None else await _maybe(check(answer))
        except pb.PBConnectionLost as error:
            note("info", call=call, outcome=error.outcome)
        except pb.DeadReferenceError:
            note("fail", call=call, ran=False)
        except (pb.Error, TimeoutError) as error:
            is_told = kind == "fail" and getattr(error, "message", "") == call
            note("fail", call=call, ran=True if is_told else None)
            stopped = (pb.CancelledError, TimeoutError)
            if not is_told and not (kind in ("cancel", "deadline") and isinstance(error, stopped)):
                note("wrong", text=f"{call} ({kind}) failed: {error!r}")
        else:
            after = answer if kind == "talk" else None
            note("ok", call=call, after=after)
            if problem:
                note("wrong", text=f"{call} ({kind}): {problem}")
            return answer
        return None

    async def work(self) -> None:
        """Make the calls, of all kinds, a few dozens at once."""
        kinds, weights = list(KINDS), list(KINDS.values())
        while self._left > 0 or not self._told.is_set():
            if self._left <= 0:
                await asyncio.sleep(MORE)
            await self._ready.wait()
            [kind] = self._chance.choices(kinds, weights)
            self._left -= 1
            await self._room.acquire()
            if not self._ready.is_set():
                self._room.release()
                continue
            started = getattr(self, f"_do_{kind}")()
            if started is None:
                self._room.release()
                continue
            task = self._spawn(self._settle(*started))
            task.add_done_callback(lambda _: self._room.release())
            if self._chance.random() < 0.1:
                await asyncio.wait([task])
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._history.add("wrong", text=f"{self._name}: {task.exception()!r}")

    def _expect(self, started: tuple[str, str, Any], wanted: Any) -> tuple[Any, ...]:
        return (*started, lambda answer: answer != wanted and f"{answer!r} is not {wanted!r}")

    def _echoed(self, kind: str, method: str, *args: Any) -> tuple[Any, ...]:
        started = self._call(kind, method, *args)
        return self._expect(started, started[1])

    def _do_note(self) -> Any:
        return self._echoed("note", "note", "é" * self._chance.randrange(60))

    def _do_big(self) -> Any:
        return self._echoed("big", "note", "x" * self._chance.randrange(20_000))

    def _do_slow(self) -> Any:
        return self._echoed("slow", "slow")

    def _do_fail(self) -> Any:
        return self._call("fail", "fail")

    def _do_only(self) -> None:
        self._root.callRemoteOnly("only", self._next("only", only=True))

    def _do_ask(self) -> Any:
        them = self._them if self._chance.random() < 0.5 else Them(self._history)
        return self._echoed("ask", "ask", them)

    def _do_make(self) -> Any:
        """A reference: a call on it goes out before it is there."""
        kind, call, thing = self._call("make", "make")
        self._number += 1
        inner = f"{self._session}/{self._number}"
        self._history.add("invoke", call=inner, kind="number")

        async def both() -> Any:
            number = asyncio.ensure_future(
                self._settle("number", inner, thing.callRemote("number", inner))
            )
            try:
                (await thing).release()
            finally:
                await number

        return kind, call, both()

    def _do_talk(self) -> Any:
        kinds = [self._chance.choice(TALKS) for _ in range(self._chance.randrange(1, 6))]
        return self._call("talk", "talk", kinds)

    def _do_change(self) -> Any:
        return self._call("change", "change", self._chance.randrange(1000))

    def _do_tell(self) -> None:
        self._pond.add(self._chance.randrange(1000))

    def _do_cancel(self) -> Any:
        started = self._call("cancel", "hang", may=True)
        if self._chance.random() < 0.3:
            started[2].cancel()
        else:
            seconds = self._chance.uniform(0, 0.05)
            asyncio.get_running_loop().call_later(seconds, started[2].cancel)
        return started

    def _do_deadline(self) -> Any:
        call = self._next("deadline", may=True)
        seconds = self._chance.uniform(0.001, 0.05)
        return "deadline", call, self._root.call("hang", [call], timeout=seconds)

    def _do_count(self) -> Any:
        to = self._chance.randrange(1, 300)
        started = self._call("count", "count", to)

        async def check(stream: Any) -> Any:
            seen = []
            try:
                async for number in stream:
                    seen.append(number)
            except (pb.PBConnectionLost, pb.DeadReferenceError):
                to_here = len(seen)
            else:
                to_here = to
            return seen != list(range(to_here)) and f"the stream had {seen}"

        return (*started, check)

    def _do_sum(self) -> Any:
        to = self._chance.randrange(1, 200)

        async def numbers() -> AsyncIterator[int]:
            for number in range(to):
                if number % 5 == 0:
                    await asyncio.sleep(0)
                yield number

        return self._expect(self._call("sum", "sum", numbers()), to * (to - 1) // 2)

    # ------------------------------------------------------------- the end

    async def finish(self) -> None:
        """Compare what both sides have, give everything back, and close."""
        while True:
            await self._ready.wait()
            digest = await self._settle(*self._call("quiet", "quiet"))
            if digest is not None:
                break
        pond, board = self._copies
        note = self._history.add
        note("digest", of="pond", value=str(pond.state))
        note("digest", of="board", value=json.dumps([board.title, list(board.cards)]))
        note("digest", of=f"pond of {self._session}", value=str(self._pond.state))
        await self._settle(*self._call("letGo", "letGo"))
        session = self._connection.session
        del pond, board
        self._copies.clear()
        self._closing = True
        self._history.add("session", session=self._session, end="closed")
        await self._connection.close()
        gc.collect()
        self._history.add("tables", left={k: v for k, v in tables(session).items() if v})
        if self._pond.observers:
            self._history.add("wrong", text=f"{self._session}: the server still observes")


async def _line() -> None:
    await asyncio.to_thread(sys.stdin.readline)


async def _maybe(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--urls", nargs="+")
    parser.add_argument("--name")
    parser.add_argument("--seed")
    parser.add_argument("--calls", type=int)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--heartbeat", type=float)
    parser.add_argument("--pong", type=float)
    parser.add_argument("--until-told", action="store_true")
    options = parser.parse_args()
    # try again soon: how long real clients wait is not what is looked at
    client_module.FIRST_WAIT, client_module.LONGEST_WAIT = 0.01, 0.05
    history = History(options.history, options.name)
    wire = Wire(history)
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    limits = pb.Limits(heartbeat=options.heartbeat, pong=options.pong)
    told = asyncio.Event()
    clients = [
        Client(url, f"{options.name}.{number}", options.seed, options.calls, history, limits, told)
        for number, url in enumerate(options.urls)
    ]
    if options.until_told:
        first = asyncio.ensure_future(_line())
        first.add_done_callback(lambda _: told.set())
    else:
        told.set()
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.work() for client in clients))
    print("done", flush=True)
    await _line()
    await asyncio.gather(*(client.finish() for client in clients))
    for context in failed:
        history.add("wrong", text=f"of no task: {context}")
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    history.add("tables", left={"tasks": [repr(task) for task in left]} if left else {})
    wire.save(options.history.with_suffix(".wire"))
    print("closed", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
