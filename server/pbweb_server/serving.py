"""`pbweb serve`: from settings to a server that runs."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from types import FrameType

import uvicorn

from pbweb.asgi import Endpoint, client_files
from pbweb.draining import stop
from pbweb.limits import DEFAULT, Limits
from pbweb.opening import LOOPBACK
from pbweb.upgrade import Authenticate

from .app import BadTarget, Target, application, find, load
from .protocol import http_class, websocket_class
from .settings import Settings

__all__ = ["Server", "run", "serve", "serve_target"]


AT_ONCE = 2.0  # seconds from a second signal to the end of the process, whatever it does
UVICORN = 0.2  # of `Limits.grace`: for HTTP requests that still go on behind the sessions
USER_TIMEOUT = 20  # seconds for which the system sends again what nobody acknowledges
RELOAD = 0.5  # seconds that calls in progress have at most under --reload


class Server(uvicorn.Server):
    """uvicorn's server, which stops in our order, and says where it listens.

    Args:
        config: uvicorn's.
        endpoints: what it serves.
        limits: how long the end may take: calls in progress have `Limits.drain`, and all that
            comes behind it `Limits.grace`.
        is_supervised: whether another process starts and stops this one.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        endpoints: Collection[Endpoint] = (),
        limits: Limits = DEFAULT,
        *,
        is_supervised: bool = False,
    ) -> None:
        super().__init__(config)
        self._endpoints = endpoints
        self._limits = limits
        self._is_supervised = is_supervised
        self._signalled: int | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where in a line that people and tests can use."""
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                _give_up_in_time(listening.fileno())
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                shown = "localhost" if host in (*LOOPBACK, "0.0.0.0", "::") else host  # noqa: S104
                print(f"pbweb serves http://{shown}:{port}", flush=True)
                return

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, stop all sessions in order, and then what uvicorn has left."""
        for server in self.servers:
            server.close()
        for one in sockets or ():
            one.close()
        limits = self._limits
        await stop(self._endpoints, limits.drain, limits.grace, lambda: self.force_exit)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops in order, a second one at once; neither is raised again.

        Under a supervisor (--reload) Ctrl-C is two of them: the terminal's and the supervisor's.
        """
        first, self._signalled = self._signalled, sig
        if first is not None and (first == sig or not self._is_supervised):
            self.force_exit = True
        self.should_exit = True
        for endpoint in self._endpoints:
            endpoint.stopping = True
        # A method that blocks the loop or ignores that it is cancelled shows up in its output.
        seconds = AT_ONCE if self.force_exit else self._limits.drain + self._limits.grace
        faulthandler.dump_traceback_later(seconds, exit=True)


def _give_up_in_time(listening: int) -> None:
    """Have the system end connections whose peers take nothing: those that it accepts inherit it.

    A second net under `Limits.stall` and the heartbeat, where the system has it (threat F2).
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None:
        return
    with socket.socket(fileno=os.dup(listening)) as same, suppress(OSError):  # none of TCP
        same.setsockopt(socket.IPPROTO_TCP, option, 1000 * USER_TIMEOUT)


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
    if sockets is not None:  # who writes a program does not wait for its pages
        limits = replace(limits, drain=min(limits.drain, RELOAD))
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
        lifespan="off",  # nothing waits for it, and a second signal would end it with a traceback
        forwarded_allow_ips=list(settings.trust_proxy),
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(UVICORN * limits.grace)),
    )
    run(Server(config, endpoints.values(), limits, is_supervised=sockets is not None), sockets)


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
