"""What numbering, acknowledging and keeping frames costs of a call, as a command.

Inside the process, without socket and kernel, whose time would only make the part look smaller: a
session as it is, and one from which that was taken out, are fed the same calls in turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pbweb.flavors import REGISTRY
from pbweb.frames import Frame, check
from pbweb.limits import DEFAULT
from pbweb.runtime import Options
from pbweb.session import Message, Session
from pbweb.testing import SteppedRuntime
from pbweb.window import Window

from .apps import Echo

CALLS = 64


class BareWindow(Window):
    """Keeps nothing."""

    def keep(self, frames: Sequence[Frame], message: Message) -> None:
        self._broker.answering.acknowledged(frames)


class BareSession(Session):
    """A session that numbers, acknowledges and keeps nothing.

    An answer can be named until it is acknowledged; here it is forgotten when it is sent, since
    that is what pipelining costs and not what resuming does.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.window = BareWindow(self.runtime, self.limits, self.broker, self.close, self.overflow)

    def _check(self, frames: list[Frame]) -> int:
        for frame in frames:
            check(frame)
        return 0

    def _add_uncounted(self, out: list[Message]) -> None:
        self._flush_greeting(out)


def opened(kind: type[Session]) -> Session:
    """A server's session, whose client has said its version."""
    session = kind(
        SteppedRuntime(),
        Options(DEFAULT, REGISTRY),
        lambda: None,
        is_server=True,
        software="bookkeeping",
        opened=lambda made: made.broker.setNameForLocal("root", Echo()),
    )
    session.receive(b'["version",1]')
    session.messages()
    return session


def batches(first: int, calls: int) -> list[bytes]:
    """Messages with 64 calls in all, *calls* in each, numbered from *first*."""
    made = []
    for start in range(first, first + CALLS, calls):
        frames = [
            b'["message",%d,"root","echo",["hello network"]]' % number
            for number in range(start, start + calls)
        ]
        made.append(frames[0] if calls == 1 else b"[" + b",".join(frames) + b"]")
    return made


def acknowledging(messages: list[bytes], first: int) -> list[bytes]:
    """*messages* with an ack at the end of the last: of all answers before, as a client owes it."""
    ack = b'["ack",%d,%d]' % (first - 1, first + CALLS - 1)
    last = messages[-1]
    joined = last[:-1] + b"," + ack + b"]" if last.startswith(b"[[") else b"[%b,%b]" % (last, ack)
    return [*messages[:-1], joined]


def seconds_of(session: Session, messages: list[bytes]) -> float:
    """How long *session* takes for *messages*, and for writing what they made."""
    receive, written = session.receive, session.messages
    began = time.perf_counter()
    for message in messages:
        receive(message)
        written()
    return time.perf_counter() - began


def cost(calls: int, rounds: int) -> tuple[float, float]:
    """Microseconds a call, as it is and without; the least of many short rounds in turns."""
    whole, bare = opened(Session), opened(BareSession)
    least = [float("inf"), float("inf")]
    turns: list[tuple[int, Session, Callable[[list[bytes], int], list[bytes]]]] = [
        (0, whole, acknowledging),
        (1, bare, lambda messages, _first: messages),
    ]
    for number in range(rounds):
        first = 1 + number * CALLS
        messages = batches(first, calls)
        for at, session, made in turns if number % 2 else reversed(turns):
            least[at] = min(least[at], seconds_of(session, made(messages, first)))
    for session in (whole, bare):
        if session.closing is not None:
            raise SystemExit(f"the session was closed: {session.closing}")
    return least[0] / CALLS * 1e6, least[1] / CALLS * 1e6


def main() -> None:
    """Print the figures as JSON: percent of a call without it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3000)
    rounds = parser.parse_args().rounds
    figures: dict[str, float] = {}
    for name, calls in (("batch", CALLS), ("single", 1)):
        whole, bare = cost(calls, rounds)
        figures |= {f"{name} with": whole, f"{name} without": bare}
        figures[f"{name} percent"] = (whole / bare - 1) * 100
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()
