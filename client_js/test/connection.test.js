import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { connect, Referenceable, Root, UnauthorizedLogin } from "../src/pbweb.js";
import { Clock } from "./support/clock.js";
import { FixtureRoot } from "./support/fixture.js";
import { settled } from "./support/peer.js";

const failed = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );
const baseline = (connection) =>
  assert.ok(Object.values(connection.broker.statistics()).every((count) => count === 0));

class Page extends Referenceable {
  remote_take(value) {
    return value * 2;
  }
}

test("two ends of a MessageChannel talk to each other", async () => {
  const { port1, port2 } = new MessageChannel();
  const [server, client] = await Promise.all([
    connect(port1, { names: { root: new FixtureRoot() } }),
    connect(port2),
  ]);
  const root = await client.getRootObject();
  assert.equal(await root.callRemote("callBack", new Page(), 21), 42);
  assert.deepEqual(await root.callRemote("echo", new Uint8Array(5000)), new Uint8Array(5000));
  assert.equal(await client.getRootObject().callRemote("getCounter").callRemote("increment", 3), 3);
  const told = [];
  server.notifyOnDisconnect(() => told.push("server"));
  client.notifyOnDisconnect(() => told.push("client"));
  client.dontNotifyOnDisconnect(() => {});
  const waiting = failed(root.callRemote("wait"));
  await settled();
  await client.close();
  assert.deepEqual(await server.closed, {
    code: 1000,
    reason: "The connection was closed.",
    reconnect: false,
  });
  assert.equal((await waiting).type, "PBConnectionLost");
  assert.deepEqual(told.sort(), ["client", "server"]);
  for (const dead of [root.callRemote("echo"), client.getRootObject()]) {
    const { type, outcome } = await failed(dead);
    assert.deepEqual([type, outcome], ["DeadReferenceError", "not_executed"]);
  }
  baseline(server);
  baseline(client);
});

/** A server whose connections are pbweb's own, over real sockets. */
async function serve(handle) {
  const server = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    handleProtocols: () => "pb.json.1",
  });
  server.on("connection", handle);
  await new Promise((resolve) => server.on("listening", resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}/pb#x` };
}

test("over a real WebSocket, in both directions", async () => {
  const accepted = [];
  const { server, url } = await serve((socket) =>
    accepted.push(connect(socket, { names: { root: new FixtureRoot() } })),
  );
  const client = await connect(url, { WebSocket, names: { page: new Page() } });
  const root = await client.getRootObject();
  assert.equal(await root.callRemote("add", 1, 2), 3);
  const bytes = Uint8Array.from({ length: 3000 }, (_, at) => at);
  assert.deepEqual(await root.callRemote("echo", bytes), bytes);
  const [end] = await Promise.all(accepted);
  assert.equal(await end.remoteForName("page").callRemote("take", 4), 8);
  const waiting = failed(root.callRemote("wait"));
  await settled();
  end.close();
  assert.equal((await waiting).outcome !== undefined, true);
  assert.equal((await client.closed).code, 1000);
  baseline(client);
  baseline(end);
  server.close();
});

test("a connection that is cut ends everything", async () => {
  const sockets = [];
  const { server, url } = await serve((socket) => sockets.push(socket));
  const client = await connect(url, { WebSocket });
  const waiting = failed((await client.getRootObject()).callRemote("echo"));
  await settled();
  while (!sockets[0]) await settled();
  sockets[0].terminate();
  assert.equal((await waiting).type, "PBConnectionLost");
  assert.equal((await client.closed).code, 1006);
  baseline(client);
  server.close();
});

test("nobody there, no address, no WebSocket", async () => {
  const { server, url } = await serve(() => {});
  await new Promise((resolve) => server.close(resolve));
  const error = await failed(connect(url, { WebSocket }));
  assert.deepEqual([error.type, error.outcome], ["PBConnectionLost", "not_executed"]);
  assert.match(error.message, /^Could not connect to ws:.*: ?\d+\/pb \(1006: connect ECONNREFUSED/);
  assert.match((await failed(connect("./pb", { WebSocket }))).message, /no address here/);
  const { WebSocket: own } = globalThis; // which newer Nodes have
  globalThis.WebSocket = undefined;
  assert.match((await failed(connect("ws://localhost/pb"))).message, /pass one/);
  globalThis.WebSocket = own;
});

test("an address is resolved against the document's base, in a worker against its own", async (t) => {
  const opened = [];
  class Recorder {
    readyState = 0;
    constructor(url) {
      opened.push(url);
      setImmediate(() => this.onclose({ code: 1006, reason: "" }));
    }
  }
  t.after(() => {
    delete globalThis.document;
    delete globalThis.location;
  });
  globalThis.location = { href: "https://example.org/app/worker.js" };
  await failed(connect("./pb", { WebSocket: Recorder }));
  globalThis.document = { baseURI: "http://example.org/base/" };
  await failed(connect("./pb#part", { WebSocket: Recorder }));
  assert.deepEqual(opened, ["wss://example.org/app/pb", "ws://example.org/base/pb"]);
});

/** A transport whose other end is the test. */
function fake(more = {}) {
  const transport = {
    sent: [],
    closed: [],
    send: (message) => transport.sent.push(message),
    close: (code, reason) => transport.closed.push([code, reason]),
    onmessage: null,
    deliver: (...frames) => transport.onmessage({ data: JSON.stringify(frames) }),
    ...more,
  };
  return transport;
}

test("an attempt can be cancelled", async () => {
  const controller = new AbortController();
  const transport = fake({ readyState: 0 });
  const attempt = failed(connect(transport, { signal: controller.signal }));
  controller.abort("enough");
  assert.equal((await attempt).cause, "enough");
  assert.deepEqual(transport.closed, [[1000, ""]]);
  assert.equal(
    (await failed(connect(fake(), { signal: AbortSignal.abort() }))).type,
    "CancelledError",
  );
});

test("an attempt that was cancelled before ends quietly with `ws` as well", async () => {
  const options = { WebSocket, signal: AbortSignal.abort() };
  const attempt = failed(connect("ws://127.0.0.1:9/pb", options));
  assert.equal((await attempt).type, "CancelledError");
  await new Promise(setImmediate); // it has thrown by then, if it throws
});

test("a signal that comes when there is a connection changes nothing", async () => {
  const controller = new AbortController();
  const connection = await connect(fake(), { signal: controller.signal });
  controller.abort();
  assert.equal(connection.status, "connected");
  await connection.close();
});

test("a transport that does not open is waited for no longer than 10 s", async (t) => {
  const clock = new Clock(t);
  const controller = new AbortController();
  const transport = fake({ readyState: 0, url: "ws://there/pb" });
  const attempt = failed(connect(transport, { signal: controller.signal, onSession() {} }));
  await clock.pass(9);
  assert.deepEqual(transport.closed, []);
  await clock.pass(1);
  const { outcome, message } = await attempt;
  assert.equal(outcome, "not_executed");
  assert.match(
    message,
    /^Could not connect to ws:\/\/there\/pb \(4408: no answer in 10 s\)\. Does/,
  );
  assert.equal(transport.closed.length, 1);
  assert.equal(transport.onopen, null);
  assert.equal(clock.timers.size, 0);
  assert.deepEqual(getEventListeners(controller.signal, "abort"), []);
});

test("codes that a page may not close with are replaced", async () => {
  for (const [code, sent] of [
    [1003, 4400],
    [1007, 4400],
    [1009, 4413],
    [1011, 1000],
    [1012, 1000],
    [4410, 4410],
    [1000, 1000],
  ]) {
    const transport = fake();
    const connection = await connect(transport);
    transport.deliver(["version", 1], ["close", code, "why", false]);
    assert.deepEqual(transport.closed, [[sent, "why"]]);
    assert.equal((await connection.closed).code, code);
  }
});

test("a transport that fails to send is given up, and does no harm", async () => {
  for (const more of [{}, { readyState: 1 }]) {
    const logged = [];
    const transport = fake(more);
    const connection = await connect(transport, { log: (_error, where) => logged.push(where) });
    transport.deliver(["version", 1]);
    transport.send = () => {
      throw new Error("no");
    };
    const lost = failed((await connection.getRootObject()).callRemote("x"));
    assert.equal((await lost).type, "PBConnectionLost");
    assert.equal((await connection.closed).code, 1006);
    assert.deepEqual(logged, ["sending"]);
    assert.equal(transport.closed.length, 1);
    // Also where it fails at the end, or several messages wait, or the log fails as well.
    const other = fake(more);
    const last = await connect(other, { log: (_error, where) => logged.push(where) });
    other.send = transport.send;
    await last.close();
    assert.deepEqual(logged, ["sending", "sending"]);
    let tries = 0;
    const third = fake(more);
    const broken = () => {
      throw new Error("no log either");
    };
    const two = await connect(third, { log: broken });
    third.deliver(["version", 1, { binary: true }]);
    third.send = () => {
      tries++;
      throw new Error("no");
    };
    const root = await two.getRootObject();
    const calls = [1, 2].map(() => failed(root.callRemote("take", new Uint8Array(5000))));
    await Promise.all(calls);
    await two.closed;
    assert.equal(tries, 1);
  }
});

test("a transport that never says that it is closed is waited for no longer than 10 s", async (t) => {
  const clock = new Clock(t);
  const transport = fake({ readyState: 1 });
  const connection = await connect(transport);
  transport.deliver(["version", 1]);
  let isClosed = false;
  connection.close().then(() => {
    isClosed = true;
  });
  await clock.pass(9);
  assert.equal(isClosed, false);
  assert.equal(connection.status, "ended");
  transport.deliver(["ping", 0, 0]); // too late
  await clock.pass(1);
  assert.equal(isClosed, true);
});

test("the address is the first one's for good, whatever becomes of the page's base", async (t) => {
  const clock = new Clock(t);
  const opened = [];
  class Recorder {
    readyState = 0;
    constructor(url) {
      opened.push([url, this]);
    }
    send() {}
  }
  t.after(() => {
    delete globalThis.document;
  });
  globalThis.document = { baseURI: "http://example.org/app/" };
  const attempt = connect("pb", { WebSocket: Recorder });
  const [[, first]] = opened;
  first.onopen();
  const connection = await attempt;
  const ticket = { session: "id", secret: "s", window: 60, resumed: false };
  first.onmessage({ data: JSON.stringify(["version", 1, ticket]) });
  globalThis.document.baseURI = "http://evil.example/";
  first.onclose({ code: 1006 });
  await clock.pass(2);
  assert.deepEqual(
    opened.map(([url]) => url),
    ["ws://example.org/app/pb", "ws://example.org/app/pb"],
  );
  await connection.close();
});

test("a transport that fails to close does no harm", async () => {
  const transport = fake({
    close: () => {
      throw new Error("no");
    },
  });
  const connection = await connect(transport);
  await connection.close();
});

test("what is published must be an object that can be called", async () => {
  const connection = await connect(fake());
  for (const object of [{}, 5, null, "x"])
    assert.throws(() => connection.setNameForLocal("x", object), /"x"/);
  class PerConnection extends Root {
    rootObject(given) {
      this.given = given;
      return new Page();
    }
  }
  const root = new PerConnection();
  connection.setNameForLocal("root", root);
  assert.equal(root.given, connection);
  assert.ok(connection.broker.exports.find("root") instanceof Page);
  await connection.close();
});

test("no version within 10 s, and a peer that is silent, are 4408 without a close frame", async (t) => {
  const clock = new Clock(t);
  const silent = fake();
  const first = await connect(silent);
  await clock.pass(10);
  assert.equal((await first.closed).code, 4408);
  assert.equal(silent.sent.length, 1);
  const transport = fake();
  const connection = await connect(transport);
  transport.deliver(["version", 1, { heartbeat: 15 }]);
  transport.sent.length = 0;
  await clock.pass(14);
  assert.deepEqual(transport.sent, []);
  await clock.pass(1);
  assert.deepEqual(transport.sent.splice(0), ['["ping",0,0]']);
  await clock.pass(7);
  transport.deliver(["pong", 0, 0]);
  await clock.pass(8);
  assert.equal(!!connection.broker.ending, false);
  await clock.pass(7);
  assert.deepEqual(transport.sent.splice(0), ['["ping",0,0]']);
  await clock.pass(8);
  assert.equal((await connection.closed).code, 4408);
  assert.deepEqual(transport.closed, [[4408, "The peer was silent for 23 s."]]);
});

test("a page that comes back asks at once, one that goes for good says so", async () => {
  const page = Object.assign(new EventTarget(), {
    document: { visibilityState: "hidden" },
  });
  const { addEventListener } = globalThis;
  globalThis.document = page.document;
  globalThis.addEventListener = page.addEventListener.bind(page);
  try {
    const transport = fake();
    const connection = await connect(transport);
    transport.deliver(["version", 1]);
    const asked = async () => {
      await settled();
      return transport.sent.splice(0).filter((message) => message.includes("ping")).length;
    };
    page.dispatchEvent(new Event("visibilitychange"));
    assert.equal(await asked(), 0);
    page.document.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    assert.equal(await asked(), 1);
    page.dispatchEvent(new Event("online"));
    assert.equal(await asked(), 1);
    page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
    assert.equal(await asked(), 1);
    page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
    assert.equal(!!connection.broker.ending, false);
    page.dispatchEvent(new Event("pagehide"));
    assert.equal((await connection.closed).code, 1000);
    assert.match(transport.sent.at(-1), /^\["close",1000,/);
  } finally {
    delete globalThis.document;
    if (addEventListener) globalThis.addEventListener = addEventListener;
    else delete globalThis.addEventListener;
  }
});

test("unexpected exceptions go to the log that was given, else to the console", async (t) => {
  class Buggy extends Referenceable {
    remote_bug() {
      throw new RangeError("a bug");
    }
  }
  const logged = [];
  for (const log of [(error, where) => logged.push([error.message, where]), undefined]) {
    const console = t.mock.method(globalThis.console, "error", () => {});
    const transport = fake();
    const connection = await connect(transport, { names: { root: new Buggy() }, log });
    transport.deliver(["version", 1], ["message", 1, "root", "bug"]);
    await connection.close();
    assert.equal(console.mock.callCount(), log ? 0 : 1);
    if (!log) assert.ok(!console.mock.calls[0].arguments[0].includes("bug")); // it is a format
    console.mock.restore();
  }
  assert.deepEqual(logged, [["a bug", `the peer's call of "bug"`]]);
});

/** What a portal of a Python server is for a page: it says what it was asked. */
class Portal extends Root {
  asked = [];
  async remote_login(kind, fields, mind) {
    this.asked.push([kind, fields]);
    if (kind === "guess") throw new UnauthorizedLogin("the login failed");
    return new Avatar(kind, mind);
  }
  remote_renew(avatar, kind, fields) {
    this.asked.push([avatar.kind, kind, fields]);
  }
}

class Avatar extends Referenceable {
  constructor(kind, mind) {
    super();
    Object.assign(this, { kind, mind });
  }
  remote_ask(value) {
    return this.mind.callRemote("take", value);
  }
}

test("logging in and renewing", async () => {
  const { port1, port2 } = new MessageChannel();
  const portal = new Portal();
  const [server, client] = await Promise.all([
    connect(port1, { names: { root: portal } }),
    connect(port2),
  ]);
  const avatar = client.login({ username: "alice", password: "x" }, new Page());
  assert.equal(await avatar.callRemote("ask", 21), 42); // without waiting for the login
  await client.renew(avatar, { token: "t" });
  await client.renew(await avatar, { token: "u" });
  for (const credentials of [
    { token: "t" },
    { kind: "identity" },
    { kind: "apikey", key: 7 },
    {},
  ]) {
    await client.login(credentials);
  }
  await client.login();
  const error = await failed(client.login({ kind: "guess" }));
  assert.ok(error instanceof UnauthorizedLogin);
  assert.deepEqual(portal.asked, [
    ["password", { username: "alice", password: "x" }],
    ["password", "token", { token: "t" }],
    ["password", "token", { token: "u" }],
    ["token", { token: "t" }],
    ["identity", {}],
    ["apikey", { key: 7 }],
    ["anonymous", {}],
    ["anonymous", {}],
    ["guess", {}],
  ]);
  await client.close();
  await server.closed;
});

test("what are no credentials are no guest's", async () => {
  const { port1, port2 } = new MessageChannel();
  const portal = new Portal();
  const [server, client] = await Promise.all([
    connect(port1, { names: { root: portal } }),
    connect(port2),
  ]);
  for (const wrong of ["alice", null, 7, { user: "alice" }, { password: "x" }]) {
    const isCredentials = { name: "TypeError", message: /^Credentials are/ };
    assert.throws(() => client.login(/** @type {any} */ (wrong)), isCredentials);
  }
  assert.deepEqual(portal.asked, []);
  await Promise.all([server.close(), client.close()]);
});

test("before a login that is required messages are short and calls few", async () => {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage('["version",1,{"login":1000,"login_calls":3,"limits":{"message":5000}}]');
  /** Answer each call: a token "no" is refused, all else is an object. */
  port1.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    for (const [name, id, , , args] of typeof message[0] === "string" ? [message] : message) {
      if (name !== "message") continue;
      const failure = { $: "failure", type: "UnauthorizedLogin", message: "m", parents: [] };
      const isRefused = args?.[1]?.token === "no";
      const answer = isRefused ? ["error", id, failure] : ["answer", id, { $: "remote", id }];
      port1.postMessage(JSON.stringify(answer));
    }
  };
  const client = await connect(port2);
  const long = "x".repeat(2000);
  while (client.broker.peer.limits.message !== 1000) await settled();
  const root = await client.getRootObject();
  assert.match((await failed(root.callRemote("echo", long))).message, /^message: /);
  await failed(client.login({ token: "no" }));
  assert.match((await failed(root.callRemote("echo", long))).message, /^message: /);
  assert.equal(client.broker.peer.limits.calls, 3);
  const login = client.login({ token: "yes" });
  const calls = Array.from({ length: 9 }, () => login.callRemote("echo"));
  assert.equal(client.broker.statistics().waiting + client.broker.admitted, 3);
  await Promise.all(calls);
  await root.callRemote("echo", long);
  assert.equal(client.broker.peer.limits.message, 5000);
  assert.equal(client.broker.peer.limits.calls, 256);
  port1.close();
  await client.close();
});

/** A transport that is open, and what is done with it. */
function openTransport() {
  const done = { sent: [], closed: [] };
  const transport = {
    readyState: 1,
    onmessage: null,
    send: (text) => done.sent.push(JSON.parse(text)),
    close: (code) => {
      if (code !== 1000 && (code < 3000 || code > 4999)) throw new RangeError("no such code");
      done.closed.push(code);
      transport.readyState = 3;
      transport.onclose({ code });
    },
  };
  return { transport, done };
}

test("a connection whose onSession fails is closed: nobody has it", async () => {
  const { transport, done } = openTransport();
  const onSession = async () => {
    throw new TypeError("mine");
  };
  const error = await failed(connect(transport, { onSession, dial: () => assert.fail("again") }));
  assert.equal(error.message, "mine");
  assert.deepEqual(done.closed, [1000]);
});

test("a peer that closes with a code that there is not is left all the same", async () => {
  for (const code of [5000, 99999]) {
    const { transport, done } = openTransport();
    const connection = await connect(transport);
    transport.onmessage({ data: '["version",1]' });
    transport.onmessage({ data: JSON.stringify(["close", code, "", false]) });
    assert.equal((await connection.closed).code, code);
    assert.deepEqual(done.closed, [1000]);
  }
});
