import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBinary } from "../src/frames.js";
import { Referenceable } from "../src/pbweb.js";
import { newSession } from "../src/session.js";
import { VERSION } from "../src/version.js";
import { FixtureRoot } from "./support/fixture.js";
import { framesOf, Peer, pair, settled } from "./support/peer.js";

const m = (id, name, ...args) => ["message", id, "root", name, args];
const code = (peer) => peer.broker.ending?.code;

test("this side's version comes first, with its limits when they were given", async () => {
  const [first] = new Peer().session.takeMessages();
  const software = `pbweb-js/${VERSION}`;
  assert.deepEqual(JSON.parse(first), ["version", 1, { software, binary: true }]);
  const options = JSON.parse(new Peer({ limits: { calls: 5 } }).session.takeMessages()[0])[2];
  assert.deepEqual([options.limits.calls, options.limits.depth], [5, 100]);
  assert.throws(() => new Peer({ limits: { calls: 0 } }), RangeError);
});

test("calls ride with the handshake", () => {
  const peer = new Peer();
  peer.root.callRemote("echo", 1).catch(() => {});
  assert.deepEqual(
    framesOf(peer.session.takeMessages()[0]).map(([name]) => name),
    ["version", "message"],
  );
});

for (const [name, frames, expected] of [
  ["something else first", [m(1, "echo")], 4400],
  ["an ack first", [["ack", 0, 0]], 4400],
  ["another version", [["version", 2, {}]], 4426],
  ["version 0", [["version", 0]], 4426],
  [
    "two versions",
    [
      ["version", 1],
      ["version", 1],
    ],
    4400,
  ],
  ["wrong limits", [["version", 1, { limits: { calls: 0 } }]], 4400],
  ["limits that are no object", [["version", 1, { limits: 5 }]], 4400],
  ["a limit that is a string", [["version", 1, { limits: { depth: "5" } }]], 4400],
  ["a heartbeat of 0", [["version", 1, { heartbeat: 0 }]], 4400],
  ["a heartbeat that is a string", [["version", 1, { heartbeat: "15" }]], 4400],
  ["binary that is a number", [["version", 1, { binary: 1 }]], 4400],
  ["a refusal in place of a version", [["close", 4401, "log in", false]], 4401],
  [
    "a full version",
    [
      [
        "version",
        1,
        {
          software: "x",
          session: "s",
          secret: "t",
          window: 60,
          resumed: false,
          binary: true,
          heartbeat: 15,
          limits: { calls: 9, unknown: "x" },
        },
      ],
    ],
    undefined,
  ],
  ["a version that opens a batch", [["version", 1], m(0, "echo")], undefined],
]) {
  test(`the handshake: ${name}`, async () => {
    const peer = new Peer({ names: { root: new FixtureRoot() } });
    await peer.feed(...frames);
    assert.equal(code(peer), expected);
  });
}

test("an ack is owed after 32 frames, and goes last in a batch that goes out anyway", async () => {
  const peer = await new Peer({ names: { root: new FixtureRoot() } }).open();
  for (let id = 1; id <= 31; id++) await peer.feed(m(id, "echo", id));
  peer.flush();
  assert.ok(!peer.messages.some((message) => message.includes("ack")));
  peer.messages.length = 0;
  await peer.feed(m(32, "echo", 32));
  assert.deepEqual(
    peer.messages.map((message) => JSON.parse(message)),
    [
      [
        ["answer", 32, 32],
        ["ack", 32, 32],
      ],
    ],
  );
});

test("an ack is owed after 64 KiB, and after 250 ms without a timer's help", async () => {
  const peer = await new Peer({ names: { root: new FixtureRoot() } }).open();
  await peer.feed(m(0, "echo", "x".repeat(65536)));
  assert.deepEqual(peer.messages.splice(0), ['["ack",1,0]']);
  await peer.feed(m(0, "echo"));
  assert.deepEqual(peer.messages.splice(0), []);
  peer.time += 0.25;
  await peer.feed(m(0, "echo"));
  assert.deepEqual(peer.messages.splice(0), ['["ack",3,0]']);
  await peer.pass(1);
  await peer.feed(m(0, "echo"));
  await peer.pass(0.25);
  assert.deepEqual(peer.messages.splice(0), ['["ack",4,0]']);
  await peer.pass(10);
  assert.deepEqual(peer.messages.splice(0), []);
});

test("frames that are not counted owe no ack", async () => {
  const peer = await new Peer().open();
  for (let times = 0; times < 40; times++) await peer.feed(["ack", 0, 0]);
  await peer.pass(1);
  assert.deepEqual(peer.messages, []);
});

test("batches keep to the peer's limits", async () => {
  const peer = await new Peer().open({ limits: { batch: 3, message: 300 } });
  for (let times = 0; times < 7; times++) peer.root.callRemote("echo");
  peer.flush();
  assert.deepEqual(
    peer.messages.splice(0).map((message) => framesOf(message).length),
    [3, 3, 1],
  );
  for (let times = 0; times < 4; times++) peer.root.callRemote("echo", "x".repeat(80));
  peer.flush();
  for (const message of peer.messages) assert.ok(message.length <= 300);
  assert.equal(peer.messages.length, 2);
  peer.root.callRemote("echo", "x".repeat(300 - '["message",12,"root","echo",[""]]'.length));
  peer.flush();
  assert.equal(peer.messages.at(-1).length, 300);
});

test("limits are bytes, whatever the text is", async () => {
  for (const [text, limit] of [
    ["é".repeat(40), 300],
    ["é".repeat(40), 100000],
    ["€".repeat(20000), 100000],
  ]) {
    const peer = await new Peer().open({ limits: { message: limit } });
    for (let times = 0; times < 40; times++) peer.root.callRemoteOnly("echo", text);
    peer.flush();
    assert.equal(peer.messages.flatMap((message) => framesOf(message)).length, 40);
    for (const message of peer.messages) assert.ok(Buffer.byteLength(message) <= limit);
  }
  const peer = await new Peer().open({ limits: { message: 1000 } });
  const error = await peer.root.callRemote("echo", "€".repeat(330)).catch((caught) => caught);
  assert.equal(error.message, "message: 1022 is more than 1000.");
});

test("a full window holds calls back until it is acknowledged", async () => {
  const peer = await new Peer().open({ limits: { calls: 10000 } });
  for (let times = 0; times < 5000; times++) peer.root.callRemote("echo");
  assert.equal(peer.frames().length, 4096);
  await peer.feed(["ack", 100, 0]);
  assert.equal(peer.frames().length, 100);
  peer.time += 9;
  await peer.feed(["ack", 4196, 0]);
  assert.equal(peer.frames().length, 804);
  await peer.pass(100);
  assert.equal(code(peer), undefined);
});

test("a window that is full for 10 s with nothing acknowledged ends the session", async () => {
  const peer = await new Peer().open({ limits: { calls: 10000 } });
  const calls = [];
  for (let times = 0; times < 4097; times++)
    calls.push(peer.root.callRemote("echo").catch((error) => error));
  peer.flush();
  await peer.pass(9);
  await peer.feed(["ack", 0, 0]);
  await peer.pass(0.5);
  assert.equal(code(peer), undefined);
  await peer.pass(0.5);
  assert.equal(code(peer), 4440);
  const outcomes = (await Promise.all(calls)).map(({ outcome }) => outcome);
  assert.deepEqual([outcomes[0], outcomes[4096]], ["unknown", "not_executed"]);
});

test("small frames may use the window twice, no more", async () => {
  const peer = await new Peer({ names: { root: new FixtureRoot() } }).open();
  for (let id = 1; id <= 8192; id += 64) {
    await peer.feed(...Array.from({ length: 64 }, (_, at) => m(id + at, "fail", "x")));
  }
  assert.equal(code(peer), undefined);
  await peer.feed(m(8193, "fail", "x"));
  assert.equal(code(peer), 4440);
});

test("a frame that is larger than the window goes out when the peer takes it", async () => {
  const peer = await new Peer().open({ limits: { message: 1e7 } });
  const calls = [peer.root.callRemote("echo", "x".repeat(5e6)), peer.root.callRemote("echo", 2)];
  assert.equal(peer.frames().length, 1);
  await peer.feed(["ack", 1, 0], ["answer", 1, 1]);
  await peer.feed(["answer", 2, 2]);
  assert.deepEqual(await Promise.all(calls), [1, 2]);
});

test("a call whose arguments end the session is lost, not forgotten", async () => {
  const peer = await new Peer().open();
  const ending = {
    get x() {
      peer.session.fail(1000, "by an accessor");
      return 1;
    },
  };
  await assert.rejects(Promise.resolve(peer.root.callRemote("echo", ending)), {
    type: "DeadReferenceError",
  });
  assert.equal(peer.statistics().waiting, 0);
});

test("a reason of the peer's that is too long for a WebSocket is cut", async () => {
  const peer = await new Peer().open();
  await peer.feed(["close", 4410, "é".repeat(500), false]);
  assert.equal(peer.closed.reason, "é".repeat(61));
});

test("control frames are limited to so many a second", async () => {
  const peer = await new Peer().open();
  for (let times = 0; times < 20; times++) await peer.feed(["ping", 0, 0]);
  peer.time += 1;
  for (let times = 0; times < 20; times++) await peer.feed(["pong", 0, 0]);
  assert.equal(code(peer), undefined);
  await peer.feed(["ping", 0, 0]);
  assert.equal(code(peer), 4429);
});

test("a binary message is one counted frame", async () => {
  const peer = await new Peer({ names: { root: new FixtureRoot() } }).open({ binary: true });
  const data = new Uint8Array(2000).fill(9);
  peer.session.receive(encodeBinary('["message",1,"root","echo",[{"$":"bytes","at":0}]]', [data]));
  peer.flush();
  assert.deepEqual(new Uint8Array(peer.messages.splice(0)[0].buffer).subarray(-2000), data);
  await peer.feed(["ping", 1, 1]);
  assert.deepEqual(peer.frames(), [["pong", 1, 1]]);
});

test("after a close nothing of a batch is handled, and nothing is sent", async () => {
  const root = new FixtureRoot();
  const peer = await new Peer({ names: { root } }).open();
  await peer.feed(["close", 4410, "that was all", false], m(1, "keep", 5));
  assert.equal(root.kept, null);
  assert.deepEqual([peer.closed, peer.frames()], [{ code: 4410, reason: "that was all" }, []]);
  await peer.feed(m(2, "keep", 5));
  peer.session.fail(4400, "again");
  peer.session.probe();
  assert.deepEqual([root.kept, code(peer), peer.frames()], [null, 4410, []]);
});

test("a reason is cut at 123 bytes", async () => {
  const peer = await new Peer().open();
  peer.session.fail(4400, "é".repeat(100));
  assert.equal(peer.frames()[0][2], "é".repeat(61));
});

test("a session that ends tells everybody once, even when one raises", async () => {
  const [a, b] = await pair({ names: { root: new FixtureRoot() } });
  const told = [];
  const counter = await b.root.callRemote("getCounter");
  const unwanted = () => told.push("unwanted");
  b.broker.notifyOnDisconnect(() => {
    throw new Error("in a callback");
  });
  counter.notifyOnDisconnect((reference) => told.push(reference));
  counter.notifyOnDisconnect(unwanted);
  counter.dontNotifyOnDisconnect(unwanted);
  b.broker.notifyOnDisconnect(() => told.push("broker"));
  a.session.fail(1000, "bye");
  await settled();
  b.session.end(1006, "", true);
  assert.deepEqual(told, [counter, "broker"]);
  assert.match(b.logged[0].error.message, /in a callback/);
  b.broker.notifyOnDisconnect(() => told.push("late"));
  await settled();
  assert.deepEqual(told.at(-1), "late");
  for (const peer of [a, b])
    assert.ok(Object.values(peer.statistics()).every((count) => count === 0));
});

test("a fault of pbweb's own is logged and closes with 1011", async () => {
  const peer = await new Peer().open();
  peer.broker.handle = () => {
    throw new Error("a fault");
  };
  await peer.feed(m(1, "echo"));
  assert.equal(code(peer), 1011);
  assert.equal(peer.logged.length, 1);
});

test("two peers fed with garbage do not keep each other busy", async () => {
  const [a, b] = await pair();
  for (let times = 0; times < 10; times++) {
    a.broker.link.post('["nonsense"]');
    b.broker.link.post('["rubbish",{"a":1}]');
  }
  await settled();
  assert.equal(a.broker.ending, null);
  a.messages.length = b.messages.length = 0;
  await settled();
  assert.deepEqual([a.messages, b.messages], [[], []]);
});

test("a session needs nothing of its platform", () => {
  assert.ok(newSession({}, {}) && new Referenceable());
});

test("a server that sends goes on, though it acknowledges nothing meanwhile", async () => {
  const peer = await new Peer().open({ limits: { message: 1e7 } });
  const call = peer.root.callRemote("echo", "x".repeat(2e6)).catch((error) => error);
  peer.flush();
  for (let id = 1; id <= 3; id++) {
    await peer.pass(6);
    await peer.feed(m(id, "nothing"));
  }
  assert.equal(code(peer), undefined);
  await peer.pass(11);
  assert.equal(code(peer), 4440);
  await call;
});
