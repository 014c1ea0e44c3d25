"""`pbweb serve`: from settings to a server that runs."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import math
import socket
from collections.abc import Collection, Sequence
from types import FrameType

import uvicorn

from pbweb.asgi import Endpoint, client_files
from pbweb.limits import DEFAULT, Limits
from pbweb.opening import LOOPBACK
from pbweb.upgrade import Authenticate

from .app import BadTarget, Target, application, find, load
from .protocol import http_class, websocket_class
from .settings import Settings

__all__ = ["Server", "run", "serve", "serve_target"]


class Server(uvicorn.Server):
    """uvicorn's server, which says where it listens in a line that people and tests can use."""

    stop_seconds = 3 * DEFAULT.grace
    """From the signal to the end of the process, whatever the application does."""

    endpoints: Collection[Endpoint] = ()
    """Whose sessions without a connection end when the server stops."""

    _signalled: int | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                shown = "localhost" if host in (*LOOPBACK, "0.0.0.0", "::") else host  # noqa: S104
                print(f"pbweb serves http://{shown}:{port}", flush=True)
                return

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in order; sessions that nobody can come back to end as well."""
        for endpoint in self.endpoints:
            endpoint.parking.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops in order, the same again at once; neither is raised again.

        With --reload the process gets two at Ctrl-C, the terminal's and the supervisor's.
        """
        self.force_exit = self._signalled == sig
        self.should_exit = True
        self._signalled = sig
        # A method that blocks the loop or ignores that it is cancelled shows up in its output.
        faulthandler.dump_traceback_later(self.stop_seconds, exit=True)


def serve(settings: Settings, sockets: list[socket.socket] | None = None) -> None:
    """Import what *settings* name, and serve it until a signal ends it.

    Args:
        sockets: to listen on; without them the host and port of *settings* are opened.

    Raises:
        BadTarget: what is named is not there, or cannot be served.
    """
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    serve_target(load(settings.target), settings, sockets)


def serve_target(
    target: Target, settings: Settings, sockets: list[socket.socket] | None = None
) -> None:
    """Serve *target*; as `serve`."""
    limits = Limits(**dict(settings.limit))  # type: ignore[arg-type]
    endpoints = _endpoints(target, settings, limits)
    client_files()  # an incomplete installation is told now
    config = uvicorn.Config(
        application(endpoints, page=target.page, pages=settings.pages),
        host=settings.host,
        port=settings.port,
        http=http_class(limits),
        ws=websocket_class(endpoints),
        ws_per_message_deflate=False,
        ws_max_size=limits.message,
        forwarded_allow_ips=list(settings.trust_proxy),
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(2 * limits.grace),
    )
    server = Server(config)
    server.stop_seconds = 3 * limits.grace
    server.endpoints = endpoints.values()
    run(server, sockets)


def _endpoints(target: Target, settings: Settings, limits: Limits) -> dict[str, Endpoint]:
    authenticate = _authenticate(settings.authenticate)
    return {
        path: Endpoint(
            root,
            authenticate=authenticate,
            limits=limits,
            origins=settings.origin,
            require_origin=settings.require_origin,
            hosts=settings.hosts,
            url_secrets=settings.url_secrets,
            mask_errors=settings.mask_errors,
            unsafe_tracebacks=settings.unsafe_tracebacks,
        )
        for path, root in target.roots.items()
    }


def _authenticate(name: str | None) -> Authenticate | None:
    if name is None:
        return None
    _, found = find(name)
    if not callable(found):
        raise BadTarget(f"{name} is no function that could authenticate: it is {found!r}")
    authenticate: Authenticate = found
    return authenticate


def run(server: uvicorn.Server, sockets: Sequence[socket.socket] | None = None) -> None:
    """Run *server* on uvloop where there is one."""
    factory = server.config.get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(server.serve(None if sockets is None else list(sockets)))
