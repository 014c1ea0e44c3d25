"""What is measured: limit1, the raw echo, and pbweb's root behind its own server and mounted."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import pbweb as pb
from pbweb.connection import Connection
from pbweb.session import Message, Session
from pbweb_server.app import Target
from pbweb_server.protocol import http_class, websocket_class
from pbweb_server.serving import Server, run, serve_target
from pbweb_server.settings import Settings


class Thing(pb.Referenceable):
    """What is handed out."""

    def remote_echo(self, value: Any) -> Any:
        """Called at once, without a task."""
        return value


@pb.live
class Board:
    """What many observe."""

    text: str = ""
    number: int = 0


class Echo(pb.Root):
    """Every method that a load calls."""

    def __init__(self) -> None:
        self.board = Board()
        self.listeners = pb.Group()

    def remote_echo(self, value: Any) -> Any:
        """Called at once, without a task."""
        return value

    async def remote_aecho(self, value: Any) -> Any:
        """Has a task of its own."""
        return value

    async def remote_wait(self) -> None:
        """A call that stays in progress."""
        await asyncio.Event().wait()

    def remote_make(self) -> Thing:
        """A new object."""
        return Thing()

    def remote_next(self) -> Echo:
        """A link of a chain."""
        return self

    async def remote_ring(self, listener: pb.RemoteReference, in_flight: int) -> None:
        """Call an object of the caller's, as long as it is there."""

        async def ring() -> None:
            while True:
                await listener.callRemote("echo", "hello network")

        await asyncio.gather(*(ring() for _ in range(in_flight)), return_exceptions=True)

    def remote_join(self, listener: pb.RemoteReference) -> None:
        """Be one of those that are told what is published."""
        self.listeners.add(listener)

    def remote_publish(self, text: str) -> None:
        """Tell all."""
        self.listeners.callRemoteOnly("deliver", text)

    def remote_observe(self) -> Board:
        """Be one of those that see what changes."""
        return self.board

    def remote_change(self, text: str) -> None:
        """Let all see *text*, another one each time."""
        self.board.number += 1
        self.board.text = f"{text} {self.board.number}"

    def remote_blob(self, size: int) -> str:
        """A long text, made anew for each who asks."""
        return str(size).ljust(size)

    async def remote_push(self, listener: pb.RemoteReference, size: int, seconds: float) -> None:
        """Call the caller's object every so many seconds, with a new text of *size* characters."""
        number = 0
        while True:
            number += 1
            listener.callRemoteOnly("deliver", str(number).ljust(size))
            await asyncio.sleep(seconds)


async def raw_echo(websocket: WebSocket) -> None:
    """limit1: what any server on this stack must at least do for a call."""
    await websocket.accept(subprotocol="pb.json.1")
    try:
        while True:
            message = orjson.loads(await websocket.receive_text())
            await websocket.send_text(orjson.dumps(message).decode())
    except WebSocketDisconnect:
        pass


async def raw_binary_echo(websocket: WebSocket) -> None:
    """limit1's stack, with nothing to decode."""
    await websocket.accept(subprotocol="pb.json.1")
    try:
        while True:
            await websocket.send_bytes(await websocket.receive_bytes())
    except WebSocketDisconnect:
        pass


LISTENERS: set[WebSocket] = set()


async def raw_fan_out(websocket: WebSocket) -> None:
    """limit1's stack, sending what comes to all that are there."""
    await websocket.accept(subprotocol="pb.json.1")
    LISTENERS.add(websocket)
    try:
        while True:
            text = orjson.dumps(orjson.loads(await websocket.receive_text())).decode()
            for each in list(LISTENERS):
                await each.send_text(text)
    except WebSocketDisconnect:
        LISTENERS.discard(websocket)


class EchoSession(Session):
    """Sends back what comes, whatever it is."""

    def receive(self, data: bytes, binary: bool = False) -> None:
        if self.closing is None:
            self.broker.outbox.append([data, binary])
            self._wake()

    def messages(self) -> list[Message]:
        echoed, self.broker.outbox = self.broker.outbox, []
        if self.closing is not None:
            self.ended = True
        return [(data, binary) for data, binary in echoed]


class EchoEndpoint(pb.Endpoint):
    """pbweb's own server with nothing of pbweb's protocol in it: a binary echo."""

    def connect(self, *arguments: Any, **more: Any) -> Connection:
        connection = super().connect(*arguments, **more)
        connection.session.end("an echo needs none")
        connection.session = EchoSession(
            connection, self.options, connection.wake, is_server=True, software="echo"
        )
        return connection


def serve(app: Any, **settings: Any) -> None:
    """Serve *app* on uvicorn on a free port, which is printed; as it comes, without compression."""
    config = uvicorn.Config(
        app,
        port=0,
        loop="uvloop",
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        **{"http": "httptools", "ws": "websockets-sansio", **settings},
    )
    run(Server(config))


def limit1() -> None:
    """The raw echoes."""
    routes = {"/pb": raw_echo, "/binary": raw_binary_echo, "/fan": raw_fan_out}
    serve(Starlette(routes=[WebSocketRoute(path, app) for path, app in routes.items()]))


def pbweb() -> None:
    """As `pbweb serve` does it."""
    settings = Settings(target="", port=0, log_level="warning")
    serve_target(Target({"/pb": Echo}, None), settings)


def parking() -> None:
    """The same, which keeps sessions for their clients, and of one address as many as come."""
    limits = (("resume_window", 600.0), ("away_per_address", 10_000))
    settings = Settings(target="", port=0, log_level="warning", limit=limits)
    serve_target(Target({"/pb": Echo}, None), settings)


def mounted() -> None:
    """In an application on stock uvicorn."""
    serve(Starlette(routes=[WebSocketRoute("/pb", pb.endpoint(Echo))]))


def binary() -> None:
    """A binary echo on the server of `pbweb serve`."""
    limits = pb.Limits(first_frame=3600)
    endpoints = {"/binary": EchoEndpoint(Echo, limits=limits)}
    serve(Starlette(), http=http_class(limits), ws=websocket_class(endpoints))


SERVERS = {
    "limit1": limit1,
    "pbweb": pbweb,
    "parking": parking,
    "mounted": mounted,
    "binary": binary,
}


def main() -> None:
    """Serve one of them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", choices=SERVERS)
    SERVERS[arguments.parse_args().what]()


if __name__ == "__main__":
    main()
