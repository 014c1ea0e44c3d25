"""A session: what outlives its connections, and how it is resumed (protocol section 6).

`exchange.Exchange` is what goes over one connection. The shell says with `detach` that it is
gone; a client goes on with `reconnect` when it has another, a server with `take_over`. What ties
both together is in `window.py`, and at the end of `resuming.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Literal, Protocol

from .errors import ProtocolError
from .exchange import RECONNECT, WITHOUT_CLOSE, Exchange, cut_reason, seconds
from .frames import VERSION, Frame, check
from .resuming import REPLAY_SLICE, Asked, Message, Refusal, Why, asked_by, counts, is_name
from .runtime import Handle, Options, Runtime

__all__ = ["Door", "Message", "Session", "State"]

LONGEST_WINDOW = 3600.0  # seconds that a server may announce

ENDING = frozenset(
    {1003, 1007, 1009, 1012, 1013} | {4400, 4401, 4403, 4409, 4410, 4413, 4426, 4429, 4440}
)
"""Codes of a WebSocket's close that end the session too (protocol section 7)."""

HASTY = "a client that resumes waits for the version of the server"

State = Literal["new", "live", "detached", "ended"]


class Door(Protocol):
    """Where a server's sessions are found again (`parking.Parking` is the one)."""

    def admit(self, session: Session) -> tuple[str, str, float] | None:
        """The id, the secret and the window, in seconds, of a new session, if it has one."""

    def resume(self, session: Session, asked: Asked) -> Session | Refusal:
        """The session that the peer of the new *session* has *asked* for, taken over by it.

        Raises:
            ProtocolError: the counts cannot be.
        """

    def detached(self, session: Session) -> None:
        """*session* has no connection."""

    def grown(self, session: Session) -> None:
        """*session*, which has no connection, keeps more than before."""

    def greeted(self, session: Session) -> None:
        """Something came on the connection that took *session* over."""

    def ended(self, session: Session) -> None:
        """*session* is over: see `Session.why`."""


class Session(Exchange):
    """One side of one session.

    Args:
        runtime: see `runtime.Runtime`.
        options: see `runtime.Options`.
        wake: called when there is something to send, from any thread.
        is_server: whether this side answers the handshake, and publishes ``root``.
        software: what this side calls itself.
        opened: called with the session when the peer's ``version`` has come.
        door: where a server's sessions are found again; None: they end with their connection.
        refused: called with the options of the server's ``version`` when a client's session
            cannot be resumed: it has ended; what it returns is the session that goes on. None: the
            client will not resume it, and says so.
        changed: called with the new `state`: "detached", "live" once it is resumed, or "ended".
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_away_since",
        "_away_timer",
        "_changed",
        "_door",
        "_opened",
        "_refused",
        "_secret",
        "_stays",
        "_stuck_at",
        "detached",
        "id",
        "lasts",
        "parted",
        "refusal",
        "why",
    )

    def __init__(
        self,
        runtime: Runtime,
        options: Options,
        wake: Callable[[], None],
        *,
        is_server: bool,
        software: str,
        opened: Callable[[Session], None] | None = None,
        door: Door | None = None,
        refused: Callable[[Session, dict[str, Any]], Session | None] | None = None,
        changed: Callable[[State], None] | None = None,
    ) -> None:
        self._opened = opened
        self._door = door
        self._refused = refused
        self._changed = changed
        self.detached = False
        """Whether there is no connection, or none on which the session is resumed yet."""
        self.parted: tuple[int, str] | None = None
        """The code and reason to close a connection with that this side has given up."""
        self.why: Why = "ended"
        self.lasts: float = 0
        """Seconds that the session outlives a connection; 0: it ends with it."""
        self.id = ""
        self.refusal: Refusal | None = None  # of the session that the client asked for
        self._secret = ""  # a client's
        self._away_timer: Handle | None = None
        self._away_since = 0.0
        self._stuck_at = -1  # what was acknowledged when this was resumed, if more was kept
        self._stays = True  # a server's: as far as the client says, which may not want to resume
        self._asked = False  # the client asked to resume a session, and nothing came since
        super().__init__(runtime, options, wake, is_server=is_server, software=software)

    # ------------------------------------------------------------ the handshake

    def _begin(self, frames: list[Frame], data: bytes) -> bool:
        """Look at the first message of a connection; True if nothing else is to be done with it."""
        if self._asked:
            self._come_behind_version(check(frames[0]))
            return False
        super()._begin(frames, data)
        frame = frames[0]
        name = frame[0]
        said = frame[2] if name == "version" and len(frame) > 2 else {}
        if frame[1] != VERSION:
            return False
        self._stays = said.get("window") != 0
        if self.is_server and "resume" in said:
            if len(frames) > 1:
                raise ProtocolError(HASTY)
            self.successor = self._find(asked_by(said["resume"]))
            if self.successor is not None:
                self._end(f"the session {self.successor.id} goes on", 4409)
            else:
                self._first = self._asked = True
        elif name == "version" and self.detached:
            if said.get("resumed") is not True:
                self._end_refused(said)
                self.successor = self._refused(self, said) if self._refused is not None else None
                if self.successor is not None:
                    self.successor.receive(data)
                return True
            self._check(frames)
            self._go_on(said)
            del frames[0]
            self.liveness.heard = 1
            return not frames
        return self.successor is not None

    def _come_behind_version(self, name: str) -> None:
        """The first message comes behind the ``version`` with which the client asked to resume.

        What it sends before it knows the answer may be meant for a session that is no more; only
        its goodbye does not have to wait.
        """
        if self._greeting is not None and name != "close":
            raise ProtocolError(HASTY)
        self._first = self._asked = False
        if self._door is not None and self.id:
            self._door.greeted(self)

    def _open(self) -> None:
        if self._opened is not None:
            self._opened(self)

    def _heed(self, said: dict[str, Any]) -> None:
        """What a server says, of resuming too."""
        super()._heed(said)
        window = seconds(said, "window")
        named = is_name(said.get("session")) and is_name(said.get("secret"))
        if named and window > 0 and self._refused is not None:
            self.lasts = min(window, LONGEST_WINDOW)
            self.id, self._secret = said["session"], said["secret"]

    def _said_of_session(self, resumes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        if not self.is_server:
            return resumes or ({"window": 0} if self._refused is None else {})
        said = {**(resumes or self._new_session()), "window": self.lasts}
        if self.id:
            said["session"] = self.id
        return said

    def _new_session(self) -> dict[str, Any]:
        """What a server says of a session that begins, in the place of another or not."""
        said: dict[str, Any] = {"resumed": False}
        if self.refusal is not None:
            said["why"] = self.refusal.why
            if self.refusal.received is not None:
                said["received"] = self.refusal.received
        admitted = self._door.admit(self) if self._door is not None and self._stays else None
        if admitted is not None:
            self.id, said["secret"], self.lasts = admitted
        return said

    # --------------------------------------------------------------- resuming

    @property
    def state(self) -> State:
        """Where in its life the session is (section 6)."""
        if self.ended:
            return "ended"
        if self.detached:
            return "detached"
        return "live" if self.liveness.heard else "new"

    @property
    def left(self) -> float:
        """The seconds for which it can still be resumed, if it has no connection."""
        return self._away_since + self.lasts - self.runtime.clock()

    @property
    def again(self) -> bool:
        """Whether more is to be sent of what a lost connection did not deliver."""
        return not self.window.flowing and not self.ended and not self.detached

    @property
    def kept_bytes(self) -> int:
        """How much is kept for the peer."""
        return self.window.kept_bytes

    def may_resume(self) -> bool:
        """Whether the application lets the client of this session come back."""
        may_resume = self.broker.may_resume
        try:
            return may_resume is None or bool(may_resume())
        except Exception as error:
            self.runtime.report("may_resume failed", error)
            return False

    def is_at_rest(self) -> bool:
        """Whether every call that has come has got control, or waits for an answer by name."""
        return not self.broker.incoming.unstarted() and not self.receipts.repeats

    def detach(self, why: str, code: int = 1006) -> None:
        """The connection is gone; the session stays for its window, if it has one.

        Args:
            code: with which the WebSocket was closed; some end the session (section 7).
        """
        if code in ENDING and code not in RECONNECT:
            self.come_back = False
        lasts = self.lasts and not self.broker.login_due
        if self.ended or not lasts or code in ENDING or self.closing is not None:
            self.end(why, code)
            return
        first = not self.detached
        self._lose()
        if not first:  # of a connection on which nothing was resumed
            return
        # A message that no connection survives must not be sent again for ever: as long as
        # nothing of what is kept arrives, the window of the first loss goes on.
        now = self.runtime.clock()
        if self.window.acked > self._stuck_at:
            self._away_since = now
        self._away_timer = self.runtime.call_later(max(self.left, 0), self._expire)
        self._wake()  # what stands in the outbox is to be numbered
        if self._door is not None:
            self._door.detached(self)
        if self._changed is not None and not self.ended:
            self._changed("detached")

    def _lose(self) -> None:
        """Nothing comes or goes on the connection any more."""
        self._stop_timers()
        self.liveness.lose()
        self._greeting, self._asked = None, False
        if not self.detached:
            self.detached = self.broker.away = True
            self.window.lose()

    def reconnect(self) -> None:
        """A client has a connection again: ask the server to go on on it."""
        self._keep_outbox()
        if self.ended:
            return
        self._first = True
        asked = {
            "session": self.id,
            "secret": self._secret,
            "received": self.received,
            "sent": self.sent,
        }
        self._greeting = self._version({"resume": asked})
        self.liveness.expect()
        self._wake()

    def follow(self, *, greet: bool = False) -> Session:
        """A new session of this client, whose own has ended.

        Args:
            greet: whether it has to say its version; else that of `reconnect` was it.
        """
        new = Session(
            self.runtime,
            self.options,
            self._wake,
            is_server=False,
            software=self.software,
            opened=self._opened,
            refused=self._refused,
            changed=self._changed,
        )
        if not greet:
            new._greeting = None
        return new

    def take_over(self, asked: Asked, secret: str) -> bool:
        """The client has *asked* on a new connection, to which this session goes over.

        Whatever the old connection still delivers must not come here any more.

        Returns:
            False if something is missing that the client has not got.

        Raises:
            ProtocolError: the counts cannot be; the session has ended.
        """
        self._lose()
        self._keep_outbox()
        if self.ended:
            return False
        try:
            if not self._resume(asked.received, asked.sent):
                return False
        except ProtocolError as error:
            self.end(str(error), error.code)
            raise
        self._asked = self._first = True
        self._greeting = self._version(
            {
                "secret": secret,
                "resumed": True,
                "received": self.received,
                "sent": self.sent,
            }
        )
        self._wake()
        return True

    def _find(self, asked: Asked) -> Session | None:
        found = Refusal("unknown") if self._door is None else self._door.resume(self, asked)
        if isinstance(found, Session):
            return found
        self.refusal = found
        return None

    def _go_on(self, said: dict[str, Any]) -> None:
        """The server has resumed this client's session."""
        received, sent = counts(said)
        if received is None or sent is None or not is_name(said.get("secret")):
            raise ProtocolError("the version of a session that is resumed lacks its counts")
        self._secret = said["secret"]
        if not self._resume(received, sent):
            raise ProtocolError(f"{received} frames came, {self.window.acked} were acknowledged")
        self._wake()

    def _resume(self, received: int, sent: int) -> bool:
        """Go on behind what the peer has *received*; it has *sent* so many.

        Returns:
            False if the peer lacks frames that it has acknowledged.

        Raises:
            ProtocolError: it has received what was never written, or sent less than has come.
        """
        window, receipts = self.window, self.receipts
        if received > window.reached or sent < receipts.received:
            raise ProtocolError(
                f"resuming: {received} frames cannot have come of {window.reached}, "
                f"or {receipts.received} of {sent}"
            )
        if received < window.acked:
            return False
        self._stop_timers()
        if self._away_timer is not None:
            self._away_timer.cancel()
            self._away_timer = None
        self.detached = self.broker.away = False
        window.resume(received, sent)
        self._stuck_at = window.acked if window.kept else -1
        receipts.resume(self.broker.incoming.handled(receipts.received))
        self.liveness.begin()
        if not self.broker.has_window():
            window.check()
        self.broker.let_go()
        if self._changed is not None:
            self._changed("live")
        return True

    def _keep_outbox(self) -> None:
        """Number and keep what was made meanwhile, to be sent behind what is sent again."""
        frames = self.broker.take_outbox()
        if not frames:
            return
        greeting, self._greeting = self._greeting, None
        kept = len(self.window.kept)
        if self.broker.attachments:
            self._encode_apart(frames, [])
        else:
            self._encode_batch(frames, [])
        self._greeting = greeting
        if self.detached:
            self.window.shorten(kept)
            if self._door is not None:
                self._door.grown(self)
        if not self.ended and not self.broker.has_window():
            self.window.check()

    def _messages_again(self) -> list[Message]:
        """As `messages`, while there is no connection, or what it needs first is on its way."""
        out: list[Message] = []
        if not self.ended:
            self._keep_outbox()
        if self.ended:
            return out
        closing = self.closing
        if closing is not None and self.detached:
            self._greeting = None
            self.why = "overflow" if closing[0] == 4440 else self.why
        self._flush_greeting(out)
        if not self.detached:
            out += self.window.again(REPLAY_SLICE if closing is None else inf)
            self._add_uncounted(out)
        if closing is not None:
            self._part(out, *closing)
        return out

    # ---------------------------------------------------------------- the end

    def overflow(self) -> None:
        self.why = "overflow"
        super().overflow()

    def _part(self, out: list[Message], code: int, reason: str) -> None:
        """This side closes: the session ends, or a connection that is dead."""
        if code in WITHOUT_CLOSE and self.lasts:
            self.come_back = RECONNECT.get(code, False)
            self.parted, self.closing = (code, reason), None
            self.detach(reason, code)
        else:
            super()._part(out, code, reason)

    def _expire(self) -> None:
        self.why = "expired"
        self.end(f"there was no connection for {self.lasts:g} s")

    def _end_refused(self, said: dict[str, Any]) -> None:
        """The server has this client's session no more."""
        why = said.get("why")
        why = why if type(why) is str else "unknown"
        self.closing = self.closing or (1006, "")
        self._end(f"it could not be resumed: {cut_reason(why)}", 1006, counts(said)[0])

    def _end(self, why: str, code: int, received: int | None = None) -> None:
        self.ended, self.detached = True, False
        if self._away_timer is not None:
            self._away_timer.cancel()
            self._away_timer = None
        self._secret = ""
        if self._door is not None and self.id:
            self._door.ended(self)
        super()._end(why, code, received)
        if self._changed is not None:
            self._changed("ended")
