"""A picows server that sends back the bytes that it gets: what a parser in C makes possible."""

import picows
import uvloop


class Echo(picows.WSListener):
    """Sends each message back."""

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())


async def main():
    server = await picows.ws_create_server(lambda request: Echo(), "127.0.0.1", 0)
    print(f"serves 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
