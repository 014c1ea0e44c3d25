"""What a call can be made on: a reference, a promise, or a part of what a promise will bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .broker import Broker
    from .promises import RemotePromise

__all__ = ["Target"]


class Target:
    """Has the ways to call: short, long, and without an answer."""

    __slots__ = ()

    broker: Broker
    perspective: Any

    def callRemote(self, _name: str, /, *args: Any, **kw: Any) -> RemotePromise:
        """Call ``remote_NAME`` of the object; the promise is of what it returns.

        Called on a promise it is sent at once and waits at the other side. The arguments are
        encoded at once, or when the peer has room for the call again.

        Raises:
            RuntimeError: this is another thread than its event loop's: see `in_loop`.

        Raises (when awaited):
            DeadReferenceError: the reference is dead.
            PBConnectionLost: the session went before the answer came.
            InsecureJelly, LimitExceeded: an argument cannot be sent.
            Error: what the method raised.
        """
        return self.broker.outgoing.call(self, _name, args, kw)

    def call(
        self,
        name: str,
        args: Sequence[Any] = (),
        kw: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> RemotePromise:
        """The long form of `callRemote`.

        Args:
            timeout: seconds after which the call is cancelled and ``TimeoutError`` raised.
        """
        return self.broker.outgoing.call(self, name, tuple(args), kw or {}, timeout)

    def callRemoteOnly(self, _name: str, /, *args: Any, **kw: Any) -> None:
        """Call ``remote_NAME`` without an answer: what it returns or raises is not sent.

        Raises:
            DeadReferenceError: the reference is dead.
            InsecureJelly, LimitExceeded: an argument cannot be sent.
            RuntimeError: this is another thread than its event loop's.
        """
        self.broker.outgoing.call_only(self, _name, args, kw)
