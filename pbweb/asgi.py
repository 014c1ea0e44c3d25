"""The endpoint: roots for sessions, the check of the opening, and the ASGI application.

Mount it into any Starlette, FastAPI or other ASGI application: it answers the WebSocket
and serves the JavaScript client. ``pbweb serve`` feeds its sessions straight from the
WebSocket instead (`pbweb_server.protocol`); both ask `Endpoint.refusal` first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .admission import Admission
from .connection import Connection, Link
from .draining import GOING_AWAY, before_the_server, stop
from .flavors import REGISTRY, Referenceable, Registry, Root
from .frames import PROTOCOL, SOFTWARE
from .limits import DEFAULT, Limits
from .liveness import DEAD
from .logs import guard_uvicorn_logs
from .opening import Gate, address_of, headers_of, network_of
from .parking import Parking, Principal
from .runtime import Options
from .session import Message, Session
from .upgrade import Authenticate, Refused, identify
from .watchdog import watchdog

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

__all__ = ["Endpoint", "endpoint"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Endpoint:
    """Where peers open sessions; an ASGI application.

    Args:
        root: a `Root` or the class of one, which all sessions share (its ``rootObject`` may
            give each its own), or a function that makes one for each session.
        names: further objects that every peer may reach by name.
        authenticate: called, after the check of the origin, with the request of each upgrade
            (Starlette's ``HTTPConnection``: ``headers``, ``cookies``, ``url``, ``client``).
            What it returns, or its awaitable, is the session's `Broker.identity`; when it
            raises Starlette's ``HTTPException`` the upgrade is refused with that status. It
            has `Limits.first_frame` seconds.
        limits: what is accepted from a peer.
        origins: which pages may connect, as ``scheme://host[:port]``, beside those of
            the same host; ``"*"`` for all.
        require_origin: refuse programs that say no ``Origin``; browsers always do.
        hosts: which ``Host`` headers are answered, without port; ``"*"`` for all. By default, at
            a loopback address the names of this machine for itself, and all at any other.
        url_secrets: take URLs with a token, a password or the like in their query.
        registry: which exception classes are known; by default the application's one.
        mask_errors: put the id of a log entry in the place of unexpected errors' text.
        unsafe_tracebacks: send tracebacks to the peer.

    Raises:
        TypeError: *root* or one of *names* is nothing that can be called remotely,
            *authenticate* nothing that can be called, or *hosts* or *origins* one text.
        ValueError: one of *origins* is none.
    """

    def __init__(
        self,
        root: Root | type[Root] | Callable[[], Root],
        *,
        names: Mapping[str, Any] | None = None,
        authenticate: Authenticate | None = None,
        limits: Limits = DEFAULT,
        origins: Iterable[str] = (),
        require_origin: bool = False,
        hosts: Iterable[str] | None = None,
        url_secrets: bool = False,
        registry: Registry = REGISTRY,
        mask_errors: bool = False,
        unsafe_tracebacks: bool = False,
        software: str | None = None,
    ) -> None:
        if not isinstance(root, Root) and not callable(root):
            raise TypeError(
                f"a root is an instance of pb.Root, its class or a factory, not {root!r}"
            )
        if isinstance(root, type) and not issubclass(root, Root):
            raise TypeError(f"the class {root.__qualname__} has to inherit from pb.Root")
        if authenticate is not None and not callable(authenticate):
            raise TypeError(f"authenticate has to be a function, not {authenticate!r}")
        self.root: Root | Callable[[], Root] = root() if isinstance(root, type) else root
        self.names = dict(names or {})
        self.authenticate = authenticate
        self.admission = Admission(limits, time.monotonic)
        """Counts the connections."""
        self.gate = Gate(
            hosts=hosts,
            origins=origins,
            require_origin=require_origin,
            url_secrets=url_secrets,
            admission=self.admission,
        )
        """Refuses upgrades, `Gate.refused` counts them."""
        self.options = Options(
            limits, registry, mask_errors=mask_errors, unsafe_tracebacks=unsafe_tracebacks
        )
        self.software = software or SOFTWARE
        self.connections: set[Connection] = set()
        """The connections that are open."""
        self.parking = Parking(limits, time.monotonic, self._moved)
        """The sessions that can be resumed, `Parking.statistics` counts them."""
        self.stopping = False
        """Whether nobody is let in any more, since the server stops."""
        guard_uvicorn_logs()

    @property
    def limits(self) -> Limits:
        """What is accepted from a peer."""
        return self.options.limits

    # ------------------------------------------------------------- sessions

    def connect(self, link: Link | None = None, principal: Principal | None = None) -> Connection:
        """A connection for a peer whose opening was not refused.

        Args:
            principal: who that is, for the session to be resumed by nobody else.
        """
        connection = Connection(
            self.options,
            is_server=True,
            software=self.software,
            opened=self._opened,
            link=link,
            door=self.parking,
        )
        if principal is not None:
            connection.broker.identity = principal.identity
            connection.broker.network = network_of(principal.address)
            self.parking.expect(connection.session, principal)
        connection.watchdog = watchdog(self.limits.blocked)
        self.connections.add(connection)
        return connection

    def forget(self, connection: Connection) -> None:
        """A link of *connection* is gone."""
        if not connection.is_carried:
            self.connections.discard(connection)
            self.parking.forget(connection.session)

    def _moved(self, session: Session, young: Session) -> None:
        """The client of *session* is back on the connection of the *young* one."""
        connection = cast(Connection, session.runtime)
        other = cast(Connection, young.runtime)
        self.connections.discard(other)
        self.connections.add(connection)
        connection.take(other)

    def _opened(self, session: Session) -> None:
        """Publish the root for a new session. A root that cannot be made ends it with 1011."""
        root = self.root
        maker: Any = root if isinstance(root, Root) else root()
        if not isinstance(maker, Root):
            raise TypeError(f"the factory of the root returned {maker!r}, which is no pb.Root")
        made = maker.rootObject(session.broker)
        if not isinstance(made, Referenceable):
            raise TypeError(f"rootObject() returned {made!r}, which is no pb.Referenceable")
        session.broker.setNameForLocal("root", made)
        for name, value in self.names.items():
            session.broker.setNameForLocal(name, value)

    # ---------------------------------------------------------- the opening

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The HTTP status and the reason with which an upgrade is refused, or None; it is logged.

        A page of another site could open a WebSocket with the cookies of its visitor, so the
        origin is checked before the upgrade.
        """
        if self.stopping:
            return 503, GOING_AWAY
        return self.gate.refusal(scope)

    async def identify(self, scope: Scope) -> Any:
        """Who asks for the upgrade of *scope*; None where nobody is to be authenticated.

        Raises:
            Refused: see `upgrade.identify`; or the server has begun to stop meanwhile.
        """
        if self.authenticate is None:
            return None
        identity = await identify(self.authenticate, scope, self.limits.first_frame)
        if self.stopping:
            raise Refused(503, GOING_AWAY)
        return identity

    async def drain(self, seconds: float | None = None) -> None:
        """Stop in order: end all sessions, those too that have no connection, and let nobody in.

        Upgrades are refused with 503 and calls with `PBConnectionLost` (``not_executed``), calls in
        progress are answered, and clients are told when to come back (1012, protocol section 6).
        Afterwards the endpoint is of no more use. `pbweb serve` does it by itself.

        Args:
            seconds: that calls in progress have, by default `Limits.drain`; then they are
                cancelled.
        """
        limits = self.limits
        await stop((self,), limits.drain if seconds is None else seconds, limits.grace)

    def close(self) -> None:
        """The application stops: sessions without a connection end, and no more are kept.

        So logouts and the callbacks of `notifyOnDisconnect` have run when it ends. An endpoint
        that is the whole application does it by itself, and so does `or_else`; where it is
        mounted, call this at the end of the application's lifespan, or use `lifespan`.
        """
        self.parking.close()

    def lifespan(self, _application: Any = None) -> AbstractAsyncContextManager[None]:
        """What is around the life of an application in which this is mounted.

        ``Starlette(routes=…, lifespan=endpoint.lifespan)``, or ``async with endpoint.lifespan():``
        in a lifespan of one's own. At SIGTERM and SIGINT the endpoint is drained before the server
        hears of it, where that handles signals as uvicorn does; a second signal goes through at
        once. At the end the endpoint is drained in any case, as far as the server has left
        connections.
        """
        return before_the_server(self)

    # ---------------------------------------------------------------- ASGI

    def routes(self, path: str = "/pb") -> list[BaseRoute]:
        """Routes for a Starlette or FastAPI application, for ``Starlette(routes=[…])``.

        ``application.mount(path, endpoint)`` answers WebSockets at ``path/`` only, with the
        slash at the end, since Starlette redirects nothing but HTTP; these answer at both.
        In FastAPI: ``application.router.routes.extend(endpoint.routes("/pb"))``.
        """
        # Clients, which import this module too, need no Starlette.
        from starlette.routing import Mount, WebSocketRoute  # noqa: PLC0415

        return [WebSocketRoute(path, self), Mount(path, self)]

    def or_else(self, application: Application, path: str = "/pb") -> Application:
        """An application that is this endpoint at *path* and beneath, and *application* elsewhere.

        For frameworks that mount nothing, Django and Quart among them. What the server says of
        its start and end (the lifespan) goes to *application*; at the end the endpoint is closed.

        Raises:
            ValueError: *path* does not begin with a slash, or would leave nothing over.
        """
        own = path.rstrip("/")
        if not own.startswith("/"):
            raise ValueError(f"a path for an endpoint beside others is like '/pb', not {path!r}")

        async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await application(scope, self._until_shutdown(receive), send)
                return
            asked = _path_in_application(scope)
            chosen = self if asked == own or asked.startswith(f"{own}/") else application
            await chosen(scope, receive, send)

        return dispatch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a WebSocket, or a request for the JavaScript client's files."""
        kind = scope["type"]
        if kind == "websocket":
            await self._websocket(scope, receive, send)
        elif kind == "http":
            await self._file(scope, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        refused = self.refusal(scope)
        if refused is not None:
            await _refuse(scope, send, Refused(*refused))
            return
        network = network_of(address_of(scope))
        self.admission.enter(network)
        link = _AsgiLink(send, self.limits)
        try:
            identity = await self.identify(scope)
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
            link.connection = self.connect(link, principal(identity, scope))
            await link.pump(receive)
        except Refused as refusal:
            await _refuse(scope, send, refusal)
        finally:
            self.admission.leave(network)
            if link.connection is not None:
                self.forget(link.connection)

    def _until_shutdown(self, receive: Receive) -> Receive:
        """As *receive*, with which a server says that it starts and stops; then `drain`."""

        async def received() -> MutableMapping[str, Any]:
            event = await receive()
            if event["type"] == "lifespan.shutdown":
                await self.drain()
            return event

        return received

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        receive = self._until_shutdown(receive)
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return

    async def _file(self, scope: Scope, send: Send) -> None:
        refused = self.gate.host_refusal(scope)
        # Whatever a mount did with its prefix (Starlette leaves it, others take it off, Litestar
        # adds a slash at the end): the last part names the file.
        found = client_files().get(scope["path"].rstrip("/").rpartition("/")[2])
        kind = "text/plain; charset=utf-8"
        if refused is not None:
            status, body = refused[0], f"{refused[1]}\n".encode()
        elif found is None or scope["method"] not in ("GET", "HEAD"):
            body = b"pbweb: connect here by WebSocket, or load pbweb.js\n"
            status = 404 if found is None else 405
        else:
            status, (kind, body) = 200, found
        headers = [
            (b"content-type", kind.encode()),
            (b"cache-control", b"no-cache"),
            # Any page may load the client, which is no secret; `origins` says who may connect.
            (b"access-control-allow-origin", b"*"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-length", str(len(body)).encode()),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})


endpoint = Endpoint


@cache
def client_files() -> dict[str, tuple[str, bytes]]:
    """The JavaScript client's modules by name: their type and content.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "_client_js", here.parent / "client_js" / "src"):
        modules = list(folder.glob("*.js"))
        if modules:
            kind = "text/javascript; charset=utf-8"
            return {path.name: (kind, path.read_bytes()) for path in modules}
    raise FileNotFoundError("the JavaScript client is missing from this installation of pbweb")


class _AsgiLink:
    """A link over the WebSocket of an ASGI server: one task reads, one writes."""

    def __init__(self, send: Send, limits: Limits) -> None:
        self._send = send
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._out: list[Message] = []
        self._refused = False  # the connection was told to wait
        self._closing: tuple[int, str] | None = None
        self._idle: asyncio.Future[None] | None = None  # the writer waits for this
        self._writer: asyncio.Task[None] | None = None
        self._sending_since: float | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None
        self.connection: Connection | None = None

    def writable(self) -> bool:
        self._refused = bool(self._out)
        return not self._refused

    def write(self, messages: list[Message]) -> None:
        self._out += messages
        self._wake()

    def carry(self, connection: Connection) -> None:
        self.connection = connection

    def close(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = (code, reason)
            self._wake()
            if self._writer is not None:
                grace = DEAD if code == 4408 else self._limits.grace
                self._grace = self._loop.call_later(grace, self._writer.cancel)

    def unsent(self) -> int:
        return 0  # only the server knows

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.cancel()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def pump(self, receive: Receive) -> None:
        """Carry messages both ways until one side ends it."""
        reader = asyncio.ensure_future(self._read(receive))
        writer = self._writer = asyncio.ensure_future(self._write())
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer):
                task.cancel()
            for timer in (self._grace, self._stall):
                if timer is not None:
                    timer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            self._carried().lost("the connection was lost", 1006, self)

    def _carried(self) -> Connection:
        assert self.connection is not None
        return self.connection

    async def _read(self, receive: Receive) -> None:
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                code, reason = event.get("code", 1006), event.get("reason") or ""
                self._carried().parted(f"the peer closed with {code} {reason}", code, self)
                return
            if self._closing is not None:  # what comes now is nobody's
                continue
            text, connection = event.get("text"), self._carried()
            if text is None:
                connection.receive([(event.get("bytes") or b"", True)])
            else:
                connection.receive([(text.encode("utf-8", "surrogatepass"), False)])

    async def _write(self) -> None:
        while True:
            while not self._out and self._closing is None:
                self._idle = self._loop.create_future()
                await self._idle
            while self._out:
                messages, self._out = self._out, []
                for data, binary in messages:
                    await self._send_in_time(data, binary)
                if self._refused and self._closing is None:
                    self._carried().flush()
            if self._closing is not None:
                code, reason = self._closing
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                return

    async def _send_in_time(self, data: bytes, binary: bool) -> None:
        """Send one message; a timer that many sends share looks whether one does not move."""
        self._sending_since = self._loop.time()
        if self._stall is None:
            self._stall = self._loop.call_later(self._limits.stall, self._check_stall)
        try:
            await self._send_one(data, binary)
        finally:
            self._sending_since = None

    def _check_stall(self) -> None:
        self._stall = None
        if self._sending_since is None:
            return
        left = self._sending_since + self._limits.stall - self._loop.time()
        if left > 0:
            self._stall = self._loop.call_later(left, self._check_stall)
            return
        self._carried().failed("a write did not move", 4440, self)
        if self._writer is not None:
            self._writer.cancel()

    async def _send_one(self, data: bytes, binary: bool) -> None:
        if binary:
            await self._send({"type": "websocket.send", "bytes": data})
        else:
            await self._send({"type": "websocket.send", "text": data.decode()})


async def _refuse(scope: Scope, send: Send, refused: Refused) -> None:
    """Answer with an HTTP status where the server can, else by closing before the upgrade (403)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": refused.reason[:100]})
        return
    given = {"content-type": "text/plain; charset=utf-8", **refused.headers}
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()]
    await send(
        {"type": "websocket.http.response.start", "status": refused.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": f"{refused.reason}\n".encode()})


def _path_in_application(scope: Scope) -> str:
    """The path without the prefix that the server was told of; "" in a lifespan's scope."""
    path: str = scope.get("path", "")
    prefix: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(prefix) if f"{path}/".startswith(f"{prefix}/") else path


def principal(identity: Any, scope: Scope) -> Principal:
    """Who may resume the session that the request of *scope* begins: nobody else, from nowhere."""
    origin = next(iter(headers_of(scope, "origin")), None)
    return Principal(identity, origin, address_of(scope))
