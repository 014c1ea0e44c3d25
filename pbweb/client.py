"""`connect`: a session with a server, over a WebSocket."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextvars import copy_context
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame
from websockets.protocol import Event
from websockets.typing import Origin, Subprotocol

from .connection import Connection
from .errors import Error, PBConnectionLost
from .flavors import REGISTRY, Registry
from .frames import PROTOCOL, SOFTWARE
from .limits import DEFAULT, Limits
from .logs import logger, masked, printable, wire_logger
from .references import RemoteReference
from .runtime import DEADLINE, Options
from .websocket import WebSocketLink

__all__ = ["ConnectFailed", "backoff", "connect"]

OnSession = Callable[[RemoteReference, Connection], Awaitable[object]]

FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0
LONGEST_ASKED = 300.0
SHORT = 1.0  # seconds of a window that are not worth another try
STEADY = 10.0  # seconds after which a connection counts as a good one


class ConnectFailed(Error, ConnectionError):
    """No connection was made; the text says why, and what to look at."""


class _Opening(ClientConnection):
    """The library's connection until the link takes over; it keeps what comes meanwhile."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.early: list[Frame] = []

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame):
            self.early.append(event)
        else:
            super().process_event(event)


class connect:
    """Connect to the pbweb endpoint at *url*.

    ``async with pb.connect(url) as connection:`` closes the connection at the end;
    ``connection = await pb.connect(url)`` leaves that to you.

    Args:
        url: ``ws://`` or ``wss://``; what is secret does not belong into it.
        names: objects that the server may reach by name.
        limits: what is accepted from the server.
        registry: which exception classes are known; by default the application's one.
        origin: the ``Origin`` header, for servers that ask for one.
        headers: further headers of the upgrade, cookies or authorization.
        open_timeout: seconds for the connection and the upgrade.
        on_session: an async function that is called with the root and the connection when a
            session begins: here, where its failure is `connect`'s, and again whenever the
            session could not be resumed, in which all references died. Without one the
            connection is over with its first session.
        resume: whether the session is to outlive a lost connection, if the server lets it.
        options: further keywords for ``websockets.asyncio.client.connect``: ``ssl``, ``proxy``.

    Raises:
        ConnectFailed: nobody answers there, or not as a pbweb endpoint.
        ValueError: *url* is no WebSocket URL.
    """

    def __init__(
        self,
        url: str,
        *,
        names: Mapping[str, Any] | None = None,
        limits: Limits = DEFAULT,
        registry: Registry = REGISTRY,
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
        open_timeout: float = 10.0,
        on_session: OnSession | None = None,
        resume: bool = True,
        **options: Any,
    ) -> None:
        self._url = url
        self._shown = masked(str(url))  # in errors and in the log
        self._names = dict(names or {})
        self._limits = limits
        self._registry = registry
        self._open_timeout = open_timeout
        self.on_session = on_session
        self._resume = resume
        self._options = {
            "origin": None if origin is None else Origin(origin),
            "additional_headers": headers,
            **options,
        }
        self._connection: Connection | None = None

    def __await__(self) -> Generator[Any, None, Connection]:
        # The socket's callbacks run in the context in which it was opened: it must not be that
        # of a call, whose deadline all later calls would inherit.
        context = copy_context()
        context.run(DEADLINE.set, None)
        return asyncio.get_running_loop().create_task(self._connect(), context=context).__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        await self._connection.close()

    async def _connect(self) -> Connection:
        websocket = await self._open()
        options = Options(self._limits, self._registry)
        way_back = _WayBack(self) if self._resume or self.on_session is not None else None
        connection = Connection(
            options, is_server=False, software=SOFTWARE, way_back=way_back, resumes=self._resume
        )
        for name, value in self._names.items():
            connection.setNameForLocal(name, value)
        if way_back is not None:
            way_back.connection = connection
        self._carry(connection, websocket)
        if way_back is not None:
            try:
                await way_back.set_up()
            except BaseException:
                await connection.close()
                raise
        return connection

    def _carry(self, connection: Connection, websocket: _Opening) -> None:
        """Let *websocket*, which `_open` gave, carry *connection*."""
        # The library has made the connection, TLS, proxy and upgrade; the link takes over.
        transport = websocket.transport
        link = WebSocketLink(websocket.protocol, transport, connection, self._limits)
        transport.set_protocol(link)
        connection.attach(link)
        link.begin(websocket.early)

    async def _open(self) -> _Opening:
        """A WebSocket to the endpoint.

        Raises:
            ConnectFailed: see `connect`.
        """
        websocket = await self._upgrade()
        if websocket.subprotocol != PROTOCOL:
            websocket.transport.abort()
            raise ConnectFailed(
                f"{self._shown} is a WebSocket, but no pbweb endpoint: it does not speak "
                f"{PROTOCOL}; is another program at this port or path?"
            )
        return websocket

    async def _upgrade(self) -> _Opening:
        try:
            return await websocket_connect(  # type: ignore[return-value]
                self._url,
                create_connection=_Opening,
                subprotocols=[Subprotocol(PROTOCOL)],
                compression=None,
                ping_interval=None,
                max_size=self._limits.message,
                open_timeout=self._open_timeout,
                **{"logger": wire_logger, **self._options},
            )
        except InvalidURI:
            raise ValueError(_no_url(self._shown)) from None
        except InvalidStatus as error:
            raise ConnectFailed(self._explain(error)) from None
        except (InvalidHandshake, EOFError) as error:
            raise ConnectFailed(
                f"{self._shown} does not answer as a WebSocket: {error}; is it the port of another "
                "program, or does it speak TLS (wss://)?"
            ) from error
        except TimeoutError:
            raise ConnectFailed(
                f"{self._shown} did not answer within {self._open_timeout:g} s; is the address "
                "right, and does a firewall let you through?"
            ) from None
        except OSError as error:
            raise ConnectFailed(f"{self._shown}: {_advice(error)}") from error

    def _explain(self, error: InvalidStatus) -> str:
        """What to look at when there is an HTTP server that makes no WebSocket of this."""
        response = error.response
        status = response.status_code
        said = printable((response.body or b"").decode(errors="replace").strip())
        advice = {
            401: "the endpoint wants to know who you are: pass headers={…}",
            403: "the server lets nobody in at this path (many say so where there is nothing), or "
            "not with this origin: allow it with `pbweb serve --origin` or origins=[…]",
            404: "there is no pbweb endpoint under this path; `pbweb serve` has it at /pb",
        }.get(status, "the endpoint refused the upgrade")
        if status < 400 or said.startswith("<"):
            said = "there are pages under this path, no pbweb endpoint; `pbweb serve` has it at /pb"
        return f"{self._shown} answered {status}: {said or advice}"


def backoff(attempt: int) -> float:
    """Seconds before the *attempt*-th try, from 0 on: twice as many each time, with full jitter.

    All clients of a server lose their connections at once; they are not to come back at once.
    """
    return random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))


class _WayBack:
    """Connects again: to resume the session, or for a new one that the application sets up.

    See `connection.Return`.
    """

    connection: Connection

    def __init__(self, to: connect) -> None:
        self._to = to
        self._attempts = 0
        self._in_window = False  # the last try was to resume a session, and none succeeded since
        self._here_since = 0.0
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._setting_up: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # as of `connect`: no call's deadline is in it

    def begin(self, wait: bool | list[float]) -> bool:
        """See `connection.Return`."""
        if self.connection.session.ended and not self._stopped:
            self._stop_setting_up()
        if self._task is not None:
            if self._is_wanted():
                return True
            self._task.cancel()  # it may not even have begun
            self._task = None
            return False
        if self._stopped or wait is False or not self._is_wanted():
            return False
        if self._loop.time() - self._here_since > STEADY:
            self._attempts = 0
        self._task = self._loop.create_task(self._come_back(wait), context=self._context)
        return True

    def _is_wanted(self) -> bool:
        """Whether a connection has anything to carry: a session, or one to begin."""
        return self.connection.session.detached or self._to.on_session is not None

    def follows(self) -> bool:
        """See `connection.Return`."""
        return self._to.on_session is not None and not self._stopped

    def stop(self) -> None:
        """See `connection.Return`."""
        self._stopped = True
        self._stop_setting_up()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None

    def _stop_setting_up(self) -> None:
        """Its session is no more; a set-up that closes its connection itself waits for that."""
        if self._setting_up is not None and self._setting_up is not asyncio.current_task():
            self._setting_up.cancel()

    def refused(self) -> bool:
        """See `connection.Return`."""
        if not self.follows():
            return False
        self._loop.call_soon(self._set_up_soon, context=self._context)
        return True

    async def _come_back(self, wait: bool | list[float]) -> None:
        try:
            if isinstance(wait, list):
                await asyncio.sleep(_in_range(*wait))
            while self._is_wanted():
                await asyncio.sleep(self._pause())
                try:
                    websocket = await self._to._open()
                except ConnectFailed as error:
                    logger.info("%s; trying again", error)
                    continue
                except Exception as error:
                    self.connection.report("connecting again failed", error)
                    continue
                self._task = None
                self._go_on(websocket)
                return
        except asyncio.CancelledError:  # by us, or since the program ends: no other try follows
            self._stopped = True
            raise
        finally:
            if self._task is asyncio.current_task():
                self._task = None
                self.connection.is_not_coming_back()

    def _pause(self) -> float:
        """Seconds before the next try: as `backoff` says, and near the end of a window sooner.

        A link that is there again before the session is over is to be found before; and when it is
        over, the application waits for a new one, so the tries begin anew.
        """
        session = self.connection.session
        if self._in_window and not session.detached:
            self._attempts = 0
        self._in_window = session.detached
        pause = backoff(self._attempts)
        self._attempts += 1
        if not session.detached or pause <= session.left:
            return pause
        if session.left > SHORT:
            return random.uniform(session.left / 2, session.left)
        return max(session.left, 0) + backoff(0)

    def _go_on(self, websocket: _Opening) -> None:
        connection = self.connection
        self._here_since = self._loop.time()
        self._in_window = False
        if connection.session.detached:
            connection.session.reconnect()
        elif self._is_wanted():
            connection.begin_again()
            self._set_up_soon()
        else:
            websocket.transport.abort()
            connection.is_not_coming_back()
            return
        self._to._carry(connection, websocket)

    async def set_up(self) -> None:
        """Let the application set the session up."""
        if self._to.on_session is not None:
            await self._to.on_session(await self.connection.getRootObject(), self.connection)

    def _set_up_soon(self) -> None:
        if self._stopped:  # since this was to be done soon
            return

        async def set_up() -> None:
            try:
                await self.set_up()
            except PBConnectionLost:
                pass  # the next session will be set up
            except Exception as error:
                self.connection.report("on_session failed", error)

        self._stop_setting_up()
        self._setting_up = self._loop.create_task(set_up(), context=self._context)


def _in_range(least: float, most: float) -> float:
    """Seconds between those that a server asks for, which are not believed beyond measure."""
    least = min(max(least, 0.25), LONGEST_ASKED)
    return random.uniform(least, min(max(most, least), LONGEST_ASKED))


def _no_url(url: str) -> str:
    text = f"{url!r} is no ws:// or wss:// URL"
    scheme, colon, rest = url.partition("://")
    if colon and scheme in ("http", "https"):
        text += f"; did you mean 'ws{scheme[4:]}://{rest}'?"
    return text


def _advice(error: OSError) -> str:
    """What to look at when no connection could be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); pass ssl=… of your own"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS; is it ws://, not wss://?"
    if isinstance(error, socket.gaierror):
        return f"no such host: {error.strerror}; is the name right?"
    return f"nobody answers there ({error}); is the server running, and the port right?"
