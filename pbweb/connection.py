"""The shell: gives a session its clock, tasks and log, and pumps a link into it.

One for both sides, since PB is symmetric. A link is whatever carries messages: the
WebSocket of `websocket.py`, the one of an ASGI server, or a pair in memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Literal, Protocol
from weakref import WeakValueDictionary

from .broker import Broker
from .cred import proof_of
from .exchange import Ending
from .logs import Allowance, logger, printable
from .promises import RemotePromise
from .references import RemoteReference
from .runtime import Handle, Options
from .session import Door, Message, Session, State
from .shared import SharedFrames, SharedMessage
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .cred import Credentials

__all__ = ["Connection", "Link"]


REPORTS = 10  # of one cause and connection
CAUSES = 20  # that are told apart: a peer can have its own words in some
REPORT_SECONDS = 60.0
_EAGER = sys.version_info >= (3, 12)


Status = Literal["connected", "interrupted", "ended"]


class Link(Protocol):
    """Carries messages to the peer."""

    def write(self, messages: list[Message]) -> None:
        """Send *messages*, none of which is empty, in their order. Never waits."""

    def writable(self) -> bool:
        """Whether more should be written now; if not, the link flushes when it is again."""

    def close(self, code: int, reason: str) -> None:
        """Close with *code* and *reason* when what was written is out; nothing is read then."""

    def unsent(self) -> int:
        """Bytes that were written and have not reached the peer, as far as that is known."""

    def abort(self) -> None:
        """Be gone at once, whatever was written and is not out."""

    def carry(self, connection: Connection) -> None:
        """Give what comes from now on to *connection*, whose session goes on."""


class Return(Protocol):
    """Finds a way back to the server (`client.connect` has the one)."""

    def begin(self, wait: bool | list[float]) -> bool:
        """Connect again; False if that is not to be, or is under way.

        Args:
            wait: False if the server does not want it, or after how many seconds it does.
        """

    def stop(self) -> None:
        """Do not."""

    def follows(self) -> bool:
        """Whether another session is to take the place of one that has ended."""

    def refused(self) -> bool:
        """The session cannot be resumed: whether a new one is to begin on this connection."""


class _Turn:
    """A turn of one event loop: at its end all connections are flushed that have something to send.

    One callback for all of them: a message to many costs no callback each.
    """

    __slots__ = ("__weakref__", "_loop", "begun", "number", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.begun = False
        """Whether its end is due."""
        self.number = 1
        """Another one in each turn."""
        self.waiting: list[Connection] = []
        """The connections to flush."""

    def begin(self) -> bool:
        """Have it end at the loop's next turn. False: the loop is closed."""
        if not self.begun and not self._loop.is_closed():
            self.begun = True
            self._loop.call_soon(self._end, context=Context())  # it is nobody's in particular
        return self.begun

    def _end(self) -> None:
        self.begun = False
        self.number += 1
        waiting, self.waiting = self.waiting, []
        for connection in waiting:
            try:
                connection.flush()
            except Exception as error:  # a fault of ours, which is to hold up nobody else
                connection.report("a fault in the connection", error)


_TURNS: WeakValueDictionary[int, _Turn] = WeakValueDictionary()
"""By id() of their loops: each is there for as long as a connection of its loop."""


def _turn_of(loop: asyncio.AbstractEventLoop) -> _Turn:
    turn = _TURNS.get(id(loop))
    if turn is None:
        turn = _TURNS[id(loop)] = _Turn(loop)
    return turn


class Connection:
    """One session and the link that carries it; what an application on this side holds.

    It is the session's `runtime.Runtime` as well.
    """

    __slots__ = (
        "__weakref__",
        "_finished",
        "_flushing",
        "_link",
        "_loop",
        "_published",
        "_reading",
        "_reports",
        "_status",
        "_summing",
        "_thread",
        "_told",
        "_turn",
        "_way_back",
        "_wrote_in",
        "direct",
        "session",
        "watchdog",
    )

    cancelled: type[BaseException] = asyncio.CancelledError

    def __init__(
        self,
        options: Options,
        *,
        is_server: bool,
        software: str,
        opened: Callable[[Session], None] | None = None,
        link: Link | None = None,
        door: Door | None = None,
        way_back: Return | None = None,
        resumes: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._turn = _turn_of(self._loop)
        self._wrote_in = 0  # the turn in which something was written that others got too
        self._link = link
        self.direct: Callable[[SharedMessage], None] | None = None
        """Writes at once what many get; set by a link that can, while it can."""
        self._flushing = False
        self._reading = False
        self._reports: Allowance | None = None
        self._summing: asyncio.TimerHandle | None = None
        self._finished: asyncio.Future[None] | None = None
        self.watchdog: Watchdog | None = None
        self._way_back = way_back
        self._status: list[Callable[[Status], object]] = []
        self._told: Status = "connected"
        self._published: dict[str, Any] = {}
        self.session = Session(
            self,
            options,
            self.wake,
            is_server=is_server,
            software=software,
            opened=opened,
            door=door,
            refused=self._refused if resumes and way_back is not None else None,
            changed=self._changed,
        )
        self.session.broker.express = self.express

    # ------------------------------------------------------------------ faces

    @property
    def broker(self) -> Broker:
        """The broker of the session."""
        return self.session.broker

    async def getRootObject(self) -> RemoteReference:
        """The peer's root. Costs no round trip: a call on it rides with the handshake."""
        return self.broker.remoteForName("root")

    def login(self, credentials: Credentials, mind: Any = None) -> RemotePromise:
        """Log in at the peer's `Portal`: a promise of the avatar's reference.

        Calls on the promise are sent at once. There may be several logins on one connection.
        Releasing the reference, or holding it no longer, logs out.

        Args:
            credentials: `UsernamePassword`, `Token`, `Anonymous`, `UpgradeIdentity`, or the
                application's own.
            mind: an object of this side's that the avatar is to have a reference to.

        Raises:
            TypeError: *credentials* are none, or one of their fields is of another type.

        Raises (when awaited):
            UnauthorizedLogin: the peer does not take them.
            Error: as of any call.
        """
        root = self.broker.remoteForName("root")
        kind, fields = proof_of(credentials)
        minds = () if mind is None else (mind,)
        promise = root.callRemote("login", kind, fields, *minds)
        promise.then_call(self._logged_in)
        return promise

    def _logged_in(self, promise: RemotePromise) -> None:
        if not promise.failed:
            self.broker.logged_in()

    def renew(
        self, avatar: RemoteReference | RemotePromise, credentials: Credentials
    ) -> RemotePromise:
        """Prove once more who *avatar* is, before what was proved expires.

        Args:
            avatar: what `login` gave; nothing that was got through it is lost.
            credentials: a new token, as a rule. It has to be the same one's.

        Raises:
            TypeError: as `login`, or *avatar* is no reference.

        Raises (when awaited):
            UnauthorizedLogin: the peer does not take them; the login goes on as before.
            DeadReferenceError: the login has ended already.
        """
        root = self.broker.remoteForName("root")
        if not isinstance(avatar, (RemoteReference, RemotePromise)):
            raise TypeError(f"the avatar is what login gave, not {type(avatar).__name__}")
        return root.callRemote("renew", avatar, *proof_of(credentials))

    def remoteForName(self, name: str) -> RemoteReference:
        """What the peer published as *name*; no round trip is made."""
        return self.broker.remoteForName(name)

    def setNameForLocal(self, name: str, object: Any) -> None:
        """Publish *object* for the peer under *name*, in this session and those that follow it."""
        self.broker.setNameForLocal(name, object)
        if self._way_back is not None:
            self._published[name] = object

    @property
    def status(self) -> Status:
        """``connected``; ``interrupted``: without a connection; or ``ended``.

        While it is interrupted calls wait; or, if the session has ended and another is to follow,
        there is nobody to call.
        """
        session, way_back = self.session, self._way_back
        if not session.ended:
            return "interrupted" if session.detached else "connected"
        if way_back is None or session.come_back is False or not way_back.follows():
            return "ended"
        return "interrupted"

    @property
    def ending(self) -> Ending | None:
        """Why it has ended, a ``code`` (protocol section 7) and a ``reason``; None until it has."""
        return self.session.ending

    def on_status(self, callback: Callable[[Status], object]) -> None:
        """Call *callback* with the `status` whenever it changes (protocol section 6)."""
        self._status.append(callback)

    def notifyOnDisconnect(self, callback: Callable[[], object]) -> None:
        """Call *callback* once when the session goes."""
        self.broker.notifyOnDisconnect(callback)

    def dontNotifyOnDisconnect(self, callback: Callable[[], object]) -> None:
        """Undo `notifyOnDisconnect`."""
        self.broker.dontNotifyOnDisconnect(callback)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session and wait until the connection is closed; cancelling is safe."""
        if self._way_back is not None:
            self._way_back.stop()
        self.session.close(code, reason)
        self._tell()  # where the session has ended before, and another was to follow
        self._finish()
        await self.wait_closed()

    def abort(self) -> None:
        """Drop the link at once, whatever was written and is not out."""
        if self._link is not None:
            self._link.abort()

    async def wait_closed(self) -> Ending:
        """Wait until the connection is closed, by whomever, and no other is to follow.

        Returns:
            Why: the ``code`` of protocol section 7, and a ``reason`` for people.
        """
        if not self._is_over():
            if self._finished is None:
                self._finished = self._loop.create_future()
            await asyncio.shield(self._finished)
        assert self.session.ending is not None
        return self.session.ending

    # -------------------------------------------------------------- resuming

    @property
    def is_carried(self) -> bool:
        """Whether there is a link."""
        return self._link is not None

    def _changed(self, state: State) -> None:
        """The session's state is another one."""
        self._tell()
        if state == "ended":
            self._finish()

    def _tell(self) -> None:
        """Say what the status is, if it is another one than was told."""
        status = self.status
        if status == self._told:
            return
        self._told = status
        for callback in list(self._status):
            try:
                callback(status)
            except Exception as error:
                self.report("a callback of on_status failed", error)

    def _refused(self, old: Session, said: dict[str, Any]) -> Session | None:
        """The server has the session no more; a new one begins, if the application wants that."""
        assert self._way_back is not None
        if self._way_back.refused():
            self.session = old.follow()
            self._begun()
            return self.session
        if self._link is not None:  # the server has begun one that nobody wants
            self._link.write([(b'["close",1000,"",false]', False)])
        return None

    def begin_again(self) -> None:
        """A new session in the place of the one that has ended."""
        self.session = self.session.follow(greet=True)
        self._begun()

    def is_not_coming_back(self) -> None:
        """No way back was found, or none is looked for any more."""
        if not self.session.ended:
            self.session.end("the connection is not made again")
        self._finish()

    def _begun(self) -> None:
        self._loop.call_soon(self._tell)  # when its link carries it
        for name, value in self._published.items():
            self.broker.setNameForLocal(name, value)

    def take(self, other: Connection) -> None:
        """Go on with the link of *other*, whose client has this session; ours is closed."""
        old, self._link, other._link = self._link, other._link, None
        if old is not None:
            old.close(4409, "taken over by a newer connection")
            old.carry(other)  # which has ended: nothing that it still delivers changes anything
        if self._link is not None:
            self._link.carry(self)

    # ------------------------------------------------------------- for links

    def attach(self, link: Link) -> None:
        """Carry the session by *link* from now on."""
        self._link = link
        self.flush()

    def receive(self, messages: list[Message]) -> None:
        """Take *messages* and write what they made, joined."""
        if self.watchdog is not None and not self.watchdog.armed:
            self.watchdog.arm()
        self._reading = True
        receive = self.session.receive
        for data, binary in messages:
            receive(data, binary)
        self._reading = False
        if self._flushing or self.session.broker.outbox:
            self.flush()

    def flush(self) -> None:
        """Write what is to be written now, in one piece."""
        link, session = self._link, self.session
        if link is None or not link.writable():
            if link is not None:
                session.check_outbox()
            elif session.detached:
                session.messages()  # which only keeps what there is
            if link is None or session.closing is None:
                self._flushing = False
                return
        try:
            messages = session.messages()
        except Exception as error:  # a fault of ours, which ends this session alone
            self.report("a fault in the session", error)
            session.end("a fault in the session", 1011)
            messages = []
        self._flushing = False
        if messages:
            link.write(messages)
        if session.ended:
            code, reason = session.closing or (1006, "")
            link.close(code if _can_be_sent(code) else 1000, reason)
        elif session.broker.outbox or session.closing is not None:  # made while this was encoded
            self.wake()
        elif not session.window.flowing:
            self._flush_more(link)

    def _flush_more(self, link: Link) -> None:
        """This side has given the link up, or there is more to be sent again."""
        parted, self.session.parted = self.session.parted, None
        if parted is not None:
            self._unlink()
            link.close(*parted)
        elif self.session.again:
            self.wake()

    def parted(self, why: str, code: int, link: Link) -> None:
        """The peer closes *link*, or it has failed; the link sees to its own closing."""
        if link is self._link:
            self.session.detach(why, code)
            if not self.session.ended:
                self._unlink()

    def failed(self, why: str, code: int, link: Link) -> None:
        """What came by *link* ends the session."""
        if link is self._link:
            self.session.end(why, code)

    def lost(self, why: str, code: int = 1006, link: Link | None = None) -> None:
        """The link is gone; *link* is given where it may be another one than the current."""
        if link is not None and link is not self._link:
            return
        self.session.detach(why, code)
        self._unlink()
        self._finish()

    def _unlink(self) -> None:
        """There is no link, and may be another."""
        self._link = None
        if self._way_back is not None and self.session.detached:
            self._way_back.begin(True)

    def _is_over(self) -> bool:
        return self._link is None and self.session.ended

    def _finish(self) -> None:
        """If all is over, and no way back is looked for, say so."""
        if not self._is_over():
            return
        if self._way_back is not None and self._way_back.begin(self.session.come_back):
            return
        if self._summing is not None:
            self._summing.cancel()
            self._sum_up()
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def wake(self) -> None:
        """Flush before the next turn of the loop; from any thread."""
        if self._flushing:
            return
        if threading.get_ident() != self._thread:
            try:
                self._loop.call_soon_threadsafe(self.wake)
            except RuntimeError:  # the loop is closed: nothing can be sent any more
                return
            return
        self._flushing = True
        if self._reading:
            return
        turn = self._turn
        if turn.waiting or turn.begin():
            turn.waiting.append(self)

    def express(self, call: SharedFrames, target: int | str) -> bool:
        """Write the frame of *call* for *target* now, so that this is looked at only once for it.

        False when it has to go into the outbox: something is to be sent before it or with it,
        or was in this turn already, the rest of which is to be one batch; or it may not be sent
        as it is.
        """
        session, turn, direct = self.session, self._turn, self.direct
        broker = session.broker
        limits = broker.peer_limits
        if (
            direct is None
            or self._flushing
            or self._reading
            or self._wrote_in == turn.number
            or broker.line is not None
            or broker.room_frames <= 0
            or broker.room_bytes <= 0
            or not broker.outgoing.is_idle()
            or (call.suited is not limits and not call.suits(limits))
        ):
            return False
        frame = call.frames.get(target) or call.frame(target)
        if frame.size > limits.message:
            return False
        message = session.share(frame)
        if message is None:
            return False
        self._wrote_in = turn.number
        if not turn.begun:
            turn.begin()
        direct(message)
        return True

    # ------------------------------------------------------------ the Runtime

    def spawn(self, coroutine: Coroutine[Any, Any, None], context: Context | None) -> Handle:
        """A task for *coroutine*, which the broker keeps; eager where Python has that."""
        if _EAGER and self._loop.get_task_factory() is None:
            return asyncio.Task(coroutine, loop=self._loop, context=context, eager_start=True)  # type: ignore[call-arg,unused-ignore]
        return self._loop.create_task(coroutine, context=context)

    def soon(self, function: Callable[..., object], *args: Any) -> None:
        """See `runtime.Runtime`."""
        self._loop.call_soon(function, *args)

    def call_later(self, seconds: float, function: Callable[..., object], *args: Any) -> Handle:
        """See `runtime.Runtime`."""
        return self._loop.call_later(seconds, function, *args)

    def is_here(self) -> bool:
        """See `runtime.Runtime`."""
        return threading.get_ident() == self._thread

    def clock(self) -> float:
        """See `runtime.Runtime`."""
        return self._loop.time()

    def unsent(self) -> int:
        """See `runtime.Runtime`."""
        return 0 if self._link is None else self._link.unsent()

    def future(self) -> asyncio.Future[None]:
        """See `runtime.Runtime`."""
        return self._loop.create_future()

    def report(self, what: str, error: BaseException | None = None) -> str:
        """Log *what*; of one cause ten times a minute, then how many there were."""
        entry = os.urandom(4).hex()
        if self._reports is None:
            self._reports = Allowance(REPORTS, CAUSES)
            if not self.session.ended:
                self._summing = self._loop.call_later(REPORT_SECONDS, self._sum_up)
        if self._reports.take(re.sub(r"\d+", "", what)[:80]):
            level = logging.WARNING if error is None else logging.ERROR
            logger.log(level, "%s [%s]", printable(what), entry, exc_info=error)
        return entry

    def _sum_up(self) -> None:
        reports, self._reports, self._summing = self._reports, None, None
        for cause, count in reports.left_out() if reports is not None else ():
            logger.warning("%s … and %d more of these in a minute", cause, count)


def _can_be_sent(code: int) -> bool:
    """Whether a WebSocket close can carry *code*; a frame ``close`` may hold any number."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))
