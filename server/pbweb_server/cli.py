"""The command ``pbweb``."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType

import uvicorn

from pbweb import __version__
from pbweb.asgi import Endpoint, client_files
from pbweb.limits import ANNOUNCED, DEFAULT, Limits
from pbweb.upgrade import Authenticate

from .app import BadTarget, Target, application, find, load
from .protocol import http_class, websocket_class

__all__ = ["Server", "main", "parser", "run", "serve"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    top = argparse.ArgumentParser(prog="pbweb", description="Perspective Broker for the web.")
    top.add_argument("--version", action="version", version=f"pbweb {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("serve", help="serve a Root")
    run.add_argument(
        "target",
        metavar="MODULE:NAME",
        help="a Root, its class, a factory, or a dict of these by paths",
    )
    run.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    run.add_argument(
        "--port", type=_port, default=8000, help="port, 0 for any that is free (%(default)s)"
    )
    run.add_argument("--pages", type=Path, metavar="DIR", help="a folder of files to serve at /")
    run.add_argument(
        "--authenticate",
        metavar="MODULE:NAME",
        help="a function that says who asks for an upgrade, or refuses it",
    )
    run.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="pages of this origin may connect too; * for all; may be given often",
    )
    run.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="answer to this Host; on a loopback address the default is its names, else all",
    )
    run.add_argument(
        "--limit",
        action="append",
        default=[],
        type=_limit,
        metavar="NAME=NUMBER",
        help=f"set a limit: {', '.join(ANNOUNCED)}, …",
    )
    run.add_argument(
        "--mask-errors",
        action="store_true",
        help="send the id of a log entry in the place of an unexpected error's text",
    )
    run.add_argument("--unsafe-tracebacks", action="store_true", help="send tracebacks to the peer")
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return top


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return port


def _limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    kinds = {field.name: field.type for field in fields(Limits)}
    if name not in kinds:
        raise argparse.ArgumentTypeError(f"{name!r} is no limit; there are {', '.join(kinds)}")
    try:
        value = int(number) if kinds[name] == "int" else float(number)
        Limits(**{name: value})  # type: ignore[arg-type]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    return name, value


class Server(uvicorn.Server):
    """uvicorn's server, which says where it listens in a line that people and tests can use."""

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        for server in self.servers:
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                shown = "localhost" if host in (*LOOPBACK, "0.0.0.0", "::") else host  # noqa: S104
                print(f"pbweb serves http://{shown}:{port}", flush=True)
                return

    stop_seconds = 3 * DEFAULT.grace
    """From the signal to the end of the process, whatever the application does."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops in order, the second at once; neither is raised again."""
        self.force_exit = self.should_exit
        self.should_exit = True
        # A method that blocks the loop or ignores that it is cancelled shows up in its output.
        faulthandler.dump_traceback_later(self.stop_seconds, exit=True)


def serve(target: Target, arguments: argparse.Namespace) -> None:
    """Serve *target* until a signal ends it.

    Raises:
        BadTarget: a folder for the pages is not there, or no function to authenticate with.
    """
    hosts = arguments.allow_host or (LOOPBACK if arguments.host in LOOPBACK else None)
    limits = Limits(**dict(arguments.limit))
    authenticate = _authenticate(arguments.authenticate)
    endpoints = {
        path: Endpoint(
            root,
            authenticate=authenticate,
            limits=limits,
            origins=arguments.origin,
            hosts=hosts,
            mask_errors=arguments.mask_errors,
            unsafe_tracebacks=arguments.unsafe_tracebacks,
        )
        for path, root in target.roots.items()
    }
    client_files()  # an incomplete installation is told now
    config = uvicorn.Config(
        application(endpoints, page=target.page, pages=arguments.pages),
        host=arguments.host,
        port=arguments.port,
        http=http_class(limits),
        ws=websocket_class(endpoints),
        ws_per_message_deflate=False,
        ws_max_size=limits.message,
        log_level=arguments.log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(2 * limits.grace),
    )
    server = Server(config)
    server.stop_seconds = 3 * limits.grace
    run(server)


def _authenticate(name: str | None) -> Authenticate | None:
    if name is None:
        return None
    _, found = find(name)
    if not callable(found):
        raise BadTarget(f"{name} is no function that could authenticate: it is {found!r}")
    authenticate: Authenticate = found
    return authenticate


def run(server: uvicorn.Server) -> None:
    """Run *server* on uvloop where there is one."""
    factory = server.config.get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(server.serve())


def main(argv: Sequence[str] | None = None) -> None:
    """The command; ends the process with 2 when it is asked for what cannot be."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: modules of the folder where we are
    try:
        serve(load(arguments.target), arguments)
    except BadTarget as error:
        print(f"pbweb: {error}", file=sys.stderr)
        sys.exit(2)
