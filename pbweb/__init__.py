"""pbweb: Perspective Broker for the web. Live objects, called from browsers and from Python."""

from .asgi import Endpoint, endpoint
from .broker import Broker
from .client import ConnectFailed, connect
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
from .flavors import Referenceable, Registry, Root, setUnjellyableForClass
from .limits import Limits
from .promises import RemotePromise, remote
from .references import RemoteReference
from .version import __version__

__all__ = [
    "Broker",
    "CancelledError",
    "ConnectFailed",
    "Connection",
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
    "RemoteError",
    "RemotePromise",
    "RemoteReference",
    "Root",
    "WrongArguments",
    "__version__",
    "connect",
    "endpoint",
    "remote",
    "setUnjellyableForClass",
]
