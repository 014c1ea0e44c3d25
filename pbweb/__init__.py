"""pbweb: Perspective Broker for the web. Live objects, called from browsers and from Python."""

import typing as _typing

from .asgi import Endpoint, endpoint
from .broker import Broker
from .caching import Cacheable, RemoteCache, RemoteCacheObserver
from .connection import Connection
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
    Viewable,
    ViewPoint,
    setUnjellyableFactoryForClass,
    setUnjellyableForClass,
)
from .limits import Limits
from .live import live
from .live_copies import LiveCopy
from .promises import RemotePromise, remote
from .references import RemoteReference
from .streams import RemoteStream
from .version import __version__

if _typing.TYPE_CHECKING:
    from .client import ConnectFailed, connect
    from .copyables import copyable
    from .groups import Group

__all__ = [
    "Broker",
    "Cacheable",
    "CancelledError",
    "ConnectFailed",
    "Connection",
    "Copyable",
    "DeadReferenceError",
    "Endpoint",
    "Error",
    "Group",
    "InsecureJelly",
    "LimitExceeded",
    "Limits",
    "LiveCopy",
    "NoSuchMethod",
    "PBConnectionLost",
    "ProtocolError",
    "Referenceable",
    "Registry",
    "RemoteCache",
    "RemoteCacheObserver",
    "RemoteCopy",
    "RemoteError",
    "RemotePromise",
    "RemoteReference",
    "RemoteStream",
    "Root",
    "ViewPoint",
    "Viewable",
    "WrongArguments",
    "__version__",
    "connect",
    "copyable",
    "endpoint",
    "live",
    "remote",
    "setUnjellyableFactoryForClass",
    "setUnjellyableForClass",
]


if not _typing.TYPE_CHECKING:  # where it would hide what is missing
    _LATER = {
        "ConnectFailed": "client",
        "Group": "groups",
        "connect": "client",
        "copyable": "copyables",
    }

    def __getattr__(name: str) -> _typing.Any:
        """What not every program needs comes when it is asked for: half of an import's time."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
