import assert from "node:assert/strict";
import { test } from "node:test";
import { CancelledError, callSignal, connect, PBError, Referenceable } from "../src/pbweb.js";
import { Peer, settled } from "./support/peer.js";

class Service extends Referenceable {
  order = [];
  signals = [];
  open = [];
  remote_note(text) {
    this.order.push(text);
    return text;
  }
  remote_slow(text) {
    this.order.push(text);
    this.signals.push(callSignal());
    return new Promise((resolve) => this.open.push(resolve));
  }
  async remote_async(text) {
    this.order.push(text);
    return text;
  }
  remote_thenable() {
    return { then: (resolve) => resolve(7) };
  }
  remote_badThenable() {
    return {
      get then() {
        throw new Error("bad then");
      },
    };
  }
  remote_class() {
    return new (class Foo {})();
  }
  async remote_lateSignal() {
    await null;
    return callSignal();
  }
  remote_throw(kind) {
    throw kind === "undefined"
      ? undefined
      : kind === "string"
        ? "text"
        : new CancelledError("by itself");
  }
}

async function service(limits) {
  const root = new Service();
  const peer = await new Peer({ names: { root }, limits }).open();
  return { root, peer };
}
const m = (id, name, ...args) => ["message", id, "root", name, args];

test("methods start in the order of their calls, whatever they are", async () => {
  const { root, peer } = await service();
  await peer.feed(
    m(1, "slow", 1),
    m(2, "async", 2),
    m(3, "note", 3),
    m(4, "slow", 4),
    m(5, "note", 5),
  );
  assert.deepEqual(root.order, [1, 2, 3, 4, 5]);
  assert.deepEqual(peer.frames(), [
    ["answer", 3, 3],
    ["answer", 5, 5],
    ["answer", 2, 2],
  ]);
  root.open.forEach((resolve, at) => {
    resolve(at);
  });
  await settled();
  assert.deepEqual(peer.frames(), [
    ["answer", 1, 0],
    ["answer", 4, 1],
  ]);
});

test("plain and async answers of one message go out together", async () => {
  const root = new Service();
  const sent = [];
  const transport = { send: (message) => sent.push(message), onmessage: null };
  const connection = await connect(transport, { names: { root } });
  transport.onmessage({ data: '["version",1]' });
  transport.onmessage({ data: JSON.stringify([m(1, "note", 1), m(2, "async", 2)]) });
  await settled();
  assert.deepEqual(sent.slice(1), ['[["answer",1,1],["answer",2,2]]']);
  await connection.close();
});

test("results that are thenables, and those that cannot cross", async () => {
  const { peer } = await service();
  await peer.feed(m(1, "thenable"), m(2, "badThenable"), m(3, "class"), m(4, "lateSignal"));
  const frames = peer.frames().sort((one, two) => one[1] - two[1]);
  assert.deepEqual(
    frames.map(([name, , value]) => [name, value.type ?? value, value.message?.slice(0, 20)]),
    [
      ["answer", 7, undefined],
      ["error", "Error", "bad then"],
      ["error", "InsecureJelly", "result: an instance "],
      ["error", "pb.Error", "callSignal() must be"],
    ],
  );
});

test("whatever is thrown is one error, logged unless it was meant to be sent", async () => {
  const { peer } = await service();
  await peer.feed(m(1, "throw", "undefined"), m(2, "throw", "string"), m(3, "throw", "cancelled"), [
    "message",
    4,
    -1,
    "x",
  ]);
  assert.deepEqual(
    peer.frames().map(([name, id, { type, message }]) => [name, id, type, message]),
    [
      ["error", 1, "Error", "undefined"],
      ["error", 2, "Error", "text"],
      ["error", 3, "CancelledError", "by itself"],
      ["error", 4, "Error", "undefined"],
    ],
  );
  assert.equal(peer.logged.length, 3);
  assert.throws(() => callSignal(), PBError);
});

test("a cancel and a deadline abort the signal; the call is in progress until it ends", async () => {
  const { root, peer } = await service();
  await peer.feed(
    m(1, "slow"),
    ["message", 2, "root", "slow", [], {}, { deadline: 5 }],
    m(3, "slow"),
  );
  await peer.feed(["cancel", 1]);
  assert.deepEqual(
    root.signals.map(({ aborted }) => aborted),
    [true, false, false],
  );
  assert.equal(root.signals[0].reason.type, "CancelledError");
  await peer.pass(5);
  assert.deepEqual(
    root.signals.map(({ aborted }) => aborted),
    [true, true, false],
  );
  assert.deepEqual(peer.frames(), []);
  assert.equal(peer.statistics().running, 3);
  root.open[0]("still answered");
  await settled();
  assert.deepEqual(peer.frames(), [["answer", 1, "still answered"]]);
  peer.session.end(1006, "", true);
  assert.equal(root.signals[2].aborted, true);
  root.open[1]("too late");
  await settled();
  assert.equal(peer.statistics().running, 0);
  assert.equal(peer.timers.size, 0);
});

test("calls that a method makes before its first await inherit its deadline", async () => {
  class Relay extends Referenceable {
    async remote_ask(target) {
      const first = target.callRemote("first");
      const shorter = target.call("shorter", { timeout: 2 });
      await Promise.all([first, shorter]);
      return target.callRemote("later");
    }
  }
  const peer = await new Peer({ names: { root: new Relay() } }).open();
  const target = { $: "remote", id: 1 };
  await peer.feed(["message", 1, "root", "ask", [target], {}, { deadline: 5 }]);
  const asked = peer.frames();
  assert.deepEqual(
    asked.map(([, , , name, , , opts]) => [name, opts]),
    [
      ["first", { deadline: 5 }],
      ["shorter", { deadline: 2 }],
    ],
  );
  await peer.feed(["answer", asked[0][1]], ["answer", asked[1][1]]);
  const [later] = peer.frames();
  assert.deepEqual(later, ["message", later[1], 1, "later"]);
  await peer.feed(["answer", later[1], 7]);
  assert.deepEqual(
    peer.frames().filter(([name]) => name === "answer"),
    [["answer", 1, 7]],
  );
});

test("a deadline cancels a call that waits for an answer", async () => {
  const { peer, root } = await service();
  await peer.feed(m(1, "slow"), ["message", 2, -1, "x", [], {}, { deadline: 5 }]);
  await peer.pass(5);
  assert.deepEqual(
    peer.frames().map(([, id, { type }]) => [id, type]),
    [[2, "CancelledError"]],
  );
  root.open[0]();
  await settled();
  assert.deepEqual(peer.frames(), [["answer", 1]]);
});

test("a long chain of pipelined calls does not use up the stack", async () => {
  class Link extends Referenceable {
    remote_next() {
      return this;
    }
    remote_wait() {
      return new Promise((resolve) => {
        this.go = resolve;
      });
    }
  }
  const root = new Link();
  const peer = await new Peer({ names: { root }, limits: { calls: 20000, batch: 20000 } }).open();
  const frames = [["message", 1, "root", "wait"]];
  for (let id = 2; id <= 20000; id++) frames.push(["message", id, 1 - id, "next"]);
  peer.broker.peer.limits.references = 1e6;
  await peer.feed(...frames.slice(0, 4000));
  root.go(root);
  await settled();
  assert.equal(peer.frames().length, 4000);
});

test("errors that would be too many do not wait", async () => {
  const peer = await new Peer({
    names: { root: new Service() },
    limits: { calls: 1 },
  }).open();
  peer.broker.link.hasRoom = () => false;
  await peer.feed(m(1, "note", 1), m(2, "note", 2));
  assert.deepEqual(
    peer.frames().map(([name, id]) => [name, id]),
    [["error", 2]],
  );
  peer.broker.link.hasRoom = () => true;
  peer.broker.pump();
  assert.deepEqual(peer.frames(), [["answer", 1, 1]]);
});

test("answers wait unencoded when the window is full, and their calls stay in progress", async () => {
  const { peer } = await service();
  const large = "x".repeat(600000);
  await peer.feed(m(1, "note", large));
  await peer.feed(m(2, "note", large));
  peer.session.receive(JSON.stringify(m(3, "note", "small")));
  await settled();
  assert.deepEqual(
    peer.frames().map(([, id]) => id),
    [1, 2],
  );
  assert.equal(peer.statistics().running, 1);
  await peer.feed(["message", 4, -3, "x"], ["cancel", 4]);
  assert.deepEqual(peer.frames(), []);
  await peer.feed(["ack", 2, 5]);
  const [answer, [name, id]] = peer.frames();
  assert.deepEqual([answer, name, id], [["answer", 3, "small"], "error", 4]);
  assert.equal(peer.statistics().running, 0);
});

// A server that calls and does not read.

class Store extends Referenceable {
  asked = 0;
  open = [];
  remote_much() {
    this.asked++;
    return { text: "x".repeat(1e6) };
  }
  remote_later() {
    this.asked++;
    return new Promise((resolve) => this.open.push(resolve));
  }
}

/** All that is sent when the peer acknowledges what it has, again and again. */
async function readAll(peer, sent) {
  const frames = peer.frames();
  while (frames.length < sent) {
    await peer.feed(["ack", frames.length, sent]);
    const more = peer.frames();
    if (!more.length) break;
    frames.push(...more);
  }
  return frames;
}

test("a value that cannot be read is an error of its call, also where answers wait", async () => {
  class Odd extends Referenceable {
    remote_much() {
      return "x".repeat(600_000);
    }
    remote_now() {
      return {
        get value() {
          throw new RangeError("not now");
        },
      };
    }
    async remote_later() {
      return this.remote_now();
    }
  }
  const peer = await new Peer({ names: { root: new Odd() } }).open();
  for (const id of [1, 2]) await peer.feed(m(id, "much"));
  await peer.feed(m(3, "now"), m(4, "later"));
  const frames = await readAll(peer, 4);
  assert.deepEqual(
    frames.map(([name, id]) => [name, id]),
    [
      ["answer", 1],
      ["answer", 2],
      ["error", 3],
      ["error", 4],
    ],
  );
  assert.equal(peer.statistics().running, 0);
});

test("calls are refused while answers wait for as much as half the bound", async () => {
  const root = new Store();
  const peer = await new Peer({ names: { root } }).open({ limits: { message: 1e7 } });
  for (let id = 1; id <= 40; id++) await peer.feed(m(id, "much"));
  // Two go out, until a window is full; one more is over the half of 8 MiB.
  assert.equal(root.asked, 2 + 5);
  assert.ok(peer.broker.backlog < 5.1e6);
  const frames = await readAll(peer, 40);
  const answers = frames.filter(([name]) => name === "answer");
  const errors = frames.filter(([name]) => name === "error");
  assert.deepEqual([answers.length, errors.length], [7, 33]);
  assert.match(errors[0][2].message, /^calls: too many answers wait/);
  assert.equal(peer.broker.backlog, 0);
  await peer.feed(m(41, "much"));
  assert.equal(root.asked, 8);
});

test("answers of calls that run wait up to the bound, and the next says that it was executed", async () => {
  const root = new Store();
  const peer = await new Peer({ names: { root } }).open({ binary: true });
  for (let id = 1; id <= 20; id++) await peer.feed(m(id, "later"));
  assert.equal(root.asked, 20);
  for (const [at, open] of root.open.entries()) {
    open(at % 2 ? ["x".repeat(5e5), new Uint8Array(5e5)] : "x".repeat(1e6));
  }
  await settled();
  assert.ok(peer.broker.backlog <= 8388608);
  const frames = await readAll(peer, 20);
  const answers = frames.filter(([name]) => name === "answer");
  const errors = frames.filter(([name]) => name === "error");
  assert.equal(answers.length + errors.length, 20);
  assert.ok(answers.length >= 10 && answers.length <= 12, `${answers.length}`);
  assert.match(errors[0][2].message, /^answers: the call was executed/);
  assert.deepEqual(
    { ...peer.statistics(), backlog: peer.broker.backlog, nameable: 0 },
    { exported: 0, imported: 0, waiting: 0, held: 0, running: 0, nameable: 0, backlog: 0 },
  );
});
