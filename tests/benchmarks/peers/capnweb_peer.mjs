// Cap'n Web on Node with ws: `serve` listens on a free port, which is printed; `chain PORT LENGTH`
// prints the seconds of a chain of calls, each on what the one before returns.
import { newWebSocketRpcSession, RpcTarget } from "capnweb";
import { WebSocket, WebSocketServer } from "ws";

globalThis.WebSocket = WebSocket;

class Thing extends RpcTarget {
  echo(value) {
    return value;
  }
}

class Root extends RpcTarget {
  echo(value) {
    return value;
  }

  make() {
    return new Thing();
  }

  next() {
    return new Root();
  }

  // Calls an object of the caller's, as long as it is there.
  async ring(listener, inFlight) {
    const kept = listener.dup();
    const ring = async () => {
      for (;;) await kept.echo("hello network");
    };
    await Promise.allSettled(Array.from({ length: inFlight }, ring));
  }
}

function serve() {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", backlog: 8192 });
  server.on("connection", (socket) => {
    const session = newWebSocketRpcSession(socket, new Root());
    session.onRpcBroken(() => {});
  });
  server.on("listening", () => console.log(`serves 127.0.0.1:${server.address().port}`));
}

async function chain(port, length) {
  const root = newWebSocketRpcSession(`ws://127.0.0.1:${port}`);
  await root.echo("warm");
  const began = performance.now();
  let link = root;
  for (let at = 1; at < length; at++) link = link.next();
  await link.echo(1);
  console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000 }));
  process.exit();
}

const [what, port, length] = process.argv.slice(2);
if (what === "serve") serve();
else await chain(Number(port), Number(length));
