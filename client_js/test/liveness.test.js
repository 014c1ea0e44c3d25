// How soon a link that is dead is known to be (docs/protocol.md, section 6), by a clock of the tests'.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../src/pbweb.js";
import { Clock } from "./support/clock.js";
import { framesOf, settled } from "./support/peer.js";

/** A page of which a test says whether it is seen. */
function newPage(t, visibilityState = "visible") {
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState });
  const { addEventListener } = globalThis;
  Object.assign(globalThis, { document, addEventListener: page.addEventListener.bind(page) });
  t.after(() => {
    delete globalThis.document;
    if (addEventListener) globalThis.addEventListener = addEventListener;
    else delete globalThis.addEventListener;
  });
  const come = (name) => page.dispatchEvent(new Event(name));
  return {
    come,
    document,
    show() {
      document.visibilityState = "visible";
      come("visibilitychange");
    },
  };
}

/** A server at the other end of a link that can be dead: it answers what it is asked, and asks itself. */
class Server {
  isDead = false;
  /** Frames that came, with the time. */
  frames = [];
  sent = 0;
  heard = 0;

  constructor(clock) {
    this.clock = clock;
    this.transport = {
      readyState: 1,
      onmessage: null,
      send: (message) => this.#take(message),
      close: () => {
        this.closedAt ??= clock.time;
      },
    };
  }

  #take(message) {
    if (this.isDead) return;
    this.heard = this.clock.time;
    for (const frame of framesOf(message)) {
      this.frames.push([this.clock.time, frame]);
      if (frame[0] === "message") this.received = (this.received ?? 0) + 1;
      if (frame[0] === "ping")
        queueMicrotask(() => this.say(["pong", this.received ?? 0, this.sent]));
    }
  }

  say(...frames) {
    if (!this.isDead) this.transport.onmessage?.({ data: JSON.stringify(frames) });
  }

  /** Let time pass, second by second; after 15 s of silence the server asks. */
  async pass(seconds) {
    for (let left = seconds; left > 0; left--) {
      await this.clock.pass(Math.min(left, 1));
      if (this.clock.time - this.heard >= 15) {
        this.heard = this.clock.time;
        this.say(["ping", this.received ?? 0, this.sent]);
        await settled();
      }
    }
  }

  asked() {
    return this.frames.filter(([, [name]]) => name === "ping").length;
  }
}

async function connected(clock) {
  const server = new Server(clock);
  const connection = await connect(server.transport, { log: assert.fail });
  server.say(["version", 1, { heartbeat: 15 }]);
  await settled();
  return { server, connection };
}

/** Seconds until a link that dies now is known to be dead. */
async function untilKnown(server) {
  server.isDead = true;
  const died = server.clock.time;
  while (!server.closedAt && server.clock.time < died + 300) await server.clock.pass(0.5);
  return server.closedAt - died;
}

const phases = (most) => Array.from({ length: 12 }, (_, at) => (at * most) / 12 + 0.1);

test("a silent link of an idle page is known within 25 s", async (t) => {
  const clock = new Clock(t);
  for (const phase of phases(40)) {
    const { server, connection } = await connected(clock);
    await server.pass(phase);
    assert.equal(connection.status, "connected");
    const seconds = await untilKnown(server);
    assert.ok(seconds <= 25, `${seconds} s after ${phase}`);
    assert.equal((await connection.closed).code, 4408);
    assert.match((await connection.closed).reason, /^The peer was silent for 2\d s\.$/);
  }
});

test("one with a call that waits within 15 s, whenever the call is made", async (t) => {
  const clock = new Clock(t);
  for (const phase of phases(40)) {
    const { server, connection } = await connected(clock);
    const root = await connection.getRootObject();
    await server.pass(phase);
    const call = root.callRemote("wait");
    call.catch(() => {});
    await settled();
    const seconds = await untilKnown(server);
    assert.ok(seconds <= 15, `${seconds} s after ${phase}`);
    await assert.rejects(call, { type: "PBConnectionLost", outcome: "unknown" });
  }
});

test("a call that waits for long keeps nobody from being connected", async (t) => {
  const clock = new Clock(t);
  const { server, connection } = await connected(clock);
  const call = (await connection.getRootObject()).callRemote("wait");
  call.catch(() => {});
  await server.pass(600);
  assert.equal(connection.status, "connected");
  assert.ok(server.asked() <= 600 / 6, `${server.asked()} pings`);
  connection.close();
});

test("in a hidden tab, whose timers run once a minute, within 90 s", async (t) => {
  const clock = new Clock(t);
  newPage(t, "hidden");
  for (const phase of phases(60)) {
    const { server } = await connected(clock);
    clock.throttle = 60;
    await server.pass(phase);
    const seconds = await untilKnown(server);
    assert.ok(seconds <= 90, `${seconds} s after ${phase}`);
    clock.throttle = 0;
  }
});

test("a hidden tab is not taken for dead, and answers without its timers", async (t) => {
  const clock = new Clock(t);
  newPage(t, "hidden");
  for (const phase of [0, 7, 23, 41]) {
    const { server, connection } = await connected(clock);
    clock.throttle = 60;
    await server.pass(phase);
    for (let minute = 0; minute < 10; minute++) {
      await server.pass(60);
      assert.equal(connection.status, "connected", `${phase}, minute ${minute}`);
    }
    // Each answer came when it was asked for.
    const { frames } = server;
    await server.clock.pass(1);
    server.say(["ping", 0, 0]);
    await settled();
    assert.deepEqual(frames.at(-1), [clock.time, ["pong", 0, 0]]);
    // What is received is acknowledged by the code that receives: no timer has run.
    const before = frames.length;
    for (let n = 1; n <= 64; n++) server.say(["message", n, "root", "x"]);
    await settled();
    const acks = frames.slice(before).filter(([, [name]]) => name === "ack");
    assert.ok(acks.length, JSON.stringify(acks));
    clock.throttle = 0;
    connection.close();
  }
});

test("a tab that is seen again knows within 5 s", async (t) => {
  const clock = new Clock(t);
  const page = newPage(t, "hidden");
  for (const phase of phases(60)) {
    page.document.visibilityState = "hidden";
    clock.throttle = 60;
    const { server } = await connected(clock);
    await server.pass(phase);
    server.isDead = true;
    await clock.pass(20);
    const seen = clock.time;
    clock.throttle = 0;
    page.show();
    await clock.pass(5);
    assert.ok(server.closedAt <= seen + 5, `${server.closedAt - seen} s after ${phase}`);
  }
});

for (const seen of ["visible", "hidden"]) {
  test(`a link that is busy with what is large is not dead while it moves, in a ${seen} tab`, async (t) => {
    const clock = new Clock(t);
    newPage(t, seen);
    const { server, connection } = await connected(clock);
    const call = (await connection.getRootObject()).callRemote("take", "x".repeat(1_000_000));
    call.catch(() => {});
    await settled();
    server.isDead = true; // it has not all of the message, and says nothing
    const { transport } = server;
    for (let left = 1_000_000; left > 0; left -= 20_000) {
      transport.bufferedAmount = left;
      await clock.pass(1);
      assert.equal(connection.status, "connected");
    }
    const stuck = clock.time;
    await clock.pass(25);
    assert.equal(connection.status, "ended");
    assert.ok(server.closedAt - stuck <= 16, `${server.closedAt - stuck} s`);
  });
}

for (const name of ["online", "pageshow", "visibilitychange"]) {
  test(`the peer is asked on ${name}, and may take 5 s`, async (t) => {
    const clock = new Clock(t);
    const page = newPage(t);
    const { server, connection } = await connected(clock);
    await server.pass(3);
    page.come(name);
    await settled();
    assert.equal(server.asked(), 1);
    await server.pass(10);
    assert.equal(connection.status, "connected");
    server.isDead = true;
    page.come(name);
    const asked = clock.time;
    for (let second = 0; second < 4; second++) {
      await clock.pass(1);
      page.come(name); // again and again: that gives it no more time
    }
    await clock.pass(1);
    assert.equal(server.closedAt, asked + 5);
  });
}

test("a page that was frozen asks when it goes on", async (t) => {
  const clock = new Clock(t);
  const page = newPage(t);
  const { server, connection } = await connected(clock);
  await server.pass(3);
  clock.sleep(400);
  page.document.dispatchEvent(new Event("resume"));
  await settled();
  assert.equal(server.asked(), 1);
  await clock.pass(1);
  assert.equal(connection.status, "connected");
  connection.close();
});

for (const [name, sleep] of [
  ["whose clock stood still", (clock) => (clock.ahead += 3600)],
  ["whose clock went on", (clock) => clock.sleep(3600)],
]) {
  test(`a machine ${name} while it slept asks when it wakes`, async (t) => {
    const clock = new Clock(t);
    const { server, connection } = await connected(clock);
    await server.pass(2);
    sleep(clock);
    await clock.pass(6);
    assert.equal(server.asked(), 1);
    assert.equal(connection.status, "connected");
    server.isDead = true;
    sleep(clock);
    await clock.pass(6 + 5);
    assert.equal(connection.status, "ended");
  });

  test(`a machine ${name} asks again what it asked before it slept`, async (t) => {
    const clock = new Clock(t);
    const { server, connection } = await connected(clock);
    const { send } = server.transport;
    server.transport.send = () => {}; // it is lost with the sleep
    await clock.pass(20);
    server.transport.send = send;
    sleep(clock);
    await clock.pass(9);
    assert.equal(server.asked(), 1);
    assert.equal(connection.status, "connected");
    connection.close();
  });
}

test("before the version has come nothing is asked", async (t) => {
  const clock = new Clock(t);
  const page = newPage(t);
  const server = new Server(clock);
  const connection = await connect(server.transport);
  page.come("online");
  await clock.pass(9);
  assert.equal(server.asked(), 0);
  await clock.pass(1);
  assert.equal((await connection.closed).code, 4408);
});

test("a timer that is a little early, as they are, gives up nobody", async (t) => {
  const clock = new Clock(t);
  const { server, connection } = await connected(clock);
  server.isDead = true;
  await clock.pass(15);
  await clock.pass(7.99);
  const [[id, { run }]] = clock.timers;
  clock.timers.delete(id);
  run();
  assert.equal(connection.status, "connected");
  await clock.pass(0.02);
  assert.equal(connection.status, "ended");
});
