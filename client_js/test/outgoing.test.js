import assert from "node:assert/strict";
import { test } from "node:test";
import { Referenceable, remote } from "../src/pbweb.js";
import { FixtureRoot } from "./support/fixture.js";
import { Peer, pair, settled } from "./support/peer.js";

const failed = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );

test("a chain is one message each way", async () => {
  const [a, b] = await pair({ names: { root: new FixtureRoot() } });
  a.messages.splice(0);
  b.messages.splice(0);
  const total = b.root.callRemote("getRoot").callRemote("getCounter").callRemote("increment", 12);
  assert.equal(await total, 12);
  assert.deepEqual([a.messages.length, b.messages.length], [1, 1]);
});

test("the sugared form", async () => {
  const [, b] = await pair({ names: { root: new FixtureRoot() } });
  assert.equal(await remote(b.root).add(1, 2), 3);
  assert.equal(await remote(remote(b.root).getCounter()).increment(4), 4);
  assert.equal(await remote(b.root).then, undefined);
  assert.equal(typeof (await remote(b.root)), "object");
  assert.match((await failed(b.root.callRemote("echo", remote(b.root)))).message, /cannot cross/);
});

test("a promise as an argument, with and without its answer", async () => {
  const [, b] = await pair({ names: { root: new FixtureRoot() } });
  const same = b.root.callRemote("getSame");
  assert.equal(await b.root.callRemote("isSame", same), true);
  assert.equal(await b.root.callRemote("isSame", same), true);
  assert.deepEqual(await b.root.callRemote("echo", [b.root.callRemote("echo", { a: 1 })]), [
    { a: 1 },
  ]);
  const nested = b.root.callRemote("nested");
  assert.equal(await nested.call("increment", { path: ["counters", 0], args: [2] }), 2);
  await nested;
  assert.equal(await nested.call("increment", { path: ["counters", 0] }), 3);
  assert.equal(
    (await failed(nested.call("increment", { path: ["counters", 5] }))).type,
    "InsecureJelly",
  );
});

test("a failed step fails what hangs on it, before and after it is known", async () => {
  const [, b] = await pair({ names: { root: new FixtureRoot() } });
  const step = b.root.callRemote("fail", "first");
  const [one, two] = await Promise.all([
    failed(step.callRemote("x").callRemote("y")),
    failed(b.root.callRemote("echo", step)),
  ]);
  assert.deepEqual([one.message, two.message], ["first", "first"]);
  assert.equal(await failed(step.callRemote("z")), await failed(step));
  assert.equal(await failed(b.root.callRemote("echo", [step])), await failed(step));
});

test("a failed promise that only served pipelining is no unhandled rejection, any other is", async () => {
  const seen = [];
  const listener = (error) => seen.push(error.message);
  process.on("unhandledRejection", listener);
  const others = process.listeners("unhandledRejection").filter((one) => one !== listener);
  for (const one of others) process.off("unhandledRejection", one);
  try {
    const [, b] = await pair({ names: { root: new FixtureRoot() } });
    b.root
      .callRemote("fail", "looked at")
      .callRemote("x")
      .catch(() => {});
    b.root.callRemote("echo", b.root.callRemote("fail", "passed on")).catch(() => {});
    b.root.callRemote("fail", "forgotten");
    await settled();
    assert.deepEqual(seen, ["forgotten"]);
  } finally {
    process.off("unhandledRejection", listener);
    for (const one of others) process.on("unhandledRejection", one);
  }
});

test("a signal cancels a call that is sent; the late answer is given back", async () => {
  const peer = await new Peer().open();
  const controller = new AbortController();
  const call = peer.root.call("slow", { signal: controller.signal });
  peer.frames();
  controller.abort("enough");
  const error = await failed(call);
  assert.deepEqual([error.type, error.cause], ["CancelledError", "enough"]);
  assert.deepEqual(peer.frames(), [["cancel", 1]]);
  assert.equal(peer.statistics().waiting, 1);
  await peer.feed([
    "answer",
    1,
    [
      { $: "remote", id: 5 },
      { $: "stream", id: 6 },
      { $: "cached", id: 7 },
    ],
  ]);
  assert.deepEqual(
    peer.frames().map(([name]) => name),
    ["decref", "decache"],
  );
  assert.equal(peer.statistics().waiting, 0);
  controller.abort();
  assert.deepEqual(peer.frames(), []);
});

test("an aborted signal, or no time at all, sends nothing", async () => {
  const peer = await new Peer().open();
  assert.equal(
    (await failed(peer.root.call("x", { signal: AbortSignal.abort() }))).type,
    "CancelledError",
  );
  assert.equal((await failed(peer.root.call("x", { timeout: 0 }))).type, "CancelledError");
  assert.equal((await failed(peer.root.call("x", { timeout: Number.NaN }))).type, "CancelledError");
  assert.deepEqual(peer.frames(), []);
});

test("a call that is held back and cancelled is never sent", async () => {
  const peer = await new Peer().open({ limits: { calls: 1 } });
  const first = peer.root.callRemote("first");
  const controller = new AbortController();
  const second = peer.root.call("second", { signal: controller.signal });
  const third = second.callRemote("third");
  third.catch(() => {});
  controller.abort();
  await failed(second);
  await peer.feed(["answer", 1, 1]);
  assert.equal(await first, 1);
  assert.equal((await failed(third)).type, "CancelledError");
  assert.deepEqual(
    peer.frames().map(([, , , name]) => name),
    ["first"],
  );
});

test("a timeout travels as the deadline, and cancels here as well", async () => {
  const peer = await new Peer().open({ limits: { calls: 1 } });
  const first = peer.root.callRemote("first");
  const slow = peer.root.call("slow", { timeout: 5 });
  await peer.pass(2);
  await peer.feed(["answer", 1, 1]);
  await first;
  assert.deepEqual(peer.frames().at(-1), ["message", 2, "root", "slow", [], {}, { deadline: 3 }]);
  const error = failed(slow);
  await peer.pass(3);
  assert.match((await error).message, /within 5 seconds/);
  assert.deepEqual(peer.frames(), [["cancel", 2]]);
  assert.equal(peer.timers.size, 0);
});

test("calls are held back at the announced limit, in order", async () => {
  const peer = await new Peer().open({ limits: { calls: 2 } });
  const calls = ["a", "b", "c", "d"].map((name) => peer.root.callRemote(name));
  peer.root.callRemoteOnly("only");
  assert.deepEqual(
    peer.frames().map(([, id, , name]) => [id, name]),
    [
      [1, "a"],
      [2, "b"],
    ],
  );
  assert.equal(peer.statistics().held, 3);
  await peer.feed(["answer", 2]);
  assert.deepEqual(
    peer.frames().map(([, id, , name]) => [id, name]),
    [[3, "c"]],
  );
  await peer.feed(["answer", 1], ["answer", 3]);
  assert.deepEqual(
    peer.frames().map(([, id, , name]) => [id, name]),
    [
      [4, "d"],
      [0, "only"],
    ],
  );
  await peer.feed(["answer", 4]);
  await Promise.all(calls);
});

test("calls on an answer that is an object of this side's wait for those sent through the peer", async () => {
  const order = [];
  class Mine extends Referenceable {
    remote_note(text) {
      order.push(text);
      return text;
    }
  }
  const peer = await new Peer().open();
  const mine = new Mine();
  const promise = peer.root.callRemote("echo", mine);
  const early = promise.callRemote("note", "through the peer");
  await peer.feed(["answer", 1, { $: "local", id: 1 }]);
  assert.equal(await promise, mine);
  const late = [promise.callRemote("note", "first"), promise.callRemote("note", "second")];
  await settled();
  assert.deepEqual(order, []);
  await peer.feed(["message", 1, 1, "note", ["through the peer"]]);
  await peer.feed(["answer", 2, "through the peer"]);
  assert.equal(await early, "through the peer");
  assert.deepEqual(await Promise.all(late), ["first", "second"]);
  assert.deepEqual(order, ["through the peer", "first", "second"]);
  assert.equal((await failed(promise.callRemote("missing"))).type, "NoSuchMethod");
  assert.deepEqual(peer.frames().filter(([name]) => name === "message").length, 2);
});

test("callRemoteOnly wants no answer; what goes wrong is logged", async () => {
  const root = new FixtureRoot();
  const [a, b] = await pair({ names: { root } });
  b.root.callRemoteOnly("fail", "quiet");
  b.root.callRemoteOnly("echo", Symbol("x"));
  await settled();
  assert.match(a.logged[0].error.message, /quiet/);
  assert.match(b.logged[0].error.message, /symbol/);
  assert.equal(b.statistics().waiting, 0);
});

test("names that are none", async () => {
  const peer = await new Peer().open();
  for (const name of [undefined, 5, null, {}, "\ud800"]) {
    assert.equal((await failed(peer.root.callRemote(name))).type, "InsecureJelly");
  }
  assert.deepEqual(peer.frames(), []);
});

test("what a lost call says is known of it", async () => {
  const peer = await new Peer().open({ limits: { calls: 5 } });
  const acknowledged = peer.root.callRemote("a");
  const onOpen = acknowledged.callRemote("b");
  peer.frames();
  await peer.feed(["ack", 2, 0]);
  const unknown = peer.root.callRemote("c");
  peer.frames();
  const unwritten = peer.root.callRemote("d");
  const held = [peer.root.callRemote("e"), peer.root.callRemote("f")];
  const outcomes = [acknowledged, onOpen, unknown, unwritten, ...held].map((call) => failed(call));
  peer.lost = true;
  peer.session.end(1006, "", true);
  assert.deepEqual(
    (await Promise.all(outcomes)).map(({ type, outcome }) => [type, outcome]),
    [
      ["PBConnectionLost", "executed_answer_lost"],
      ["PBConnectionLost", "unknown"],
      ["PBConnectionLost", "unknown"],
      ["PBConnectionLost", "not_executed"],
      ["PBConnectionLost", "not_executed"],
      ["PBConnectionLost", "not_executed"],
    ],
  );
  assert.equal((await failed(peer.root.callRemote("late"))).type, "DeadReferenceError");
});
