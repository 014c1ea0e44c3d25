"""The classes given to uvicorn as ``http=`` and ``ws=``.

The WebSocket class answers the upgrade for the endpoints' paths itself and feeds their
sessions directly, without ASGI's queue and tasks: that makes it fast, and it is where the
guards of `pbweb.websocket` sit. The HTTP class bounds what a peer may take for a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, Side
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from pbweb.asgi import Endpoint, principal
from pbweb.frames import PROTOCOL
from pbweb.limits import DEFAULT, Limits
from pbweb.logs import wire_logger
from pbweb.opening import address_of, network_of
from pbweb.parking import Principal
from pbweb.upgrade import Refused
from pbweb.websocket import WebSocketLink

__all__ = ["GuardedHttp", "http_class", "websocket_class"]

HEAD_BYTES = 65_536
"""Bytes of a request's line and headers: uvicorn's parser would take any number."""


class GuardedHttp(HttpToolsProtocol):
    """uvicorn's HTTP class, with bounds on a request's time and size, and on unread answers."""

    limits: Limits = DEFAULT
    _request_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _head = 0  # bytes of a head that is not complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A peer has connected; it gets a bound in time (threat A6)."""
        super().connection_made(transport)
        self._start_request_timer()

    def data_received(self, data: bytes) -> None:
        """Parse *data*; it stops uvicorn's timer for idle connections, so ours has to run."""
        self._start_request_timer()
        self._head += len(data)
        super().data_received(data)
        if self._head > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """A request begins, maybe behind another in the same data."""
        super().on_message_begin()
        self._start_request_timer()

    def on_headers_complete(self) -> None:
        """The head of a request is complete; a body is never kept by our application."""
        self._head = -(1 << 62)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._head = 0
        self._stop_request_timer()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection goes over to the WebSocket class."""
        self._stop_request_timer()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """The peer does not read the answer; for a while."""
        super().pause_writing()
        self._abort_in(self.limits.stall)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_stall_timer()

    def on_response_complete(self) -> None:
        """An answer was written; when it was the last one, the peer has to read it soon."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_in(self.limits.grace)

    def timeout_keep_alive_handler(self) -> None:
        """The connection was idle; closing waits for bytes that the peer may never read."""
        super().timeout_keep_alive_handler()
        self._abort_in(self.limits.grace)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone. uvicorn leaves its own timer running if it went by a reset."""
        self._stop_request_timer()
        self._stop_stall_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _start_request_timer(self) -> None:
        if self._request_timer is None:
            self._request_timer = self.loop.call_later(
                self.limits.first_frame, self.transport.abort
            )

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _abort_in(self, seconds: float) -> None:
        self._stop_stall_timer()
        self._stall_timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


class _ServerLink(WebSocketLink):
    """A link that uvicorn's shutdown knows of."""

    __slots__ = ("endpoint", "network", "state")

    endpoint: Endpoint
    network: bytes | None
    state: ServerState

    def connection_lost(self, error: Exception | None) -> None:
        self.state.connections.discard(cast(Any, self))
        super().connection_lost(error)
        self.endpoint.admission.leave(self.network)
        self.endpoint.forget(self._connection)


class PBWebSocketProtocol(asyncio.Protocol):
    """Answers one upgrade, and hands the connection to a link."""

    endpoints: Mapping[str, Endpoint] = {}

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._config = config
        self._state = server_state
        self._link: _ServerLink | None = None
        self._entered: tuple[Endpoint, bytes | None] | None = None
        self._identifying: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """uvicorn's HTTP class hands the connection over."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """The request of the upgrade, complete; then whatever the peer sends."""
        if self._link is not None:
            self._link.data_received(data)
            return
        path = unquote(data.split(b" ", 2)[1].decode("latin-1")).partition("?")[0]
        endpoint = self.endpoints.get(path.rstrip("/") or "/")
        websocket = ServerProtocol(
            subprotocols=[Subprotocol(PROTOCOL)],
            max_size=endpoint.limits.message if endpoint is not None else 0,
            logger=wire_logger,
        )
        websocket.receive_data(data)
        events = websocket.events_received()
        if not events:  # a line of the head is longer than the library takes, or there are too many
            self._refuse(websocket.reject(400, f"{websocket.handshake_exc}\n"))
        elif endpoint is None:
            known = ", ".join(sorted(self.endpoints))
            self._refuse(websocket.reject(404, f"WebSockets are answered at {known}\n"))
        else:
            self._answer(endpoint, websocket, cast(Request, events[0]))

    def _answer(self, endpoint: Endpoint, websocket: ServerProtocol, request: Request) -> None:
        scope = self._scope(request)
        refused = endpoint.refusal(scope)
        if refused is not None:
            self._refuse(websocket.reject(refused[0], f"{refused[1]}\n"))
            return
        network = network_of(address_of(scope))
        endpoint.admission.enter(network)
        self._entered = endpoint, network
        if endpoint.authenticate is None:
            self._accept(endpoint, websocket, request, principal(None, scope))
        else:
            self._transport.pause_reading()
            identifying = self._identify(endpoint, websocket, request, scope)
            self._identifying = asyncio.ensure_future(identifying)

    async def _identify(
        self, endpoint: Endpoint, websocket: ServerProtocol, request: Request, scope: dict[str, Any]
    ) -> None:
        """Let the application say who this is; nothing is read meanwhile."""
        try:
            identity = await endpoint.identify(scope)
        except Refused as refused:
            response = websocket.reject(refused.status, f"{refused.reason}\n")
            for name, value in refused.headers.items():
                response.headers[name] = value
            self._refuse(response)
        else:
            if self._transport.is_closing():  # and the application took no notice of the cancel
                return
            self._accept(endpoint, websocket, request, principal(identity, scope))
            self._transport.resume_reading()

    def _scope(self, request: Request) -> dict[str, Any]:
        """The request as ASGI has it, with the client and the scheme that a trusted proxy names."""
        path, _, query = request.path.partition("?")
        peer, here, tls = map(
            self._transport.get_extra_info, ("peername", "sockname", "sslcontext")
        )
        scope: Any = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws" if tls is None else "wss",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in request.headers.raw_items()
            ],
            "client": tuple(peer[:2]) if isinstance(peer, tuple) else None,
            "server": tuple(here[:2]) if isinstance(here, tuple) else None,
            "subprotocols": [
                name.strip()
                for value in request.headers.get_all("Sec-WebSocket-Protocol")
                for name in value.split(",")
            ],
        }
        if self._config.proxy_headers:
            trusted = self._config.forwarded_allow_ips
            middleware = _believing(trusted if isinstance(trusted, str) else ",".join(trusted))
            with suppress(StopIteration):  # it waits for nothing but the application behind it
                middleware(scope, _nothing, _nothing).send(None)
        return cast(dict[str, Any], scope)

    def _accept(
        self, endpoint: Endpoint, websocket: ServerProtocol, request: Request, who: Principal
    ) -> None:
        response = websocket.accept(request)
        if response.status_code != 101:
            self._refuse(response)
            return
        websocket.send_response(response)
        self._transport.write(b"".join(websocket.data_to_send()))
        connection = endpoint.connect(principal=who)
        # A protocol of its own: the one of the handshake would keep the request for ever.
        limit = endpoint.limits.message
        protocol = Protocol(Side.SERVER, max_size=limit, logger=wire_logger)
        link = _ServerLink(protocol, self._transport, connection, endpoint.limits)
        link.endpoint, link.state, link.network = endpoint, self._state, network_of(who.address)
        self._state.connections.add(cast(Any, link))
        connection.attach(link)
        self._link = link
        # uvicorn sets this object as the transport's protocol right after the first data.
        asyncio.get_running_loop().call_soon(self._transport.set_protocol, link)

    def _refuse(self, response: Response) -> None:
        self._transport.write(response.serialize())
        self._transport.close()

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return None if self._link is None else self._link.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._identifying is not None:
            self._identifying.cancel()
        if self._link is not None:
            self._link.connection_lost(exc)
        elif self._entered is not None:
            endpoint, network = self._entered
            endpoint.admission.leave(network)


@cache
def _believing(proxies: str) -> ProxyHeadersMiddleware:
    """What puts into a scope what *proxies*, divided by commas, say of the peer."""
    return ProxyHeadersMiddleware(_nothing, proxies)


async def _nothing(*_: Any) -> Any:
    """The application behind a middleware that only changes the scope."""


def http_class(limits: Limits) -> type[GuardedHttp]:
    """The class for uvicorn's ``http=`` with the times of *limits*."""
    return type("GuardedHttp", (GuardedHttp,), {"limits": limits})


def websocket_class(endpoints: Mapping[str, Endpoint]) -> type[asyncio.Protocol]:
    """The class for uvicorn's ``ws=`` that answers *endpoints*, by their paths."""
    return type("PBWebSocketProtocol", (PBWebSocketProtocol,), {"endpoints": dict(endpoints)})
