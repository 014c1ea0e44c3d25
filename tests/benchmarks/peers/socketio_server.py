"""python-socketio as an ASGI application under uvicorn."""

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi")


@server.event
async def connect(sid, environ):
    await server.enter_room(sid, "all")


@server.event
async def echo(sid, value):
    return value


@server.event
async def publish(sid, value):
    await server.emit("deliver", value, room="all")


class Server(uvicorn.Server):
    """Says on which port it listens."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"serves 127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    Server(
        uvicorn.Config(
            socketio.ASGIApp(server),
            port=0,
            loop="uvloop",
            http="httptools",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            access_log=False,
            log_level="warning",
        )
    ).run()
