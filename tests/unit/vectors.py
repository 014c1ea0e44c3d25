"""The vectors of tests/vectors/, and the fixture that its README describes."""

import json
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

import pbweb as pb
from pbweb.runtime import Options
from pbweb.session import Session
from pbweb.testing import SteppedRuntime, frames_of

FOLDER = Path(__file__).parents[1] / "vectors"


def read(name: str) -> list[dict[str, Any]]:
    """The vectors of one file."""
    vectors: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())
    return vectors


class Counter(pb.Referenceable):
    def __init__(self) -> None:
        self.total = 0

    def remote_increment(self, n: int = 1) -> int:
        self.total += n
        return self.total

    def remote_value(self) -> int:
        return self.total


class Point(pb.Copyable, pb.RemoteCopy):
    """Its attributes are its state."""

    pbType = "Point"

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def norm(self) -> Any:
        return self.x


class Box(pb.Copyable):
    """Its state is its content, any value; a factory makes it, of complete state."""

    pbType = "Box"

    def __init__(self, content: Any) -> None:
        self.content = content

    def getStateToCopy(self) -> Any:
        return self.content


@dataclass
class Item:
    """Its state is looked at when it arrives."""

    name: str
    count: int = 1
    tags: list[str] = field(default_factory=list)


class SoldOut(pb.Error, pb.Copyable, pb.RemoteCopy):
    pbType = "SoldOut"


class Pond(pb.Cacheable):
    """Its state is its ducks, and itself if it has an island."""

    pbType = "Pond"

    def __init__(self, *ducks: Any, island: bool = False) -> None:
        self.ducks = list(ducks)
        self.island = island
        self.observers: list[pb.RemoteCacheObserver] = []
        self.stopped = 0

    def getStateToCacheAndObserveFor(self, _perspective: Any, observer: Any) -> Any:
        self.observers.append(observer)
        state: dict[str, Any] = {"ducks": list(self.ducks)}
        return {**state, "island": self} if self.island else state

    def stoppedObserving(self, _perspective: Any, observer: Any) -> None:
        self.observers.remove(observer)
        self.stopped += 1


class PondCopy(pb.RemoteCache):
    ducks: list[Any]

    def observe_add(self, duck: Any) -> int:
        self.ducks.append(duck)
        return len(self.ducks)

    def observe_fail(self, message: str) -> None:
        raise pb.Error(message)


def fixture_registry() -> pb.Registry:
    """The application's classes of the fixture, known to the peer under test."""
    registry = pb.Registry()
    for cls in (Point, SoldOut):
        registry.setUnjellyableForClass(cls, cls)
    registry.setUnjellyableFactoryForClass(Box, Box)
    registry.setUnjellyableForClass(Pond, PondCopy)
    pb.copyable(name="Item", registry=registry)(Item)
    return registry


class Note(pb.Viewable):
    """Says who looks at it."""

    def view_whoami(self, perspective: Any) -> str | None:
        return perspective and perspective.name

    def view_me(self, perspective: Any) -> "Note":
        return self

    def view_keep(self, perspective: Any, ref: Any) -> None:
        perspective.mind = ref

    def remote_whoami(self) -> str:
        raise AssertionError("another prefix")


class User(pb.Avatar):
    def __init__(self, name: str, mind: Any, note: Note) -> None:
        self.name, self.mind, self.note = name, mind, note

    def perspective_whoami(self) -> str:
        return self.name

    def perspective_getNote(self) -> Note:
        return self.note

    def perspective_getCounter(self) -> Counter:
        return Counter()

    def perspective_getMind(self) -> Any:
        return self.mind

    def perspective_echo(self, value: Any = None) -> Any:
        return value

    def remote_whoami(self) -> str:
        raise AssertionError("another prefix")


class Logins:
    """The realm, and the checker of names and tokens, of the fixture's portal."""

    credentialInterfaces = (pb.UsernamePassword, pb.Token)

    def __init__(self, note: Note) -> None:
        self.note = note
        self.left: list[str] = []

    def requestAvatarId(self, credentials: Any) -> str:
        if isinstance(credentials, pb.Token):
            name: str = credentials.token
        else:
            name = credentials.username
            if credentials.password != f"{name}'s":
                raise pb.UnauthorizedLogin
        if name not in ("alice", "bob"):
            raise pb.UnauthorizedLogin
        return name

    def requestAvatar(self, avatarId: str, mind: Any, interface: Any) -> Any:
        return interface, User(avatarId, mind, self.note), lambda: self.left.append(avatarId)


class FixtureRoot(pb.Root):
    def __init__(self, runtime: SteppedRuntime) -> None:
        self.runtime = runtime
        self.same = Counter()
        self.ended = 0
        self.pond = Pond("a")
        self.kept: list[Any] = []
        self.logins = Logins(Note())

    def remote_echo(self, value: Any = None, *_: Any, **__: Any) -> Any:
        return value

    def remote_add(self, a: Any, b: Any = 0) -> Any:
        return a + b

    def remote_getCounter(self) -> Counter:
        return Counter()

    def remote_getSame(self) -> Counter:
        return self.same

    def remote_isSame(self, x: Any) -> bool:
        return x is self.same

    def remote_getRoot(self) -> "FixtureRoot":
        return self

    def remote_isRoot(self, x: Any) -> bool:
        return x is self

    def remote_fail(self, message: str) -> None:
        raise pb.Error(message)

    def remote_sell(self, item: Any) -> None:
        raise sold_out(item)

    def remote_kind(self, x: Any) -> str:
        return type(x).__name__

    def remote_areSame(self, x: Any, y: Any) -> bool:
        return x is y

    async def remote_count(self, to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                yield number
        finally:
            self.ended += 1

    async def remote_countAndFail(self, to: int) -> AsyncIterator[int]:
        try:
            for number in range(to):
                yield number
            raise pb.Error("no more")
        finally:
            self.ended += 1

    def remote_ended(self) -> int:
        return self.ended

    async def remote_sum(self, stream: pb.RemoteStream) -> int:
        return sum([item async for item in stream])

    async def remote_first(self, stream: pb.RemoteStream) -> Any:
        async with stream:
            return await anext(stream)

    async def remote_wait(self) -> None:
        await self.runtime.future()

    async def remote_callBack(self, ref: Any, value: Any) -> Any:
        return await ref.callRemote("take", value)

    def remote_keep(self, ref: Any) -> None:
        self.kept.append(ref)

    def remote_drop(self) -> None:
        self.kept.pop().release()

    def remote_nested(self) -> Any:
        return {"counters": [Counter(), self.same]}

    def remote_getPond(self) -> Pond:
        return self.pond

    def remote_getPonds(self, number: int) -> list[Pond]:
        return [Pond() for _ in range(number)]

    def remote_getHalf(self) -> Any:
        return [self.pond, object()]

    def remote_isPond(self, x: Any) -> bool:
        return x is self.pond

    def remote_addDuck(self, duck: Any) -> int:
        self.pond.ducks.append(duck)
        for observer in self.pond.observers:
            observer.callRemoteOnly("add", duck)
        return len(self.pond.ducks)

    async def remote_askObserver(self, duck: Any) -> Any:
        return await self.pond.observers[0].callRemote("add", duck)

    def remote_stopped(self) -> int:
        return self.pond.stopped

    def remote_ducks(self, copy: Any) -> Any:
        return copy.ducks

    def remote_getNote(self) -> Note:
        return self.logins.note

    def remote_left(self) -> list[str]:
        return self.logins.left


class PeerUnderTest:
    """A server with the fixture, whose handshake is done."""

    def __init__(self, **limits: Any) -> None:
        self.runtime = SteppedRuntime()
        self.session = Session(
            self.runtime,
            Options(pb.Limits(**limits), fixture_registry()),
            lambda: None,
            is_server=True,
            software="vectors",
            opened=self._publish,
        )
        self.feed('["version",1]')

    def _publish(self, session: Session) -> None:
        root = FixtureRoot(self.runtime)
        logins = root.logins
        portal = pb.Portal(logins, [logins], login_required=False)
        session.broker.setNameForLocal("root", root)
        session.broker.setNameForLocal("portal", portal.rootObject(session.broker))

    def feed(self, message: str | bytes, binary: bool = False) -> list[Any]:
        """Feed the text of a message; all that is sent then, but for version and acks."""
        data = message.encode() if isinstance(message, str) else message
        self.session.receive(data, binary)
        return self.sent()

    def feed_frames(self, frames: list[Any]) -> list[Any]:
        return self.feed(orjson.dumps(frames[0] if len(frames) == 1 else frames))

    def sent(self) -> list[Any]:
        """What is sent once nothing more happens by itself."""
        sent: list[Any] = []
        while True:
            self.runtime.run()
            messages = self.session.messages()
            if not messages:
                break
            for message in messages:
                sent += frames_of(message)
        return [frame for frame in sent if frame[0] not in ("version", "ack")]


def shared() -> Any:
    inner = [1]
    return [inner, inner]


def cycle() -> Any:
    outer: list[Any] = []
    outer.append(outer)
    return outer


def shared_dict() -> Any:
    inner = {"a": 1}
    return [inner, inner]


def cycle_dict() -> Any:
    outer: dict[str, Any] = {}
    outer["me"] = outer
    return outer


def shared_copy() -> Any:
    point = Point(x=1)
    return [point, point]


def cycle_copy() -> Any:
    point = Point()
    point.me = point
    return point


def pond_copy(*ducks: Any) -> PondCopy:
    copy = PondCopy()
    copy.ducks = list(ducks)
    return copy


def pond_copy_twice() -> Any:
    copy = pond_copy("a")
    return [copy, copy]


def island_copy() -> Any:
    copy: Any = pond_copy("a")
    copy.island = copy
    return copy


def shared_pond() -> Any:
    pond = Pond("a")
    return [pond, {"again": pond}]


def shared_box() -> Any:
    box = Box([1])
    return [box, box]


def shared_state() -> Any:
    state = [1]
    return [state, Box(state)]


def sold_out(item: Any) -> SoldOut:
    error = SoldOut("sold out")
    error.item = item
    return error


def nested(number: int) -> Any:
    made: list[Any] = []
    for _ in range(number - 1):
        made = [made]
    return made


def evaluate(expression: str) -> Any:
    """The value of an expression of `values.json`."""
    names = {
        "nan": math.nan,
        "inf": math.inf,
        "math": math,
        "Decimal": Decimal,
        "datetime": datetime,
        "date": date,
        "time": time,
        "timedelta": timedelta,
        "timezone": timezone,
        "UUID": UUID,
        "shared": shared,
        "cycle": cycle,
        "shared_dict": shared_dict,
        "cycle_dict": cycle_dict,
        "nested": nested,
        "shared_copy": shared_copy,
        "cycle_copy": cycle_copy,
        "shared_box": shared_box,
        "shared_state": shared_state,
        "sold_out": sold_out,
        "pond_copy": pond_copy,
        "pond_copy_twice": pond_copy_twice,
        "island_copy": island_copy,
        "shared_pond": shared_pond,
        "Point": Point,
        "Box": Box,
        "Item": Item,
        "Pond": Pond,
    }
    return eval(expression, names)


def same(one: Any, two: Any, seen: dict[int, int] | None = None) -> bool:
    """Whether two values are of the same types and equal, item by item and in what they share.

    NaN equals NaN, -0.0 does not equal 0.0, Decimals are compared by their text, aware
    datetimes by their instant, copies by their attributes.
    """
    seen = {} if seen is None else seen
    if type(one) is not type(two):
        return False
    if isinstance(one, list | dict | set | Point | Box | Item | PondCopy):
        if id(one) in seen:
            return seen[id(one)] == id(two)
        if id(two) in seen.values():
            return False
        seen[id(one)] = id(two)
    if isinstance(one, float):
        if math.isnan(one) or math.isnan(two):
            return math.isnan(one) and math.isnan(two)
        return one == two and math.copysign(1, one) == math.copysign(1, two)
    if isinstance(one, Point | Box | Item | SoldOut | PondCopy):
        own, other = (sorted(vars(it).keys() - {"_remote"}) for it in (one, two))
        return own == other and all(
            same(getattr(one, name), getattr(two, name), seen) for name in own
        )
    if isinstance(one, Decimal):
        return str(one) == str(two)
    if isinstance(one, datetime):
        return (one.tzinfo is None) == (two.tzinfo is None) and one == two
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(
            same(*pair, seen) for pair in zip(one, two, strict=True)
        )
    if isinstance(one, dict):
        return len(one) == len(two) and all(
            same(a, b, seen) and same(one[a], two[b], seen)
            for a, b in zip(sorted(one, key=_order), sorted(two, key=_order), strict=True)
        )
    if isinstance(one, set | frozenset):
        return len(one) == len(two) and all(
            same(*pair, seen)
            for pair in zip(sorted(one, key=_order), sorted(two, key=_order), strict=True)
        )
    return bool(one == two)


def _order(key: Any) -> str:
    """Sorts keys and members of sets, whatever they are."""
    if isinstance(key, frozenset):
        return f"frozenset {sorted(map(_order, key))}"
    if isinstance(key, tuple):
        return f"tuple {list(map(_order, key))}"
    return f"{type(key).__name__} {key!r}"
