// What a newcomer gets wrong, and what they are told (docs/mistakes.md). The server's side of it,
// and Python's, is in tests/integration/test_mistakes.py, the browser's in tests/e2e.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { connect, Referenceable, Root } from "../src/pbweb.js";

const failure = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );

/** Run `body` with the address of an HTTP server. */
async function withServer(server, body) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body(`ws://127.0.0.1:${server.address().port}/pb`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** `said` is what the package `ws` tells, and no browser. */
async function assertCannotConnect(url, said) {
  const error = await failure(connect(`${url}?token=abc`, { WebSocket }));
  assert.equal(error.type, "PBConnectionLost");
  assert.equal(error.outcome, "not_executed");
  const start = `Could not connect to ${url}?… (1006: ${said}`;
  assert.ok(error.message.startsWith(start), error.message);
  assert.match(error.message, /path right.*origin.*server's log/);
}

test("nobody is there", async () => {
  let address = "";
  await withServer(createServer(), async (url) => {
    address = url;
  });
  await assertCannotConnect(address, "connect ECONNREFUSED 127.0.0.1");
});

for (const status of [200, 403, 404, 503]) {
  test(`a server that answers ${status} and makes no WebSocket of it`, () => {
    const server = createServer();
    server.on("upgrade", (_, socket) => {
      socket.end(`HTTP/1.1 ${status} Whatever\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
    const said = `Unexpected server response: ${status}). Does`;
    return withServer(server, (url) => assertCannotConnect(url, said));
  });
}

test("a platform that tells nothing", async () => {
  class Silent {
    readyState = 0;
    constructor(url) {
      this.url = url;
      setImmediate(() => {
        this.onerror(new Event("error"));
        this.onclose({ code: 1006, reason: "" });
      });
    }
  }
  const { message } = await failure(connect("ws://there/pb", { WebSocket: Silent }));
  assert.ok(message.startsWith("Could not connect to ws://there/pb (1006). Does"), message);
});

test("a WebSocket that is no pbweb endpoint", async () => {
  const server = createServer();
  const sockets = new WebSocketServer({ server, handleProtocols: () => false });
  await withServer(server, (url) => assertCannotConnect(url, "Server sent no subprotocol"));
  sockets.close();
});

test("what is no address of a WebSocket", async () => {
  assert.match((await failure(connect("./pb", { WebSocket }))).message, /pass "ws:\/\/host\/pb"/);
  assert.equal(
    (await failure(connect("ftp://here/pb", { WebSocket }))).message,
    '"ftp://here/pb" is no address here; pass "ws://host/pb".',
  );
});

for (const [options, type, said] of [
  [{ resume: "x" }, TypeError, /^There is no option "resume", only limits, .*, WebSocket\.$/],
  [{ constructor: 1 }, TypeError, /^There is no option "constructor"/],
  [{ onSession: 5 }, TypeError, /^The option onSession must be of the type function\.$/],
  [{ log: null }, TypeError, /^The option log must be of the type function\.$/],
  [{ limits: null }, TypeError, /^The option limits must be of the type object\.$/],
  [{ names: "root" }, TypeError, /^The option names must be of the type object\.$/],
  [{ software: {} }, TypeError, /^The option software must be of the type string\.$/],
  [{ limits: { nope: 1 } }, TypeError, /^There is no limit "nope", only message, depth, .*\.$/],
  [{ limits: { calls: "1" } }, RangeError, /^The limit calls must be a whole number from 1 on\.$/],
  [{ names: { root: 5 } }, TypeError, /^What is published as "root" must be a Referenceable/],
]) {
  test(`the option ${JSON.stringify(options)} is refused before a connection is made`, async () => {
    let made = 0;
    class Counting {
      constructor() {
        made++;
      }
    }
    const error = await failure(connect("ws://there/pb", { WebSocket: Counting, ...options }));
    assert.equal(error.constructor, type);
    assert.match(error.message, said);
    assert.equal(made, 0);
    const { port1 } = new MessageChannel();
    assert.match((await failure(connect(port1, options))).message, said);
    port1.close();
  });
}

test("options that are undefined are as good as none", async () => {
  const { port1 } = new MessageChannel();
  const options = { limits: undefined, onSession: undefined, names: undefined };
  await (await connect(port1, options)).close();
});

class Forgetful extends Referenceable {
  three(number) {
    return number * 3;
  }
}

class Dangerous {}

class Server extends Root {
  remote_forgetful() {
    return new Forgetful();
  }

  remote_dangerous() {
    return new Dangerous();
  }
}

/** Run `body` with the root of a server at the other end of a MessageChannel. */
async function withRoot(body) {
  const { port1, port2 } = new MessageChannel();
  const [, client] = await Promise.all([
    connect(port1, { names: { root: new Server() }, log: () => {} }),
    connect(port2),
  ]);
  await body(await client.getRootObject());
  await client.close();
}

test("a name that is not there, and a prefix that was forgotten", async () => {
  await withRoot(async (root) => {
    let error = await failure(root.callRemote("forgetfull"));
    assert.equal(error.type, "NoSuchMethod");
    assert.match(error.message, /"forgetfull"; its class must declare it as remote_/);
    error = await failure(root.callRemote("forgetful").callRemote("three", 12));
    assert.equal(error.type, "NoSuchMethod");
    assert.match(error.message, /"three"; its class must declare it as remote_/);
  });
});

test("an object of a class that may not cross, either way", async () => {
  await withRoot(async (root) => {
    for (const call of [
      root.callRemote("forgetful", [{ deep: new Dangerous() }]),
      root.callRemote("dangerous"),
    ]) {
      const error = await failure(call);
      assert.equal(error.type, "InsecureJelly");
      assert.match(error.message, /an instance of Dangerous cannot cross; extend Referenceable/);
    }
    assert.match(
      (await failure(root.callRemote("forgetful", [{ deep: new Dangerous() }]))).message,
      /^args\[0\]\[0\]\.deep: /,
    );
  });
});

test("a promise that was not awaited", async () => {
  await withRoot(async (root) => {
    const error = await failure(root.callRemote("forgetful", Promise.resolve(1)));
    assert.match(error.message, /an instance of Promise cannot cross; await it first/);
  });
});
