// A session that outlives its connection (docs/protocol.md, section 6), the client's side of it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connect, Referenceable } from "../src/pbweb.js";
import { Clock } from "./support/clock.js";
import { FixtureRoot } from "./support/fixture.js";
import { framesOf, Peer, settled } from "./support/peer.js";

const m = (id, name, ...args) => ["message", id, "root", name, args];
const TICKET = { session: "id", secret: "first", window: 60, resumed: false };
const names = { root: new FixtureRoot() };

const failed = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );

const resumable = () => new Peer({ names }).open(TICKET);
const resumed = (received, sent, secret = "second") => [
  "version",
  1,
  { ...TICKET, secret, resumed: true, received, sent },
];

/** The session has a connection again: what it says first. */
function rejoin(peer) {
  peer.session.rejoin();
  peer.messages.splice(0);
  peer.flush();
  return peer.messages.splice(0).flatMap(framesOf);
}

test("what the server did not receive is sent again byte for byte, and what was made meanwhile", async () => {
  const peer = await resumable();
  const list = [1];
  peer.root.callRemote("one", list);
  await settled();
  peer.root.callRemote("two", { a: "é" });
  await settled();
  const written = peer.messages.splice(0);
  list.push("changed");
  assert.equal(peer.session.detach(1006), true);
  assert.equal(peer.session.away, true);
  peer.root.callRemote("three");
  await settled();
  assert.deepEqual(peer.messages, []);
  const [version, ...more] = rejoin(peer);
  assert.deepEqual(version[2].resume, { session: "id", secret: "first", received: 0, sent: 3 });
  assert.deepEqual(more, []);
  await peer.feed(resumed(1, 0));
  assert.equal(peer.resumed, 1);
  const [message] = peer.messages;
  assert.equal(message, `[${written[1]},["message",3,"root","three"],["ack",0,3]]`);
  await peer.feed(["ack", 3, 0]);
  assert.equal(peer.session.detach(1001), true);
  assert.equal(rejoin(peer)[0][2].resume.secret, "second");
});

test("what comes behind the version that resumes is handled", async () => {
  const peer = await resumable();
  peer.session.detach(1006);
  rejoin(peer);
  await peer.feed(resumed(0, 1), m(1, "echo", 5), ["ping", 0, 1]);
  assert.deepEqual(peer.frames().at(-2), ["answer", 1, 5]);
  assert.equal(peer.broker.ending, null);
});

test("nothing that was owed to the old connection goes out on the new one", async () => {
  const peer = await resumable();
  await peer.feed(["ping", 0, 0]);
  peer.messages.splice(0);
  peer.session.probe();
  peer.session.detach(1006);
  rejoin(peer);
  await peer.feed(resumed(0, 0));
  assert.deepEqual(peer.frames(), []);
});

test("an answer can be named until an ack comes behind the frames that could name it", async () => {
  const peer = await resumable();
  await peer.feed(m(1, "getCounter"));
  peer.frames();
  peer.session.detach(1006);
  rejoin(peer);
  // The server has the answer; a call of before that names it is still under way.
  await peer.feed(resumed(1, 2));
  await peer.feed(["message", 2, -1, "increment", [4]]);
  assert.deepEqual(peer.frames(), [["answer", 2, 4]]);
  assert.equal(peer.broker.answers.size, 2);
  await peer.feed(["ack", 2, 2]);
  assert.equal(peer.broker.answers.size, 0);
});

for (const [name, said] of [
  ["more than was written", resumed(2, 0)],
  ["less than was acknowledged", resumed(0, 0)],
  ["less sent than has come", resumed(1, -1)],
  ["no counts", ["version", 1, { ...TICKET, resumed: true }]],
  ["counts that are no integers", resumed("1", 0.5)],
  ["no secret", resumed(1, 0, 5)],
]) {
  test(`a server that resumes with ${name} breaks the protocol`, async () => {
    const peer = await resumable();
    peer.root.callRemote("one").catch(() => {});
    await settled();
    await peer.feed(["ack", 1, 0]);
    peer.session.detach(1006);
    rejoin(peer);
    await peer.feed(said);
    assert.equal(peer.broker.ending.code, 4400);
  });
}

test("a session that cannot be resumed tells what is known of its calls", async () => {
  const peer = await resumable();
  const lost = ["one", "two", "three"].map((name) => failed(peer.root.callRemote(name)));
  await settled();
  const named = failed(peer.root.callRemote("get").callRemote("it"));
  await settled();
  peer.session.detach(1006);
  const unsent = failed(peer.root.callRemote("four"));
  rejoin(peer);
  const said = ["version", 1, { ...TICKET, resumed: false, why: "expired", received: 2 }];
  await peer.feed(said, m(1, "echo", 1));
  const outcomes = (await Promise.all([...lost, unsent, named])).map((error) => error.outcome);
  assert.deepEqual(outcomes, [
    "executed_answer_lost",
    "executed_answer_lost",
    "not_executed",
    "not_executed",
    "not_executed",
  ]);
  assert.equal(peer.broker.ending.reconnect, true);
  assert.equal(peer.closed, null);
  assert.deepEqual(
    peer.refusals.map((data) => JSON.parse(data)[0]),
    [said],
  );
});

test("of what was written nothing is known when the server does not say", async () => {
  const peer = await resumable();
  const lost = failed(peer.root.callRemote("one"));
  await settled();
  peer.session.detach(1006);
  const unsent = failed(peer.root.callRemote("two"));
  rejoin(peer);
  await peer.feed(["version", 1, { resumed: false, why: "unknown" }]);
  assert.equal((await lost).outcome, "unknown");
  assert.equal((await unsent).outcome, "not_executed");
});

test("some codes end the session, others its connection alone", async () => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 4408]) {
    assert.equal((await resumable()).session.detach(code), true, String(code));
  }
  for (const code of [1003, 1007, 1009, 1012, 1013, 4400, 4401, 4403, 4409, 4410, 4413, 4440]) {
    assert.equal((await resumable()).session.detach(code), false, String(code));
  }
  const without = await new Peer({ names }).open();
  assert.equal(without.session.detach(1006), false);
});

test("a session that fails before the server was asked for it tells nobody", async () => {
  const peer = await resumable();
  peer.session.detach(1006);
  peer.session.rejoin();
  peer.session.fail(4413, "too much");
  assert.deepEqual(peer.messages, []);
  assert.equal(peer.broker.ending.code, 4413);
  assert.deepEqual(peer.session.takeMessages(), []);
});

test("a window that is full is no stall while there is no connection", async () => {
  const peer = await resumable();
  peer.root.callRemote("one", "x".repeat(1_100_000 / 4)).catch(() => {});
  for (let n = 0; n < 5; n++) peer.root.callRemote("one", "x".repeat(300_000)).catch(() => {});
  await settled();
  peer.session.detach(1006);
  await peer.pass(59);
  assert.equal(peer.broker.ending, null);
  rejoin(peer);
  await peer.feed(resumed(0, 0));
  await peer.pass(11);
  assert.equal(peer.broker.ending.code, 4440);
});

// The shell.

/** An address whose transports are the test's. */
function dialed() {
  const transports = [];
  const dial = () => {
    const transport = {
      readyState: 0,
      sent: [],
      closed: [],
      send: (message) => transport.sent.push(...framesOf(message)),
      close: (...how) => transport.closed.push(how),
      deliver: (...frames) => transport.onmessage({ data: JSON.stringify(frames) }),
      open: () => {
        transport.readyState = 1;
        transport.onopen();
      },
      lose: (code = 1006) => {
        transport.readyState = 3;
        transport.onclose({ code, reason: "" });
      },
    };
    transports.push(transport);
    return transport;
  };
  return { transports, dial };
}

async function connected(t, options = {}) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { transports, dial } = dialed();
  const events = [];
  const attempt = connect(dial(), { dial, ...options });
  transports[0].open();
  const connection = await attempt;
  for (const name of ["interrupted", "resumed", "ended"]) {
    connection.addEventListener(name, () => events.push([name, connection.status]));
  }
  transports[0].deliver(["version", 1, TICKET]);
  return { connection, transports, events };
}

/** The next transport, when its time has come. */
async function next(t, transports) {
  const { length } = transports;
  for (let turn = 0; turn < 50 && transports.length === length; turn++) t.mock.timers.tick(500);
  assert.equal(transports.length, length + 1);
  return transports.at(-1);
}

test("a connection that is lost is made again, and the application is told", async (t) => {
  const { connection, transports, events } = await connected(t);
  const root = await connection.getRootObject();
  const answer = root.callRemote("echo", 1);
  transports[0].lose();
  assert.equal(connection.status, "interrupted");
  (await next(t, transports)).lose(); // nobody is there yet
  const transport = await next(t, transports);
  transport.open();
  assert.deepEqual(transport.sent[0][2].resume, {
    session: "id",
    secret: "first",
    received: 0,
    sent: 1,
  });
  transport.deliver(resumed(0, 0));
  await settled();
  assert.deepEqual(transport.sent[1], m(1, "echo", 1));
  transport.deliver(["answer", 1, 1]);
  assert.equal(await answer, 1);
  assert.deepEqual(events, [
    ["interrupted", "interrupted"],
    ["resumed", "connected"],
  ]);
  connection.close();
  transport.lose(1000);
  await connection.closed;
  assert.deepEqual(events.at(-1), ["ended", "ended"]);
});

test("when the window has passed the connection is over, if the application sets up no other", async (t) => {
  const clock = new Clock(t);
  const { transports, dial } = dialed();
  const attempt = connect(dial(), { dial });
  transports[0].open();
  const connection = await attempt;
  const events = [];
  connection.addEventListener("ended", () => events.push(connection.status));
  transports[0].deliver(["version", 1, TICKET]);
  const lost = failed((await connection.getRootObject()).callRemote("echo", 1));
  await settled();
  transports[0].lose();
  for (let seconds = 0; seconds < 61; seconds += 1) {
    assert.equal(connection.status, seconds < 60 ? "interrupted" : "ended");
    await clock.pass(1);
    const last = transports.at(-1); // one that is made at last is given up with the session
    if (last.readyState === 0 && connection.status !== "ended") last.lose();
  }
  assert.equal((await lost).outcome, "unknown");
  assert.equal((await connection.closed).code, 1006);
  assert.deepEqual(events, ["ended"]);
});

test("a new session is set up as the first was, with what is published", async (t) => {
  const begun = [];
  const mine = new (class extends Referenceable {
    remote_add = undefined;
    remote_twice(n) {
      return 2 * n;
    }
  })();
  const onSession = (root, connection) => begun.push([root, connection]);
  const { connection, transports } = await connected(t, { onSession, names: { mine } });
  assert.equal(begun.length, 1);
  const root = await connection.getRootObject();
  transports[0].lose();
  const transport = await next(t, transports);
  transport.open();
  const fresh = { ...TICKET, session: "other", resumed: false, why: "unknown" };
  transport.deliver(["version", 1, fresh], ["message", 1, "mine", "twice", [4]]);
  await settled();
  assert.equal(begun.length, 2);
  assert.equal(begun[1][1], connection);
  assert.equal((await failed(root.callRemote("echo"))).type, "DeadReferenceError");
  assert.equal(connection.status, "connected");
  assert.deepEqual(
    transport.sent.filter(([name]) => name === "answer"),
    [["answer", 1, 8]],
  );
  begun[1][0].callRemote("echo", 1).catch(() => {});
  await settled();
  assert.deepEqual(transport.sent.at(-1), m(1, "echo", 1));
  // It is resumed in its turn.
  transport.lose();
  const another = await next(t, transports);
  another.open();
  assert.equal(another.sent[0][2].resume.session, "other");
});

for (const isRefused of [true, false]) {
  test(`a connection that is closed as a new session begins sets none up, ${isRefused ? "in the place of one that was to be resumed" : "after one that has ended"}`, async (t) => {
    let begun = 0;
    const onSession = () => begun++;
    const { connection, transports } = await connected(t, { onSession });
    const seen = [];
    connection.addEventListener("status", () => {
      seen.push(connection.status);
      if (connection.status === "connected") connection.close();
    });
    if (!isRefused) transports[0].deliver(["close", 1012, "restart", true]);
    transports[0].lose(isRefused ? 1006 : 1012);
    const transport = await next(t, transports);
    transport.open();
    if (isRefused) transport.deliver(["version", 1, { ...TICKET, resumed: false, why: "unknown" }]);
    transport.lose(1000);
    assert.equal((await connection.closed).code, 1000);
    assert.equal(begun, 1);
    assert.deepEqual(seen, ["interrupted", "connected", "ended"]);
    assert.deepEqual(
      transport.sent.map(([name]) => name),
      ["version", "close"],
    );
  });
}

test("a server that has no place for an old session gets rid of the new one that nobody wants", async (t) => {
  const { connection, transports } = await connected(t);
  transports[0].lose();
  const transport = await next(t, transports);
  transport.open();
  transport.deliver(["version", 1, { ...TICKET, why: "unknown" }]);
  assert.deepEqual(transport.sent.at(-1), ["close", 1000, "", false]);
  transport.lose(1000);
  assert.match((await connection.closed).reason, /could not be resumed: unknown/);
});

test("a server that says when to come back is heeded, one that does not want it as well", async (t) => {
  const begun = [];
  const { connection, transports } = await connected(t, { onSession: () => begun.push(1) });
  transports[0].deliver(["close", 1012, "restart", [30, 30]]);
  transports[0].lose(1012);
  t.mock.timers.tick(29_000);
  assert.equal(transports.length, 1);
  t.mock.timers.tick(2000);
  assert.equal(transports.length, 2);
  transports[1].open();
  assert.equal(transports[1].sent[0][2].resume, undefined);
  transports[1].deliver(["version", 1, TICKET]);
  assert.equal(begun.length, 2);
  transports[1].deliver(["close", 4410, "out", false]);
  transports[1].lose(4410);
  assert.equal((await connection.closed).code, 4410);
  t.mock.timers.tick(600_000);
  assert.equal(transports.length, 2);
});

test("a connection that is closed meanwhile is not made again", async (t) => {
  const { connection, transports } = await connected(t);
  transports[0].lose();
  await connection.close();
  t.mock.timers.tick(100_000);
  assert.equal(transports.length, 1);
});

test("a page that comes back connects at once", async (t) => {
  const page = Object.assign(new EventTarget(), { document: { visibilityState: "visible" } });
  const { addEventListener, document } = globalThis;
  Object.assign(globalThis, {
    document: page.document,
    addEventListener: page.addEventListener.bind(page),
  });
  t.after(() => Object.assign(globalThis, { addEventListener, document }));
  const { connection, transports } = await connected(t);
  for (const name of ["online", "visibilitychange", "pageshow"]) {
    const { length } = transports;
    transports.at(-1).lose(1001);
    assert.equal(transports.length, length);
    page.document.visibilityState = "hidden";
    page.dispatchEvent(new Event("visibilitychange"));
    assert.equal(transports.length, length);
    // A hidden tab is told as well, whose timers may be a minute late.
    if (name !== "online") page.document.visibilityState = "visible";
    page.dispatchEvent(new Event(name));
    assert.equal(transports.length, length + 1);
    page.dispatchEvent(new Event(name)); // it is under way
    assert.equal(transports.length, length + 1);
  }
  page.dispatchEvent(new Event("pagehide"));
  assert.equal((await connection.closed).code, 1000);
});

test("an attempt that fails is over, whatever is to be set up", async () => {
  const { transports, dial } = dialed();
  const attempt = failed(connect(dial(), { dial, onSession() {} }));
  transports[0].lose();
  assert.equal((await attempt).outcome, "not_executed");
  await settled();
  assert.equal(transports.length, 1);
});

/** When the transports of a server that is never there were made, in seconds. */
async function tried(t, { seconds, lost, random = 1, options = {}, page = () => {} }) {
  const clock = new Clock(t);
  t.mock.method(Math, "random", () => random);
  const { transports, dial } = dialed();
  const times = [];
  const timed = () => {
    times.push(clock.time - 1000);
    return dial();
  };
  const attempt = connect(timed(), { dial: timed, onSession() {}, ...options });
  transports[0].open();
  const connection = await attempt;
  transports[0].deliver(["version", 1, TICKET]);
  lost(transports[0]);
  for (let second = 0; second < seconds; second++) {
    const last = transports.at(-1);
    if (last.readyState === 0) last.lose();
    page(second);
    await clock.pass(1);
  }
  await connection.close();
  return times.slice(1);
}

const gaps = (times) => times.slice(1).map((time, at) => Math.round(time - times[at]));

test("tries become rarer, up to one in 20 s, and anew when the window of 60 s is over", async (t) => {
  const times = await tried(t, { seconds: 140, lost: (transport) => transport.lose() });
  assert.equal(times[0], 0.5);
  // A try that fails is noticed at the next full second.
  const beforeTheEnd = [2, 2, 4, 8, 16, 20, 4, 2, 1];
  assert.deepEqual(gaps(times), [...beforeTheEnd, 2, 2, 2, 4, 8, 16, 20, 20]);
});

for (const [name, range, random, first] of [
  ["at once", [0, 0], 0, 0.25],
  ["in years", [1e9, 1e9], 0, 300],
  ["in a range that is none", [30, 5], 1, 30],
]) {
  test(`a server that wants a client back ${name} is believed within bounds`, async (t) => {
    const lost = (transport) => {
      transport.deliver(["close", 1012, "restart", range]);
      transport.lose(1012);
    };
    const times = await tried(t, { seconds: 301, lost, random });
    assert.equal(times[0], first);
  });
}

test("what a server asks for holds for the first try, and never for more than 10 in a minute", async (t) => {
  const clock = new Clock(t);
  t.mock.method(Math, "random", () => 0);
  const { transports, dial } = dialed();
  const attempt = connect(dial(), { dial, onSession() {} });
  transports[0].open();
  const connection = await attempt;
  // The server sends this client away each time.
  for (let turn = 0; turn < 600; turn++) {
    const last = transports.at(-1);
    if (last.readyState === 0) last.open();
    if (last.readyState === 1) {
      last.deliver(["version", 1, TICKET]);
      last.deliver(["close", 1012, "again", [0, 0]]);
      last.lose(1012);
    }
    await clock.pass(0.1);
  }
  assert.ok(transports.length <= 12, String(transports.length));
  assert.ok(transports.length > 9, String(transports.length));
  await connection.close();
});

test("a page that is shown again and again tries no more than 10 times a minute", async (t) => {
  const page = new EventTarget();
  const { addEventListener } = globalThis;
  globalThis.addEventListener = page.addEventListener.bind(page);
  t.after(() => {
    globalThis.addEventListener = addEventListener;
  });
  const times = await tried(t, {
    seconds: 58,
    lost: (transport) => transport.lose(),
    page: () => page.dispatchEvent(new Event("online")),
  });
  assert.equal(times.length, 10);
  assert.ok(times.at(-1) < 12);
});

for (const code of [1013, 4429]) {
  test(`after ${code} a client comes back in 5 s at the soonest`, async (t) => {
    const lost = (transport) => transport.lose(code);
    const [first, second] = await tried(t, { seconds: 30, lost });
    assert.equal(first, 5.5);
    assert.ok(second - first < 2);
  });
}

test("a connection that held for a while is tried as if for the first time", async (t) => {
  const clock = new Clock(t);
  t.mock.method(Math, "random", () => 1);
  const { transports, dial } = dialed();
  const attempt = connect(dial(), { dial });
  transports[0].open();
  const connection = await attempt;
  transports[0].deliver(["version", 1, TICKET]);
  const back = async () => {
    const { length } = transports;
    const lostAt = clock.time;
    transports.at(-1).lose();
    while (transports.length === length) await clock.pass(0.25);
    return clock.time - lostAt;
  };
  assert.deepEqual([await back(), await back(), await back()], [0.5, 1, 2]);
  transports.at(-1).open();
  transports.at(-1).deliver(resumed(0, 0));
  await clock.pass(9);
  assert.equal(await back(), 4);
  transports.at(-1).open();
  transports.at(-1).deliver(resumed(0, 0, "third"));
  await clock.pass(11);
  assert.equal(await back(), 0.5);
  await connection.close();
});

test("a connection that does not come about in 10 s is given up for another", async (t) => {
  const { connection, transports } = await connected(t);
  transports[0].lose();
  const hanging = await next(t, transports);
  t.mock.timers.tick(10_000);
  assert.deepEqual(hanging.closed, [[4408, "No version came in 10 s."]]);
  const transport = await next(t, transports);
  transport.open();
  transport.deliver(resumed(0, 0));
  assert.equal(connection.status, "connected");
  assert.equal(hanging.onopen, null);
  connection.close();
});

test("a dial that throws is logged, and tried again", async (t) => {
  const logged = [];
  const { transports, dial } = dialed();
  let isBroken = false;
  const breaking = () => {
    if (isBroken) throw new Error("no more");
    return dial();
  };
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const log = (error, where) => logged.push([error.message, where]);
  const attempt = connect(breaking(), { dial: breaking, log });
  transports[0].open();
  const connection = await attempt;
  transports[0].deliver(["version", 1, TICKET]);
  isBroken = true;
  transports[0].lose();
  t.mock.timers.tick(500);
  assert.deepEqual(logged, [["no more", "connecting again"]]);
  isBroken = false;
  (await next(t, transports)).open();
  transports[1].deliver(resumed(0, 0));
  assert.equal(connection.status, "connected");
  connection.close();
});

test("a transport that fails to send is lost, and another goes on with what it lost", async (t) => {
  const logged = [];
  const log = (error, where) => logged.push([error.message, where]);
  const { connection, transports } = await connected(t, { log });
  transports[0].send = () => {
    throw new Error("broken");
  };
  const answer = (await connection.getRootObject()).callRemote("echo", 1);
  await settled();
  assert.deepEqual(logged, [["broken", "sending"]]);
  assert.equal(connection.status, "interrupted");
  assert.equal(transports[0].closed.length, 1);
  const transport = await next(t, transports);
  transport.open();
  transport.deliver(resumed(0, 0));
  await settled();
  transport.deliver(["answer", 1, 1]);
  assert.equal(await answer, 1);
  connection.close();
});

for (const onSession of [undefined, (root) => root]) {
  const what = onSession ? "it carries a new session" : "it is given up";
  test(`when the window passes while a connection is made, ${what}`, async (t) => {
    const clock = new Clock(t);
    t.mock.method(Math, "random", () => 1);
    const { transports, dial } = dialed();
    const attempt = connect(dial(), { dial, onSession });
    transports[0].open();
    const connection = await attempt;
    transports[0].deliver(["version", 1, TICKET]);
    const lost = failed((await connection.getRootObject()).callRemote("x"));
    await settled();
    transports[0].lose();
    await clock.pass(59);
    assert.equal(connection.status, "interrupted");
    const last = transports.at(-1);
    assert.deepEqual([last.readyState, last.closed], [0, []]);
    await clock.pass(1);
    assert.equal((await lost).outcome, "unknown");
    if (onSession) {
      assert.equal(connection.status, "interrupted");
      last.open();
      assert.equal(connection.status, "connected");
      assert.equal(last.sent[0][2].resume, undefined);
      connection.close();
      last.lose(1000);
    } else {
      assert.equal((await connection.closed).reason, "The window has passed");
      assert.equal(last.closed.length, 1);
    }
    await connection.closed;
    assert.equal(connection.status, "ended");
  });
}

test("a server that was asked in time may answer when the window has passed", async (t) => {
  const clock = new Clock(t);
  t.mock.method(Math, "random", () => 1);
  for (const isAnswered of [true, false]) {
    const { transports, dial } = dialed();
    const attempt = connect(dial(), { dial });
    transports[0].open();
    const connection = await attempt;
    transports[0].deliver(["version", 1, { ...TICKET, window: 5 }]);
    transports[0].lose();
    await clock.pass(1);
    transports[1].lose();
    await clock.pass(1);
    transports[2].open();
    await clock.pass(4);
    assert.equal(connection.status, "interrupted");
    if (isAnswered) {
      transports[2].deliver(resumed(0, 0));
      assert.equal(connection.status, "connected");
      await Promise.race([connection.close(), clock.pass(10)]);
    } else {
      await clock.pass(7);
      assert.equal(connection.status, "ended");
      assert.equal((await connection.closed).reason, "The window has passed");
    }
  }
});

test("a new session begins when there is a connection, and what fails in its set-up is told", async (t) => {
  const clock = new Clock(t);
  const logged = [];
  const begun = [];
  let fails = false;
  const { transports, dial } = dialed();
  const attempt = connect(dial(), {
    dial,
    log: (error, where) => logged.push([error.message, where]),
    async onSession(root) {
      begun.push(clock.time);
      if (fails) throw new Error("no board");
      if (begun.length > 1) await root.callRemote("getBoard");
    },
  });
  transports[0].open();
  const connection = await attempt;
  const events = [];
  for (const name of ["interrupted", "resumed", "ended", "status"]) {
    connection.addEventListener(name, () => events.push(`${name}: ${connection.status}`));
  }
  transports[0].deliver(["version", 1]); // no window
  /** The one that is there is lost; the next one. */
  const another = async () => {
    const { length } = transports;
    transports.at(-1).lose();
    while (transports.length === length) await clock.pass(0.1);
    return transports.at(-1);
  };
  for (let tries = 0; tries < 3; tries++) await another();
  assert.equal(begun.length, 1);
  (await another()).open();
  assert.equal(begun.length, 2);
  const last = await another(); // the set-up was lost with its session: the next one is to come
  assert.deepEqual(logged, []);
  fails = true;
  last.open();
  await settled();
  assert.deepEqual(logged, [["no board", "onSession"]]);
  connection.close();
  transports.at(-1).lose(1000);
  await connection.closed;
  assert.deepEqual(events, [
    "interrupted: interrupted",
    "status: interrupted",
    "status: connected",
    "interrupted: interrupted",
    "status: interrupted",
    "status: connected",
    "ended: ended",
    "status: ended",
  ]);
});

test("what a page closes while another connection is made stays closed", async (t) => {
  for (const hasSession of [true, false]) {
    const { connection, transports } = await connected(t, { onSession() {} });
    if (!hasSession) transports[0].deliver(["close", 1012, "restart", true]);
    transports[0].lose(1012);
    const transport = await next(t, transports);
    await connection.close();
    await connection.close();
    assert.equal(transport.closed.length, 1);
    assert.equal(transport.onopen, null);
    assert.equal(connection.status, "ended");
    t.mock.timers.reset();
  }
});

for (const hasSession of [true, false]) {
  test(`what is closed by who is told that it is interrupted stays closed, ${hasSession ? "with" : "without"} a session`, async (t) => {
    const logged = [];
    const log = (...what) => logged.push(what);
    const { connection, transports, events } = await connected(t, { log, onSession() {} });
    connection.addEventListener("interrupted", () => connection.close());
    if (!hasSession) transports[0].deliver(["close", 1012, "restart", true]);
    transports[0].lose(1012 - 6 * hasSession);
    await connection.closed;
    t.mock.timers.tick(100_000);
    assert.equal(transports.length, 1);
    assert.deepEqual(logged, []);
    assert.deepEqual(events, [
      ["interrupted", "interrupted"],
      ["ended", "ended"],
    ]);
  });
}

test("a connection whose session has ended is interrupted until another has begun", async (t) => {
  const { connection, transports, events } = await connected(t, { onSession() {} });
  const seen = [];
  connection.notifyOnDisconnect(() => seen.push(connection.status, events.length));
  transports[0].deliver(["close", 1012, "restart", [1, 1]]);
  assert.deepEqual(seen, ["interrupted", 0]);
  assert.equal(connection.status, "interrupted");
  assert.deepEqual(events, [["interrupted", "interrupted"]]);
  transports[0].lose(1012);
  (await next(t, transports)).open();
  assert.equal(connection.status, "connected");
  assert.equal(events.length, 1);
  connection.close();
});

test("a message that no connection survives is not sent again for longer than the window", async (t) => {
  const clock = new Clock(t);
  const { transports, dial } = dialed();
  const attempt = connect(dial(), { dial });
  transports[0].open();
  const connection = await attempt;
  transports[0].deliver(["version", 1, TICKET]);
  const lost = failed((await connection.getRootObject()).callRemote("take", "large"));
  await settled();
  transports[0].lose();
  for (let second = 0; second < 61; second++) {
    await clock.pass(1);
    const last = transports.at(-1);
    if (!last.onopen) continue; // it is given up
    last.open();
    last.deliver(resumed(0, 0));
    await settled();
    last.lose(1006);
  }
  assert.equal(connection.status, "ended");
  assert.equal((await lost).outcome, "unknown");
});

test("a connection that is taken over is not made again: two that have one secret do not fight", async (t) => {
  const { connection, transports } = await connected(t, { onSession() {} });
  transports[0].lose(4409);
  assert.equal((await connection.closed).code, 4409);
  t.mock.timers.tick(600_000);
  assert.equal(transports.length, 1);
});

test("answers for which there is no room wait while there is no connection", async () => {
  const peer = await resumable();
  const long = "x".repeat(300_000);
  for (const id of [1, 2, 3, 4, 5, 6]) await peer.feed(m(id, "echo", long));
  peer.messages.splice(0);
  peer.session.detach(1006);
  await peer.pass(50);
  assert.equal(peer.statistics().running, 2);
  assert.equal(peer.broker.ending, null);
  rejoin(peer);
  await peer.feed(resumed(4, 6));
  await settled();
  const ids = peer.frames().map(([name, id]) => [name, id]);
  assert.deepEqual(ids, [
    ["answer", 5],
    ["answer", 6],
  ]);
  assert.equal(peer.statistics().running, 0);
});

// The vectors (tests/vectors/README.md).

const read = (name) =>
  JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}.json`, import.meta.url), "utf8"));

/** What a vector shows of a frame: of a `version` what it asks for, of a failure its type. */
function shown(frame) {
  const [name, id, value] = frame;
  if (name === "version") return [name, id, { resume: value.resume }];
  if (name === "error") return [name, id, { $: "failure", type: value.type }];
  return frame;
}

for (const { name, steps } of read("resume")) {
  test(`resume: ${name}`, async () => {
    const peer = new Peer({ names: { root: new FixtureRoot() } });
    const calls = [];
    const sent = async () => {
      await settled();
      if (!peer.lost) peer.flush();
      return peer.messages
        .splice(0)
        .flatMap(framesOf)
        .filter(([name, , said]) => name !== "ack" && (name !== "version" || said.resume))
        .map((frame) => shown(frame));
    };
    for (const { call, receive, send, lose, back, close, outcomes } of steps) {
      if (call) {
        const [name, ...args] = call;
        const one = { outcome: "waiting" };
        calls.push(one);
        peer.root.callRemote(name, ...args).then(
          () => {
            one.outcome = "answered";
          },
          (error) => {
            one.outcome = error.outcome;
          },
        );
      } else if (receive) await peer.feed(...receive);
      else if (send) assert.deepEqual(await sent(), send);
      else if (lose) {
        if (!peer.session.detach(lose)) peer.session.end(lose, "");
        assert.deepEqual(await sent(), []);
      } else if (back) peer.session.rejoin();
      else if (close) {
        assert.deepEqual(
          (await sent()).map(([name, code]) => [name, code]),
          [["close", close]],
        );
        assert.equal(peer.broker.ending.code, close);
      } else {
        await settled();
        assert.deepEqual(
          calls.map(({ outcome }) => outcome),
          outcomes,
        );
      }
    }
    peer.session.end(1000, "", false);
    await settled();
    const left = Object.entries(peer.broker.statistics()).filter(([, count]) => count);
    assert.deepEqual(left, []);
  });
}
