import assert from "node:assert/strict";
import { test } from "node:test";
import { Referenceable } from "../src/pbweb.js";
import { newExports } from "../src/references.js";
import { FixtureRoot } from "./support/fixture.js";
import { Peer, pair, settled } from "./support/peer.js";

test("an export is undone as if it had never been", () => {
  const limits = { references: 9 };
  const table = newExports({ limits, peer: { limits } });
  const [a, b] = [new Referenceable(), new Referenceable()];
  assert.equal(table.introduce(a).id, 1);
  table.takeBack([table.introduce(a).id, table.introduce(b).id]);
  assert.equal(table.size, 1);
  assert.equal(table.introduce(b).id, 2);
  table.decref(1, 1);
  assert.throws(() => table.find(1), { type: "DeadReferenceError" });
  assert.equal(table.introduce(a).id, 3);
});

test("the same object is one reference, and comes home as itself", async () => {
  const [a, b] = await pair({ names: { root: new FixtureRoot() } });
  const [one, two] = [await b.root.callRemote("getSame"), await b.root.callRemote("getSame")];
  assert.equal(one, two);
  assert.equal(await b.root.callRemote("isSame", one), true);
  assert.equal(await b.root.callRemote("getRoot"), b.root);
  assert.equal(await b.root.callRemote("isRoot", b.root), true);
  assert.equal(a.statistics().exported, 1);
  one.release();
  one.release();
  await settled();
  assert.equal(a.statistics().exported, 0);
  assert.equal(b.statistics().imported, 0);
});

test("a released reference rejects calls and is no argument", async () => {
  const [, b] = await pair({ names: { root: new FixtureRoot() } });
  const counter = await b.root.callRemote("getCounter");
  const running = counter.callRemote("increment");
  counter[Symbol.dispose]();
  assert.equal(await running, 1);
  for (const call of [
    () => counter.callRemote("value"),
    () => b.root.callRemote("echo", counter),
  ]) {
    await assert.rejects(Promise.resolve(call()), { type: "DeadReferenceError" });
  }
  assert.throws(() => counter.api.anything);
  counter.callRemoteOnly("value");
});

test("a release does not overtake calls that are held back", async () => {
  const peer = await new Peer().open({ limits: { calls: 1 } });
  const reference = peer.broker.imports.receive(7);
  peer.root.callRemote("first");
  const held = [reference.callRemote("second"), peer.root.callRemote("third", reference)];
  reference.release();
  const late = Promise.resolve(peer.root.callRemote("fourth", reference));
  late.catch(() => {});
  assert.deepEqual(
    peer.frames().map(([name, , , method]) => method ?? name),
    ["first"],
  );
  for (const id of [1, 2, 3]) await peer.feed(["answer", id]);
  await Promise.all(held);
  await assert.rejects(late, { type: "DeadReferenceError" });
  assert.deepEqual(peer.frames(), [
    ["message", 2, 7, "second"],
    ["message", 3, "root", "third", [{ $: "local", id: 7 }]],
    ["decref", 7, 1],
  ]);
});

test("what comes again while its release waits is a reference that works", async () => {
  const peer = await new Peer().open({ limits: { calls: 1 } });
  const old = peer.broker.imports.receive(7);
  const got = peer.root.callRemote("get");
  const held = old.callRemote("held");
  old.release();
  await peer.feed(["message", 0, "none", "take", [{ $: "remote", id: 8 }]]);
  const fresh = peer.broker.imports.receive(7);
  assert.notEqual(fresh, old);
  await peer.feed(["answer", 1], ["answer", 2]);
  await Promise.all([got, held]);
  const call = fresh.callRemote("again", fresh);
  await assert.rejects(Promise.resolve(old.callRemote("late")), { type: "DeadReferenceError" });
  assert.deepEqual(
    peer.frames().filter(([, id]) => id !== 8),
    [
      ["message", 1, "root", "get"],
      ["message", 2, 7, "held"],
      ["decref", 7, 1],
      ["message", 3, 7, "again", [{ $: "local", id: 7 }]],
    ],
  );
  await peer.feed(["answer", 3]);
  await call;
  fresh.release();
  fresh.release();
  assert.deepEqual(peer.frames(), [["decref", 7, 1]]);
  assert.equal(peer.statistics().imported, 0);
});

test("references of another session are relayed, back and forth", async () => {
  class Owner extends Referenceable {
    mine = new FixtureRoot().same;
    remote_getMine() {
      return this.mine;
    }
    remote_isMine(x) {
      return x === this.mine;
    }
  }
  const [owner, left] = await pair({ names: { root: new Owner() } });
  class Middle extends Referenceable {
    remote_get() {
      return left.root.callRemote("getMine");
    }
    remote_home(x) {
      return left.root.callRemote("isMine", x);
    }
  }
  const [right, far] = await pair({ names: { root: new Middle() } });
  const relayed = await far.root.callRemote("get");
  assert.equal(relayed, await far.root.callRemote("get"));
  assert.equal(await relayed.callRemote("increment", 5), 5);
  assert.equal(await far.root.callRemote("home", relayed), true);
  await assert.rejects(Promise.resolve(relayed.callRemote("missing")), { type: "NoSuchMethod" });
  owner.session.fail(1000, "the owner goes");
  await settled();
  await assert.rejects(Promise.resolve(relayed.callRemote("value")), {
    type: "DeadReferenceError",
  });
  await assert.rejects(Promise.resolve(far.root.callRemote("get")), { type: "DeadReferenceError" });
  assert.equal(right.broker.ending, null);
});

test("a relayed call passes cancelling and the deadline on", async () => {
  const [owner, left] = await pair({ names: { root: new FixtureRoot() } });
  class Middle extends Referenceable {
    remote_get() {
      return left.root;
    }
  }
  const [, far] = await pair({ names: { root: new Middle() } });
  const relayed = await far.root.callRemote("get");
  owner.frames();
  left.frames();
  const controller = new AbortController();
  const waiting = relayed.call("wait", { signal: controller.signal, timeout: 60 });
  await settled();
  const [message] = left.frames();
  assert.deepEqual(message, ["message", message[1], "root", "wait", [], {}, { deadline: 60 }]);
  controller.abort("enough");
  await assert.rejects(Promise.resolve(waiting), { type: "CancelledError", cause: "enough" });
  await settled();
  assert.deepEqual(left.frames(), [["cancel", message[1]]]);
  assert.equal(owner.frames()[0][2].type, "CancelledError");
  assert.equal(far.statistics().waiting, 0);
});

test("functions cross as references with the method call, and come home", async () => {
  const add = (a, b) => a + b;
  const [, b] = await pair({ names: { root: new FixtureRoot(), add } });
  const remote = b.broker.imports.receive("add");
  assert.equal(await remote.callRemote("call", 1, 2), 3);
  const calls = [];
  const callback = (...args) => calls.push(args);
  assert.equal(await b.root.callRemote("echo", callback), callback);
  await assert.rejects(Promise.resolve(remote.callRemote("apply")), { type: "NoSuchMethod" });
});

test("a reference has no then, and an await of it gives it back", async () => {
  const [, b] = await pair({ names: { root: new FixtureRoot() } });
  assert.equal("then" in b.root, false);
  assert.equal(await b.root, b.root);
});

test("an id is a reference's or a stream's, and never both", async () => {
  const peer = await new Peer().open();
  const get = async (value) => {
    const promise = peer.root.callRemote("get");
    const end = promise.then((got) => got);
    end.catch(() => {});
    await peer.feed(["answer", promise.id, value]);
    return end;
  };
  const kept = await get({ $: "remote", id: 5 });
  await assert.rejects(get({ $: "stream", id: 5 }), { type: "DeadReferenceError" });
  kept.release();
});

test("a promise can be waited for as any, and is no plain object", async () => {
  const peer = await new Peer().open();
  const promise = peer.root.callRemote("get");
  let isOver = false;
  const over = promise.finally(() => {
    isOver = true;
  });
  await peer.feed(["answer", promise.id, 5]);
  assert.equal(await over, 5);
  assert.ok(isOver);
  assert.equal(String(promise), "[object pbweb]");
});
