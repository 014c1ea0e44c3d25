"""The targets for what outlives a connection: a server whose sessions are resumed, and a client.

An input is lines. One that is no command below is a message on the connection in use.

    +       (server) another connection, by whom the first was; (client) it has one again
    -       (server) another connection, by a stranger
    <       (server) the connection before is in use again, which may have been taken over
    ~CODE   the connection in use is lost; CODE is 1006 if it is none
    @       25 seconds pass, of the 60 that a session is kept
    *       (client) it calls something

What is guessable here is not in earnest: the first session is `16-0` with the secret `32-1`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pbweb as pb
from pbweb.frames import check
from pbweb.parking import Parking, Principal
from pbweb.runtime import Options
from pbweb.session import Session
from pbweb.testing import SteppedRuntime, frames_of, tables
from tests.unit.vectors import FixtureRoot, fixture_registry

LIMITS = pb.Limits(
    depth=20,
    calls=8,
    references=8,
    message=16_384,
    window=16_384,
    window_frames=64,
    resume_window=60.0,
    away=3,
    away_per_address=3,
    away_per_identity=3,
    away_bytes=32_768,
)
CODES = {1000, 1007, 1009, 4400, 4401, 4408, 4409, 4410, 4413, 4426, 4429, 4440}
OUTCOMES = {"not_executed", "executed_answer_lost", "unknown"}
MOST_LINES = 64


def lines_of(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The commands of an input; "" is a message."""
    for line in data.split(b"\n")[:MOST_LINES]:
        command = line[:1].decode("latin-1")
        yield (command, line[1:]) if command and command in "+-<~@*" else ("", line)


def code_of(text: bytes) -> int:
    """The code with which a connection is lost."""
    return int(text) if text.isdigit() and 1000 <= int(text[:5]) < 5000 else 1006


class Watched:
    """What must hold of sessions at any time, and at their end."""

    def __init__(self) -> None:
        self.runtime = SteppedRuntime()
        self.sessions: list[Session] = []

    def add(self, session: Session) -> Session:
        self.sessions.append(session)
        return session

    def check(self) -> None:
        """The bounds and the invariants of reliability that can be seen from outside."""
        faults = [report for report in self.runtime.reports if "a fault in" in report[0]]
        assert not faults, faults
        for session in self.sessions:
            window = session.window
            if session.ended:
                assert session.state == "ended"
                assert not window.kept
                continue
            assert window.acked <= window.sent
            assert window.acked <= max(window.reached, window.written)
            assert window.kept_bytes == sum(size for _, size, _, _ in window.kept)
            number = window.kept[0][0] - len(window.kept[0][2]) if window.kept else window.sent
            assert number <= window.acked or not window.kept
            for last, _, frames, _ in window.kept:
                assert last == number + len(frames)
                number = last
            assert number == window.sent
            if session.closing is not None:
                assert session.closing[0] in CODES, session.closing
                assert len(session.closing[1].encode()) <= 123

    def check_sent(self, session: Session) -> list[Any]:
        """Everything that *session* has to send, and it is made of frames."""
        sent: list[Any] = []
        self.runtime.run()
        for _ in range(200):
            messages = session.messages()
            self.runtime.run()
            if not messages:
                break
            for message in messages:
                sent += frames_of(message)
        for frame in sent:
            check(frame)
            json.dumps(frame, ensure_ascii=False).encode()
        return sent

    def check_end(self) -> None:
        """Nothing is left of anything."""
        for session in self.sessions:
            session.end("the input is at its end")
        self.runtime.run()
        for session in self.sessions:
            assert not any(tables(session).values()), tables(session)
        self.runtime.advance(1e6)
        assert self.runtime.timers() == 0


class Server(Watched):
    """An endpoint without sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.number = iter(range(10**9))
        self.parking = Parking(
            LIMITS, self.runtime.clock, self.move, lambda size: f"{size}-{next(self.number)}"
        )
        self.carried: list[Session | None] = []  # by connection: the session that it carries
        self.whose: dict[int, Principal] = {}  # by connection
        self.owner: dict[Session, Principal] = {}
        self.at = -1

    def publish(self, session: Session) -> None:
        session.broker.setNameForLocal("root", FixtureRoot(self.runtime))

    def connect(self, who: str) -> None:
        principal = Principal(who, "http://here", "192.0.2.1")
        session = self.add(
            Session(
                self.runtime,
                Options(LIMITS, fixture_registry()),
                lambda: None,
                is_server=True,
                software="fuzz",
                opened=self.publish,
                door=self.parking,
            )
        )
        self.parking.expect(session, principal)
        self.owner[session] = principal
        self.at = len(self.carried)
        self.whose[self.at] = principal
        self.carried.append(session)

    def move(self, found: Session, young: Session) -> None:
        assert self.owner[found] == self.owner[young], "a session was given to somebody else"
        if found in self.carried:
            self.carried[self.carried.index(found)] = None  # fenced
        self.carried[self.carried.index(young)] = found

    def lose(self, at: int, code: int) -> None:
        session = self.carried[at]
        if session is not None:
            self.carried[at] = None
            session.detach("lost", code)
            self.parking.forget(session)
            self.check_sent(session)

    def feed(self, message: bytes) -> None:
        session = self.carried[self.at]
        if session is not None:
            session.receive(message)
            self.flush()

    def flush(self) -> None:
        """All sessions say what they have to; who has given a connection up loses it."""
        self.runtime.run()
        for session in self.sessions:
            self.check_sent(session)
            if session in self.carried and (session.ended or session.parted is not None):
                session.parted = None
                self.carried[self.carried.index(session)] = None
                self.parking.forget(session)

    def check(self) -> None:
        super().check()
        carried = [session for session in self.carried if session is not None]
        assert len(carried) == len(set(carried)), "two connections carry one session"
        numbers = self.parking.statistics()
        assert numbers["away"] <= LIMITS.away
        assert numbers["bytes_away"] <= LIMITS.away_bytes
        assert numbers["remembered"] <= LIMITS.away
        living = {session for session in self.sessions if session.id and not session.ended}
        assert numbers["sessions"] == len(living)
        for session in living:
            assert session.detached or session in carried, "nobody has this session"


def server(data: bytes) -> None:
    """A server bears whatever its clients say, lose and ask to go on with."""
    gate = Server()
    gate.connect("alice")
    for command, rest in lines_of(data):
        if command == "+" or command == "-":
            if len(gate.carried) < 12:
                gate.connect("alice" if command == "+" else "mallory")
        elif command == "<":
            gate.at = max(0, gate.at - 1)
        elif command == "~":
            gate.lose(gate.at, code_of(rest))
        elif command == "@":
            gate.runtime.advance(25.0)
            gate.flush()
        elif command != "*":
            gate.feed(rest)
        gate.check()
    for at in range(len(gate.carried)):
        gate.lose(at, 1006)
    gate.check()
    gate.runtime.advance(61.0)
    numbers = gate.parking.statistics()
    assert numbers["sessions"] == numbers["away"] == numbers["bytes_away"] == 0, numbers
    assert all(session.ended for session in gate.sessions)
    gate.check_end()


class Client(Watched):
    """A client without a socket, which goes on as `connect` does."""

    def __init__(self) -> None:
        super().__init__()
        self.session = self.add(
            Session(
                self.runtime,
                Options(LIMITS, fixture_registry()),
                lambda: None,
                is_server=False,
                software="fuzz",
                opened=self.publish,
                refused=self.refused,
            )
        )
        self.is_connected = True
        self.promises: list[pb.RemotePromise] = []

    def publish(self, session: Session) -> None:
        session.broker.setNameForLocal("root", FixtureRoot(self.runtime))

    def refused(self, session: Session, _said: dict[str, Any]) -> Session:
        assert session is self.session
        self.session = self.add(session.follow())
        return self.session

    def lose(self, code: int) -> None:
        self.is_connected = False
        self.session.detach("lost", code)
        self.flush()

    def flush(self) -> None:
        sent = self.check_sent(self.session)
        assert self.is_connected or not sent or self.session.ended, sent
        if self.session.ended or self.session.parted is not None:
            self.session.parted = None
            self.is_connected = False


def client(data: bytes) -> None:
    """A client bears whatever a server says, on its first connection and later."""
    own = Client()
    own.flush()
    for command, rest in lines_of(data):
        if command == "+":
            if own.session.detached and not own.is_connected:
                own.is_connected = True
                own.session.reconnect()
        elif command == "~":
            if own.is_connected:
                own.lose(code_of(rest))
        elif command == "@":
            own.runtime.advance(25.0)
        elif command == "*":
            if not own.session.ended:
                promise = own.session.broker.remoteForName("root").callRemote("echo", len(rest))
                promise.then_call(lambda promise: promise.error())
                own.promises.append(promise)
        elif command == "" and own.is_connected:
            own.session.receive(rest)
        own.flush()
        own.check()
    own.check_end()
    for promise in own.promises:
        assert promise.done
        error = promise.error()
        if isinstance(error, pb.PBConnectionLost):
            assert error.outcome in OUTCOMES
