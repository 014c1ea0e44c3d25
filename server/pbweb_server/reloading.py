"""`pbweb serve --reload`: a server in a process of its own, started anew when a file changes.

uvicorn's supervisor keeps the socket open meanwhile, so that pages that connect again wait for
the new server in place of being refused.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from socket import socket

import uvicorn

from .app import BadTarget
from .serving import serve
from .settings import Settings

__all__ = ["serve_and_reload"]


def serve_and_reload(settings: Settings) -> None:
    """Serve as *settings* say until a signal; again after each change of a Python file here.

    Raises:
        BadTarget: the library that watches files is not installed, or cannot watch them.
    """
    # uvicorn would make do without, and read the times of all files four times a second.
    if find_spec("watchfiles") is None:
        raise BadTarget("--reload needs the library watchfiles: pip install 'pbweb[reload]'")
    from uvicorn.supervisors import ChangeReload  # noqa: PLC0415

    config = uvicorn.Config(
        settings.target,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        reload=True,
        reload_delay=0,  # it would begin to watch when the server may serve already
    )
    listening = config.bind_socket()
    supervisor = ChangeReload(config, partial(_serve_again, settings), [listening])
    try:
        supervisor.run()
    except (OSError, RuntimeError) as error:  # a system has only so many watches
        supervisor.shutdown()  # the server would go on without anybody to start it again
        raise BadTarget(
            f"--reload cannot watch this folder: {error}; set WATCHFILES_FORCE_POLLING=1 "
            "to look at the files again and again in place of being told"
        ) from None


def _serve_again(settings: Settings, sockets: list[socket]) -> None:
    """What the new process does. One that cannot serve ends; the next change starts another."""
    try:
        serve(settings, sockets)
    except BadTarget as error:
        print(f"pbweb: {error}", file=sys.stderr, flush=True)
