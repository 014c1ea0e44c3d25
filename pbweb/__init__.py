"""pbweb: Perspective Broker for the web. Live objects, called from browsers and from Python."""

import typing as _typing

from .asgi import Endpoint, endpoint
from .broker import Broker
from .connection import Connection
from .copyables import copyable
from .errors import (
    CancelledError,
    DeadReferenceError,
    Error,
    InsecureJelly,
    LimitExceeded,
    NoSuchMethod,
    PBConnectionLost,
    ProtocolError,
    RemoteError,
    WrongArguments,
)
from .flavors import (
    Copyable,
    Referenceable,
    Registry,
    RemoteCopy,
    Root,
    setUnjellyableFactoryForClass,
    setUnjellyableForClass,
)
from .limits import Limits
from .promises import RemotePromise, remote
from .references import RemoteReference
from .version import __version__

if _typing.TYPE_CHECKING:
    from .client import ConnectFailed, connect

__all__ = [
    "Broker",
    "CancelledError",
    "ConnectFailed",
    "Connection",
    "Copyable",
    "DeadReferenceError",
    "Endpoint",
    "Error",
    "InsecureJelly",
    "LimitExceeded",
    "Limits",
    "NoSuchMethod",
    "PBConnectionLost",
    "ProtocolError",
    "Referenceable",
    "Registry",
    "RemoteCopy",
    "RemoteError",
    "RemotePromise",
    "RemoteReference",
    "Root",
    "WrongArguments",
    "__version__",
    "connect",
    "copyable",
    "endpoint",
    "remote",
    "setUnjellyableFactoryForClass",
    "setUnjellyableForClass",
]


if not _typing.TYPE_CHECKING:  # where it would hide what is missing

    def __getattr__(name: str) -> _typing.Any:
        """The client comes when it is asked for: half of an import's time is its WebSocket's."""
        if name not in ("ConnectFailed", "connect"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import client  # noqa: PLC0415

        return getattr(client, name)
