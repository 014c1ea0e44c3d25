"""The machine of one session, without any I/O: its tables, its outbox, and its end.

It is fed checked frames (`handle`) and puts frames into its `outbox`; a session numbers and
encodes them. Calls of ours are in `outgoing`, those of the peer's in `incoming`.
Protocol sections 1, 3 and 4.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import orjson

from .answering import Answering
from .caching import Cacheable, CacheExport, CacheExports, CacheImports, import_of
from .errors import (
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    PBConnectionLost,
    ProtocolError,
)
from .failures import Fill, failure_for, from_failure
from .flavors import CALLABLES, Ended, Entrance, Maker, Referenceable, Viewable, ViewPoint
from .frames import MAX_INTEGER, Frame, is_answer
from .incoming import Incoming
from .jelly import Jellier, Tagged
from .limits import Limits
from .outgoing import Outgoing
from .promises import PromisedItem, RemotePromise, follow
from .references import Exports, Imports, RemoteReference, dead_reference
from .runtime import Options, Runtime
from .shared import SharedFrames
from .streams import Items, Producer, RemoteStream, Streams
from .unjelly import Pending, Unjellier, introductions

__all__ = ["Broker"]

WhenDead = Callable[[RemoteReference, Error], None]
"""Told once of a reference that died, and why; raises nothing."""

NO_STATE = frozenset({"_remote", "__notes__"})  # attributes of an exception that are not its own
MAX_REFERENCE_FAULTS = 4
MAX_UNKNOWN_FRAMES = 16  # in UNKNOWN_SECONDS
UNKNOWN_SECONDS = 60.0


class Dirty(Protocol):
    """What is to be sent at the end of the turn, or before the next answer or call."""

    def deliver(self) -> None:
        """Send it, and leave `Broker.dirty`."""


class Broker:
    """One side of one session: the objects handed out and held, and the calls between them.

    Args:
        runtime: see `runtime.Runtime`.
        options: see `runtime.Options`.
        wake: called when something stands in the outbox, from any thread.
        close: ends the session with a code and a reason.
    """

    __slots__ = (
        "__weakref__",
        "_after_login",
        "_encoding",
        "_faults",
        "_is_letting_go",
        "_notifiers",
        "_unknown",
        "_unknown_since",
        "_when_dead",
        "answering",
        "attachments",
        "away",
        "caches",
        "close",
        "dirty",
        "disconnected",
        "exports",
        "express",
        "gone",
        "identity",
        "imports",
        "incoming",
        "limits",
        "line",
        "login_due",
        "may_resume",
        "network",
        "options",
        "outbox",
        "outgoing",
        "peer_binary",
        "peer_limits",
        "queued",
        "room_bytes",
        "room_frames",
        "runtime",
        "streams",
        "wake",
        "watched",
    )

    def __init__(
        self,
        runtime: Runtime,
        options: Options,
        wake: Callable[[], None],
        close: Callable[[int, str], None],
    ) -> None:
        limits = options.limits
        self.runtime = runtime
        self.options = options
        self.limits = limits
        self.peer_limits = limits
        self.peer_binary = False
        self.close = close
        self.disconnected = False
        """Whether the session is gone."""
        self.gone = ""
        """Why it is."""
        self.away = False
        """Whether the session has no connection at the moment (section 6)."""
        self.identity: Any = None
        """What `Endpoint`'s ``authenticate`` returned for the peer's upgrade; else None."""
        self.network: Hashable = None
        """Where the peer is: its address, of IPv6 the first 64 bits. None: here, or not known."""
        self.login_due = False
        """Whether the peer has to log in before it may send messages of the usual length."""
        self.may_resume: Callable[[], bool] | None = None
        """Whether the peer may come back, as those say that let it in; None: it may."""
        self._after_login: Limits | None = None  # what the peer takes once we have logged in
        self.exports = Exports(limits.references)
        self.imports = Imports(self, limits.references, wake)
        self.watched = CacheExports(self)
        self.caches = CacheImports(self, wake)
        self.outgoing = Outgoing(self)
        self.answering = Answering(self)
        self.incoming = Incoming(self, self.answering)
        self.streams = Streams(self)
        self.outbox: list[Frame] = []
        self.line: deque[Callable[[], object]] | None = None  # what waits for room; None: nothing
        self.dirty: dict[Dirty, None] = {}  # what changed and goes out at the end of the turn
        self.attachments: dict[int, list[bytes]] = {}  # by id() of a frame in the outbox
        self.queued = 0  # bytes of long values in the outbox
        self.room_frames = limits.window_frames
        self.room_bytes = limits.window
        self.wake = wake
        self.express: Callable[[SharedFrames, int | str], bool] | None = None
        """Writes a call of many at once, if nothing stands before it: see `Connection.express`."""
        self._encoding = 0  # frames with caches that are new to the peer
        self._is_letting_go = False
        self._faults = 0
        self._unknown = 0
        self._unknown_since = 0.0
        self._when_dead: dict[RemoteReference, list[WhenDead]] | None = None
        self._notifiers: list[tuple[Callable[..., object], RemoteReference | None]] = []

    # ------------------------------------------------------------------ faces

    def setNameForLocal(self, name: str, object: Any) -> None:
        """Publish *object*, so that the peer reaches it by *name* (PB's ``remoteForName``).

        Raises:
            TypeError: *object* is neither a Referenceable nor a function.
        """
        if not isinstance(object, (Referenceable, *CALLABLES)):
            raise TypeError(
                f"only a Referenceable or a function can be published, not {object!r}: "
                "let its class inherit from pb.Referenceable"
            )
        self.exports.publish(name, object)

    def remoteForName(self, name: str) -> RemoteReference:
        """A reference to what the peer published as *name*; no round trip is made.

        Calls on it fail with `DeadReferenceError` if the peer has published no such name.
        """
        return self.imports.reference(name)

    def notifyOnDisconnect(self, callback: Callable[[], object]) -> None:
        """Call *callback* once when the session goes.

        Raises:
            DeadReferenceError: it is gone already.
        """
        self.notify(callback, None)

    def dontNotifyOnDisconnect(self, callback: Callable[[], object]) -> None:
        """Undo `notifyOnDisconnect`. Raises ValueError if *callback* was not registered."""
        self.dont_notify(callback, None)

    def disconnect(self, code: int = 4410, reason: str = "ended by the application") -> None:
        """End the session; the peer is told *code* and *reason* (protocol section 7).

        Raises:
            ValueError: *code* is none that a connection can be closed with for a reason.
        """
        if code not in (1000, 1001, 1011, 1012, 1013) and not 3000 <= code <= 4999:
            raise ValueError(
                f"a session cannot be ended with {code}: take 1000, 1012 (a restart), or your own "
                "from 4000 to 4999 (docs/protocol.md, section 7)"
            )
        self.close(code, reason)

    def statistics(self) -> dict[str, int]:
        """How many objects and calls there are: all zero when nothing is going on."""
        return {
            "handed_out": len(self.exports.numbered),
            "held": len(self.imports),
            "caches_handed_out": len(self.watched),
            "caches_held": len(self.caches),
            "streams": len(self.streams) + self.imports.streams,
            "calls_in_progress": self.incoming.count(),
            "calls_waiting": self.outgoing.count(),
        }

    def notify(self, callback: Callable[..., object], reference: RemoteReference | None) -> None:
        """See `RemoteReference.notifyOnDisconnect`; for the whole session if that is None."""
        if self.disconnected:
            raise DeadReferenceError("the session is gone already")
        self._notifiers.append((callback, reference))

    def dont_notify(
        self, callback: Callable[..., object], reference: RemoteReference | None
    ) -> None:
        """See `RemoteReference.dontNotifyOnDisconnect`."""
        self._notifiers.remove((callback, reference))

    def when_dead(self, reference: RemoteReference, callback: WhenDead) -> None:
        """Call *callback* with *reference* and why, once, when it dies: it, or the session.

        Raises:
            DeadReferenceError: it is dead.
        """
        if reference.isDead():
            raise self.dead()
        if self._when_dead is None:
            self._when_dead = {}
        self._when_dead.setdefault(reference, []).append(callback)

    def not_when_dead(self, reference: RemoteReference, callback: WhenDead) -> None:
        """Undo `when_dead`; nothing happens if it was called already."""
        callbacks = self._when_dead or {}
        if callback in callbacks.get(reference, ()):
            callbacks[reference].remove(callback)
            if not callbacks[reference]:
                del callbacks[reference]

    def dead(self) -> DeadReferenceError:
        """What is wrong with a reference of ours that is dead."""
        return DeadReferenceError(f"the reference is dead: {self.gone or 'it was released'}")

    def _tell_dead(self, reference: RemoteReference, why: Error) -> None:
        for callback in (self._when_dead or {}).pop(reference, ()):
            callback(reference, why)

    def release(self, reference: RemoteReference | RemoteStream) -> None:
        """See `RemoteReference.release`."""
        pairs = self.imports.release(reference)
        if pairs:
            self.send(["decref", *pairs])
        if self._when_dead and type(reference) is RemoteReference:
            self._tell_dead(reference, self.dead())

    def adopt(self, entrance: Entrance, avatar: Any) -> None:
        """A login has its *avatar*: what came in it, or in calls on it, is of its perspective."""
        self.imports.adopt(entrance, avatar)
        self.caches.adopt(entrance, avatar)

    def revoke(self, perspective: Any, stop: str | None = None) -> None:
        """What was handed out for the avatar *perspective* alone is dead.

        Args:
            stop: why its calls are to be stopped; None: they go on.
        """
        self.exports.revoke(perspective)
        self.imports.revoke(perspective)
        self.watched.revoke(perspective)
        self.answering.revoke(perspective, stop)

    def expect_login(self, is_due: bool) -> None:
        """Whether the peer has to log in before it may send as much as others."""
        self.login_due = is_due
        self.incoming.expect_login(is_due)

    def login_came(self, message: int, calls: int) -> None:
        """The peer wants a login, and takes at most so many bytes and calls before it."""
        limits = self._after_login = self.peer_limits
        message, calls = min(limits.message, message), min(limits.calls, calls)
        self.peer_limits = replace(limits, message=message, calls=calls)

    def logged_in(self) -> None:
        """The peer has let us in: it takes as much as usual now."""
        if self._after_login is not None:
            self.peer_limits, self._after_login = self._after_login, None
            self.outgoing.let_go()

    # ------------------------------------------------------------- the outbox

    def send(self, frame: Frame) -> None:
        """Put *frame* into the outbox; to nobody, when the session is gone."""
        if self.disconnected:
            return
        if not self.outbox:
            self.wake()
        self.outbox.append(frame)

    def has_room(self) -> bool:
        """Whether frames that can wait may go into the outbox: nothing is before them in line."""
        return (
            self.line is None
            and len(self.outbox) < self.room_frames
            and self.queued < self.room_bytes
        )

    def when_room(self, function: Callable[[], object]) -> None:
        """Call *function*, which sends something, in its turn (protocol section 6).

        That is at once while there is room and nothing waits for it; else in the order in which
        it was asked for, when there is room again. When the session goes, *function* is called
        as well: `disconnected` is true then, and nothing that it sends goes anywhere.

        Raises:
            Exception: what *function* raised; when it had to wait, that is logged.
        """
        if self.disconnected or self.has_room():
            function()
            return
        if self.line is None:
            self.line = deque()
        self.line.append(function)

    def flush_dirty(self) -> list[Frame]:
        """Send what changed in this turn, before something that was made after it.

        Returns:
            The outbox.
        """
        while self.dirty:
            next(iter(self.dirty)).deliver()
        return self.outbox

    def has_window(self) -> bool:
        """Whether anything may be sent before the peer has acknowledged more."""
        return self.room_frames > 0 and self.room_bytes > 0

    def send_encoded(
        self, frame: Frame, fill: Callable[[Jellier], None], perspective: Any = None
    ) -> None:
        """Send *frame* when *fill* has put its values in; undo all of it when that raises.

        Args:
            perspective: the avatar that the values are made for, or an `Ended` one.

        Raises:
            DeadReferenceError: an object would be handed out for an avatar that has ended.
            InsecureJelly: a value cannot cross.
            LimitExceeded: the frame is larger or deeper than the peer takes.
        """
        if self.disconnected:
            return
        limits = self.peer_limits
        ended = type(perspective) is Ended
        avatar = perspective.avatar if ended else perspective
        jellier = Jellier(self, limits, attach=self.peer_binary, perspective=avatar)
        try:
            fill(jellier)
            if ended and jellier.handed:
                raise DeadReferenceError("the login that this is for has ended: send data alone")
            if self.disconnected:
                raise DeadReferenceError("the session went while a frame was encoded")
            beside = sum(map(len, jellier.attachments))
            size = jellier.size + beside
            if size > limits.message // 8:
                size = len(orjson.dumps(frame)) + beside + 4 * (1 + len(jellier.attachments))
                if size > limits.message:
                    raise LimitExceeded(
                        f"message: the frame has {size} bytes, the peer takes "
                        f"{limits.message}; send it in parts"
                    )
        except BaseException:
            self.take_back(jellier)
            raise
        self.queued += size
        if jellier.attachments:
            self.attachments[id(frame)] = jellier.attachments
        self.send(frame)
        if jellier.begun:
            self.watched.sent(jellier.begun)
            self._let_line_go()

    def take_back(self, jellier: Jellier, handed: int = 0, begun: int = 0) -> None:
        """What was encoded does not go out: no table has changed.

        Args:
            handed, begun: how many of those lists go out all the same.
        """
        for one in reversed(jellier.handed[handed:]):
            if isinstance(one, CacheExport):
                one.count -= 1
            elif not self.disconnected:
                self.exports.take_back(one)
        del jellier.handed[handed:]
        if self.disconnected:
            self.exports.clear()  # of what was handed out when the session had gone
        new = jellier.begun[begun:]
        if new:
            del jellier.begun[begun:]
            self.watched.take_back(new)
            if not begun:
                self._let_line_go()

    def hold_line(self) -> None:
        """A frame is being encoded which nothing may overtake: it has a cache new to the peer."""
        self._encoding += 1
        if self.line is None:
            self.line = deque()

    def _let_line_go(self) -> None:
        self._encoding -= 1
        if not self._encoding:
            self.let_go()

    def take_outbox(self) -> list[Frame]:
        """The frames to be sent, with a ``decref`` for what was garbage collected."""
        if self.imports.dropped:
            pairs = self.imports.give_back()
            if pairs:
                self.outbox.append(["decref", *pairs])
        if self.caches.dropped:
            pairs = self.caches.give_back()
            if pairs:
                self.outbox.append(["decache", *pairs])
        frames, self.outbox = self.outbox, []
        self.queued = 0
        return frames

    def let_go(self) -> None:
        """There is more room (`room_frames`, `room_bytes`): send what waited for it."""
        if self._encoding:
            return
        if self._is_letting_go:  # what it calls may get here too, each one inside the last
            self.line = self.line or None
            return
        self._is_letting_go = True
        try:
            self._let_go()
            while self.line and self._may_go():  # came behind a cache that was new meanwhile
                self._let_go()
        finally:
            self._is_letting_go = False

    def _let_go(self) -> None:
        while self.line and self._may_go():
            self._call_waiting(self.line.popleft())
        if not self.line:
            self.line = None
        self.outgoing.let_go()
        self.incoming.let_go()

    def _may_go(self) -> bool:
        return len(self.outbox) < self.room_frames and self.queued < self.room_bytes

    def _call_waiting(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:  # nobody waits for it
            self.runtime.report("what waited for room was not sent", error)

    # ----------------------------------------------------- frames of the peer's

    def handle(self, frame: Frame) -> None:
        """Take one frame whose envelope was checked, and which is no ``message`` or ``answer``.

        Raises:
            ProtocolError: an id or count that cannot be; the session ends.
        """
        name = frame[0]
        if name == "error":
            self.outgoing.failed(frame)
        elif name == "decref":
            for at in range(1, len(frame), 2):
                self.exports.decref(frame[at], frame[at + 1])
        elif name == "cancel":
            self.incoming.cancel(frame[1])
        elif name == "decache":
            for at in range(1, len(frame), 2):
                self.watched.decache(frame[at], frame[at + 1])
        elif name == "uncache":
            self.caches.uncache(frame[1])
        elif name == "didNotUnderstand":
            self.runtime.report(f"the peer does not understand the frame {frame[1][:64]!r}")
        else:
            self._did_not_understand(frame)

    def _did_not_understand(self, frame: Frame) -> None:
        now = self.runtime.clock()
        if now - self._unknown_since > UNKNOWN_SECONDS:
            self._unknown_since, self._unknown = now, 0
        self._unknown += 1
        if self._unknown > MAX_UNKNOWN_FRAMES:
            raise ProtocolError(f"more than {MAX_UNKNOWN_FRAMES} unknown frames in a minute")
        self.give_back(introductions(frame))
        self.send(["didNotUnderstand", frame[0][:64]])

    def take(self, unjellier: Unjellier, introduced: list[tuple[str, Any]]) -> None:
        """A whole frame could be decoded: the references in it are ours now.

        Args:
            introduced: what `introductions` found in the frame before.
        """
        unjellier.finish()
        self.imports.count(unjellier.received, unjellier.perspective)
        caches = unjellier.caches
        if caches:
            self.caches.take(caches)
        taken = len(unjellier.received) + len(caches)
        if len(introduced) != taken:  # some stood where nobody looks
            left = Counter(one for one in introduced if type(one[1]) is int)
            left.subtract(("decref", luid) for luid in unjellier.received)
            left.subtract(("decache", cache.luid) for cache in caches)
            self.give_back(left.elements())

    def refuse(self, unjellier: Unjellier, introduced: Iterable[tuple[str, Any]]) -> None:
        """A frame could not be decoded as a whole: what was *introduced* in it is given back."""
        self.caches.refuse(unjellier.caches)
        self.give_back(introduced)

    def give_back(self, introduced: Iterable[tuple[str, Any]]) -> None:
        """Count and give back at once what stood in a frame that was not taken (section 3)."""
        counts: dict[str, dict[int, int]] = {"decref": {}, "decache": {}}
        for name, luid in introduced:
            if type(luid) is int and 0 < luid <= MAX_INTEGER:
                counts[name][luid] = counts[name].get(luid, 0) + 1
        for name, pairs in counts.items():
            if pairs:
                self.queued += 16 * len(pairs)
                self.send([name, *(number for pair in pairs.items() for number in pair)])

    def count_fault(self, error: BaseException) -> None:
        """A peer that breaks the limit of references again and again is closed with 4413."""
        if not isinstance(error, LimitExceeded) or not str(error).startswith("references"):
            return
        self._faults += 1
        if self._faults >= MAX_REFERENCE_FAULTS:
            self.close(4413, f"references: more than {self.limits.references}, again and again")

    # --------------------------------------------- flavors, for the jellies

    def jelly(self, value: Any, jellier: Jellier) -> Any:
        """The tagged value for an object of a flavor (see `jelly.Flavors`)."""
        if isinstance(value, RemoteReference):
            if value.isDead():
                raise DeadReferenceError(f"{jellier.path()} is a reference that is dead")
            if value.broker is self:
                return {"$": "local", "id": value.luid}
        elif isinstance(value, RemotePromise):
            return self._jelly_promise(value, (), jellier)
        elif isinstance(value, PromisedItem):
            return self._jelly_promise(value.promise, value.path, jellier)
        elif isinstance(value, BaseException):
            return failure_for(value)
        elif isinstance(value, Viewable):
            value = ViewPoint(jellier.perspective, value)
        elif type(value) is Items:
            return value.encode(jellier)
        elif not isinstance(value, (Referenceable, *CALLABLES)):
            cache = import_of(value)
            if cache is not None:
                return cache.home(self, jellier.path())
            if isinstance(value, Cacheable):
                return self.watched.tag(value, jellier)
            return self.streams.jelly(value, jellier)
        tagged = self.tag(value, jellier.perspective)
        if type(tagged["id"]) is int:
            jellier.handed.append(tagged["id"])
        return tagged

    def tag(self, value: Any, perspective: Any = None) -> Tagged:
        """The tagged reference by which *value* is handed out once more.

        Args:
            perspective: the avatar that it is handed out for.

        Raises:
            LimitExceeded: the peer holds as many objects as are allowed.
        """
        return {"$": "remote", "id": self.exports.hand_out(value, perspective)}

    def _jelly_promise(
        self, promise: RemotePromise, path: Sequence[str | int], jellier: Jellier
    ) -> Any:
        if promise.done:
            return jellier.encode_more(follow(promise.result(), path))
        if jellier.in_copies:
            raise InsecureJelly(f"{jellier.path()} is a promise in a copy's state: await it first")
        if promise.broker is not self or not promise.request:
            raise InsecureJelly(
                f"{jellier.path()} is a promise of another connection, or was never sent: "
                "await it first"
            )
        tagged: Tagged = {"$": "answer", "id": promise.request}
        promise.error()  # a failure of it goes on to this call, and is handled there
        jellier.answers.append(promise.request)
        if path:
            tagged["path"] = list(path)
        return tagged

    def copied(self, value: Any, perspective: Any) -> tuple[str, Any]:
        """The type and the state of a Copyable, for an avatar (see `jelly.Flavors`)."""
        name = value.getTypeToCopyFor(perspective)
        state = value.getStateToCopyFor(perspective)
        if isinstance(value, BaseException) and type(state) is dict:
            state = {key: item for key, item in state.items() if key not in NO_STATE}
        return name, state

    def cached(self, value: Cacheable, jellier: Jellier) -> tuple[str, Any] | None:
        """The type and the state of a Cacheable that is new to the peer (see `jelly.Flavors`)."""
        return self.watched.begin(value, jellier)

    def maker(self, name: str) -> Maker:
        """How copies of the peer's type *name* are made here (see `unjelly.Flavors`)."""
        return self.options.registry.maker(name)

    def report_fault(self, what: str, fault: BaseException) -> None:
        """A class of the application's raised *fault* while values were decoded."""
        self.runtime.report(what, fault)

    def unjelly(self, tag: str, tagged: Tagged, unjellier: Unjellier, depth: int) -> Any:
        """The object for a tagged value that means something here (see `jelly.Flavors`)."""
        luid = tagged.get("id")
        if tag in ("remote", "stream"):
            return self._introduced(tag, luid, unjellier)
        if tag == "local":
            if type(luid) is not str and (type(luid) is not int or luid < 1):
                raise InsecureJelly("a tagged 'local' needs an 'id', a luid or a name")
            found = self.exports.find(luid)
            if type(found) is Producer:
                raise InsecureJelly("a tagged 'local' is no stream: that is sent on as its own")
            return found
        if tag == "failure":
            return from_failure(tagged, self.options.registry, self._filler(unjellier, depth))
        if tag == "answer" and is_answer(tagged):
            return Pending(tagged["id"], tagged.get("path", []))
        if tag in ("cache", "cached"):
            return self.caches.unjelly(tagged, unjellier, depth)
        if tag == "lcache":
            return self.watched.find(luid)
        raise InsecureJelly(f"the tag {tag[:64]!r} is unknown or lacks its keys")

    def _introduced(self, tag: str, luid: Any, unjellier: Unjellier) -> Any:
        """What stands here for an object or a stream of the peer's."""
        seen_by = unjellier.perspective
        if type(luid) is str and tag == "remote":
            return self.imports.reference(luid, seen_by)
        if type(luid) is not int or not 0 < luid <= MAX_INTEGER:
            raise InsecureJelly(f"a tagged {tag!r} needs an 'id' that it can have")
        if luid in self.caches:
            raise dead_reference()
        kind, streams = (
            (RemoteReference, None) if tag == "remote" else (RemoteStream, self.limits.streams)
        )
        self.imports.check_room(luid, seen_by, len(self.caches), streams)
        unjellier.received.append(luid)
        unjellier.keep.append(found := self.imports.one(luid, seen_by, kind))
        return found

    @staticmethod
    def _filler(unjellier: Unjellier, depth: int) -> Fill:
        def fill(error: BaseException, maker: Maker, tagged: Tagged) -> None:
            unjellier.fill(tagged["type"], maker, error, tagged, depth)

        return fill

    # ---------------------------------------------------------------- the end

    def lost(
        self, error: PBConnectionLost, unsure: Iterable[Frame], unhandled: Iterable[Frame] = ()
    ) -> None:
        """The session is gone: every call ends, every reference is dead, everybody is told.

        Args:
            unsure: the frames of which nobody knows whether the peer has handled them.
            unhandled: those that it certainly has not; beside them, what stands in the outbox.
        """
        self.disconnected = True
        self.gone = str(error)
        unsent, self.outbox = self.outbox, []
        self.attachments.clear()
        self.exports.clear()
        self.imports.clear()
        self.caches.clear()
        self.streams.lost()
        self.answering.lost()
        self.outgoing.lost(error, [*unsent, *unhandled], unsure)
        line, self.line = self.line, None
        for function in line or ():
            self._call_waiting(function)
        self.watched.clear()
        for dead in list(self._when_dead or ()):
            self._tell_dead(dead, error)
        notifiers, self._notifiers = self._notifiers, []
        for callback, reference in notifiers:
            try:
                callback() if reference is None else callback(reference)
            except BaseException as fault:  # sys.exit() too: the others are to be told all the same
                self.runtime.report("a callback of notifyOnDisconnect failed", fault)
