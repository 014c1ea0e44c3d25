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
    UnauthorizedLogin,
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
from .methods import revocable
from .promises import RemotePromise, remote
from .references import RemoteReference
from .streams import RemoteStream
from .version import __version__

if _typing.TYPE_CHECKING:
    from . import checkers
    from .client import ConnectFailed, connect
    from .copyables import copyable
    from .cred import (
        ANONYMOUS,
        Anonymous,
        Avatar,
        Credentials,
        ExpiringAvatarId,
        IPerspective,
        Portal,
        Realm,
        Token,
        UpgradeIdentity,
        UsernamePassword,
    )
    from .groups import Group
    from .paging import (
        CallbackPageCollector,
        FilePager,
        PageCollector,
        Pager,
        StringPager,
        getAllPages,
    )
    from .threads import in_loop, in_thread

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "Avatar",
    "Broker",
    "Cacheable",
    "CallbackPageCollector",
    "CancelledError",
    "ConnectFailed",
    "Connection",
    "Copyable",
    "Credentials",
    "DeadReferenceError",
    "Endpoint",
    "Error",
    "ExpiringAvatarId",
    "FilePager",
    "Group",
    "IPerspective",
    "InsecureJelly",
    "LimitExceeded",
    "Limits",
    "LiveCopy",
    "NoSuchMethod",
    "PBConnectionLost",
    "PageCollector",
    "Pager",
    "Portal",
    "ProtocolError",
    "Realm",
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
    "StringPager",
    "Token",
    "UnauthorizedLogin",
    "UpgradeIdentity",
    "UsernamePassword",
    "ViewPoint",
    "Viewable",
    "WrongArguments",
    "__version__",
    "checkers",
    "connect",
    "copyable",
    "endpoint",
    "getAllPages",
    "in_loop",
    "in_thread",
    "live",
    "remote",
    "revocable",
    "setUnjellyableFactoryForClass",
    "setUnjellyableForClass",
]


if not _typing.TYPE_CHECKING:  # where it would hide what is missing
    _LATER = {
        "ConnectFailed": "client",
        "Group": "groups",
        "connect": "client",
        "copyable": "copyables",
        "ANONYMOUS": "cred",
        "Anonymous": "cred",
        "Avatar": "cred",
        "Credentials": "cred",
        "ExpiringAvatarId": "cred",
        "IPerspective": "cred",
        "Portal": "cred",
        "Realm": "cred",
        "Token": "cred",
        "UpgradeIdentity": "cred",
        "UsernamePassword": "cred",
        "CallbackPageCollector": "paging",
        "FilePager": "paging",
        "PageCollector": "paging",
        "Pager": "paging",
        "StringPager": "paging",
        "getAllPages": "paging",
        "in_loop": "threads",
        "in_thread": "threads",
    }

    def __getattr__(name: str) -> _typing.Any:
        """What not every program needs comes when it is asked for: half of an import's time."""
        from importlib import import_module  # noqa: PLC0415

        if name == "checkers":
            return import_module(f"{__name__}.checkers")
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
