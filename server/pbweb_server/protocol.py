"""The classes given to uvicorn as ``http=`` and ``ws=``.

The WebSocket class answers the upgrade for the endpoints' paths itself and feeds their
sessions directly, without ASGI's queue and tasks: that makes it fast, and it is where the
guards of `pbweb.websocket` sit. Other paths go to uvicorn's own class.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from pbweb.asgi import Endpoint
from pbweb.frames import PROTOCOL
from pbweb.websocket import WebSocketLink

__all__ = ["GuardedHttp", "websocket_class"]

REQUEST_SECONDS = 10.0
"""How long a connection may take until its first request is complete (threat A6)."""

_quiet = logging.getLogger("pbweb.websocket")
_quiet.setLevel(logging.WARNING)


class GuardedHttp(HttpToolsProtocol):
    """uvicorn's HTTP class, with a bound on the time until a request is complete."""

    _request_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A peer has connected; it gets a bound in time."""
        super().connection_made(transport)
        self._request_timer = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def on_headers_complete(self) -> None:
        """The request is complete."""
        self._stop_request_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._stop_request_timer()
        super().connection_lost(exc)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None


class _ServerLink(WebSocketLink):
    """A link that uvicorn's shutdown knows of."""

    endpoint: Endpoint
    state: ServerState

    def connection_lost(self, error: Exception | None) -> None:
        self.state.connections.discard(cast(Any, self))
        super().connection_lost(error)
        self.endpoint.forget(self._connection)


class PBWebSocketProtocol(asyncio.Protocol):
    """Answers one upgrade, and hands the connection to a link or to uvicorn's own class."""

    endpoints: Mapping[str, Endpoint] = {}

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._transport: asyncio.Transport | None = None
        self._inner: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """uvicorn's HTTP class hands the connection over."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """First the request of the upgrade, complete; then whatever the peer sends."""
        if self._inner is not None:
            self._inner.data_received(data)
            return
        assert self._transport is not None
        path = unquote(data[:4096].split(b" ", 2)[1].decode("latin-1")).partition("?")[0]
        endpoint = self.endpoints.get(path.rstrip("/") or "/")
        if endpoint is None:
            stock = WebSocketsSansIOProtocol(self._config, self._state, self._app_state)
            stock.connection_made(self._transport)
            stock.data_received(data)
            self._hand_over(stock)
        else:
            self._answer(endpoint, data, self._transport)

    def _answer(self, endpoint: Endpoint, data: bytes, transport: asyncio.Transport) -> None:
        websocket = ServerProtocol(
            subprotocols=[Subprotocol(PROTOCOL)],
            max_size=endpoint.limits.message,
            logger=_quiet,
        )
        websocket.receive_data(data)
        events = websocket.events_received()
        if not events:
            transport.abort()
            return
        request = cast(Request, events[0])
        refused = endpoint.refusal(request.headers.get_all, self._is_secure(request, transport))
        if refused is not None:
            response = websocket.reject(refused[0], f"{refused[1]}\n")
        else:
            response = websocket.accept(request)
        websocket.send_response(response)
        transport.write(b"".join(websocket.data_to_send()))
        if response.status_code != 101:
            transport.close()
            return
        connection = endpoint.connect()
        link = _ServerLink(websocket, transport, connection, endpoint.limits)
        link.endpoint, link.state = endpoint, self._state
        self._state.connections.add(cast(Any, link))
        connection.attach(link)
        self._hand_over(link)

    def _hand_over(self, inner: asyncio.Protocol) -> None:
        """uvicorn sets this object as the transport's protocol right after the first data."""
        self._inner = inner
        assert self._transport is not None
        asyncio.get_running_loop().call_soon(self._transport.set_protocol, inner)

    def _is_secure(self, request: Request, transport: asyncio.Transport) -> bool:
        """Whether the page's side of the connection is TLS: ours, or that of a trusted proxy."""
        if transport.get_extra_info("sslcontext") is not None:
            return True
        peer = transport.get_extra_info("peername")
        forwarded = request.headers.get_all("X-Forwarded-Proto")
        if not (self._config.proxy_headers and forwarded and peer):
            return False
        return _is_trusted(peer[0], self._config.forwarded_allow_ips) and forwarded[-1].strip() in (
            "https",
            "wss",
        )

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return None if self._inner is None else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._inner is not None:
            self._inner.resume_writing()


def _is_trusted(peer: str, allowed: str | list[str] | None) -> bool:
    """Whether *peer* is a proxy whose headers are believed (uvicorn's ``forwarded_allow_ips``)."""
    entries = allowed.split(",") if isinstance(allowed, str) else allowed or ["127.0.0.1"]
    names = [entry.strip() for entry in entries]
    if "*" in names or peer in names:
        return True
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    networks = [name for name in names if "/" in name]
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def websocket_class(endpoints: Mapping[str, Endpoint]) -> type[asyncio.Protocol]:
    """The class for uvicorn's ``ws=`` that answers *endpoints*, by their paths."""
    return type("PBWebSocketProtocol", (PBWebSocketProtocol,), {"endpoints": dict(endpoints)})
