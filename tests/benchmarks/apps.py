"""What is measured: limit1, the raw echo, and pbweb's root behind its own server and mounted."""

from __future__ import annotations

import argparse
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import pbweb as pb
from pbweb_server import cli
from pbweb_server.app import Target


class Echo(pb.Root):
    """A plain and an ``async`` echo."""

    def remote_echo(self, value: Any) -> Any:
        """Called at once, without a task."""
        return value

    async def remote_aecho(self, value: Any) -> Any:
        """Has a task of its own."""
        return value


async def raw_echo(websocket: WebSocket) -> None:
    """limit1: what any server on this stack must at least do for a call."""
    await websocket.accept(subprotocol="pb.json.1")
    try:
        while True:
            message = orjson.loads(await websocket.receive_text())
            await websocket.send_text(orjson.dumps(message).decode())
    except WebSocketDisconnect:
        pass


def stock_uvicorn(app: Starlette) -> None:
    """An application on uvicorn as it comes, without compression."""
    config = uvicorn.Config(
        app,
        port=0,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
    )
    cli.run(cli.Server(config))


def main() -> None:
    """Serve one of them on a free port, which is printed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["limit1", "pbweb", "mounted"])
    what = parser.parse_args().what
    if what == "limit1":
        stock_uvicorn(Starlette(routes=[WebSocketRoute("/pb", raw_echo)]))
    elif what == "mounted":
        stock_uvicorn(Starlette(routes=[WebSocketRoute("/pb", pb.endpoint(Echo))]))
    else:
        arguments = cli.parser().parse_args(["serve", "m:n", "--port", "0"])
        arguments.log_level = "warning"
        cli.serve(Target({"/pb": Echo}, None), arguments)


if __name__ == "__main__":
    main()
