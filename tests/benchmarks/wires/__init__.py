"""What a bare client of each system says: one module per wire.

Frames are encoded beforehand as far as they can be and masked with zeros, which costs the
server what any mask does. Answers are counted by searching for their marks, not parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Wire
from .capnweb import CapnWeb, CapnWebHandOut, CapnWebRing
from .pbweb import (
    PBWeb,
    PBWebBytes,
    PBWebHandOut,
    PBWebHeld,
    PBWebListener,
    PBWebObserver,
    PBWebRing,
)
from .raw import Raw, RawBytes, RawListener
from .socketio import SocketIO, SocketIOListener
from .twisted import Twisted, TwistedHandOut, TwistedRing

__all__ = ["WIRES", "Wire"]

WIRES: dict[str, Callable[[Any], Wire]] = {
    "raw": Raw,
    "raw bytes": RawBytes,
    "raw listener": RawListener,
    "pbweb": PBWeb,
    "pbweb bytes": PBWebBytes,
    "pbweb hand out": PBWebHandOut,
    "pbweb held": PBWebHeld,
    "pbweb listener": PBWebListener,
    "pbweb observer": PBWebObserver,
    "pbweb ring": PBWebRing,
    "capnweb": CapnWeb,
    "capnweb hand out": CapnWebHandOut,
    "capnweb ring": CapnWebRing,
    "socketio": SocketIO,
    "socketio listener": SocketIOListener,
    "twisted": Twisted,
    "twisted hand out": TwistedHandOut,
    "twisted ring": TwistedRing,
}
"""Makes the wire of one connection from the options of the load."""
