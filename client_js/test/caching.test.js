// Caches from one side to the other, in both directions: caching.js, and what jelly.js, unjelly.js,
// references.js, outgoing.js and incoming.js do for them.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Cacheable,
  InsecureJelly,
  PBError,
  Referenceable,
  RemoteCache,
  RemoteCacheObserver,
  setUnjellyableForClass,
} from "../src/pbweb.js";
import { Peer, pair, settled } from "./support/peer.js";

/** What is told to everybody who holds a copy. */
class Pond extends Cacheable {
  constructor(...frogs) {
    super();
    this.frogs = frogs;
    this.observers = new Set();
    this.stopped = 0;
  }
  getStateToCacheAndObserveFor(perspective, observer) {
    assert.equal(perspective, null);
    this.observers.add(observer);
    return { frogs: [...this.frogs], log: [] };
  }
  stoppedObserving(perspective, observer) {
    assert.equal(perspective, null);
    assert.ok(this.observers.delete(observer));
    this.stopped++;
  }
  add(frog) {
    this.frogs.push(frog);
    return [...this.observers].map((observer) => observer.callRemote("add", frog));
  }
}

class PondCopy extends RemoteCache {
  observe_add(frog) {
    this.frogs.push(frog);
    this.log.push(`add ${frog}`);
    return this.frogs.length;
  }
  observe_fail() {
    throw new PBError("no");
  }
  async observe_later(value) {
    await null;
    return value;
  }
  remote_secret() {
    assert.fail("called");
  }
}
setUnjellyableForClass(Pond, PondCopy);

class Keeper extends Referenceable {
  pond = new Pond("kermit");
  remote_get() {
    return this.pond;
  }
  remote_twice() {
    return { b: this.pond, 1: this.pond, list: [this.pond] };
  }
  remote_add(frog) {
    this.pond.add(frog);
    return `added ${frog}`;
  }
  remote_addLate(frog) {
    queueMicrotask(() => this.pond.add(frog));
    return this.pond.frogs.length;
  }
  remote_isPond(value) {
    return value === this.pond;
  }
  remote_echo(...values) {
    this.given = values;
    return values;
  }
}

async function connected() {
  const root = new Keeper();
  const [here, there] = await pair({}, { names: { root } });
  return { here, there, root, pond: root.pond };
}

/** Both sides' tables are back at their baseline, and nothing was logged. */
async function checkIdle(...peers) {
  await settled();
  for (const peer of peers) {
    const { nameable, ...others } = peer.statistics();
    assert.deepEqual(new Set(Object.values(others)), new Set([0]));
    assert.deepEqual(peer.logged, []);
  }
}

const failed = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );

test("a copy has the state, and is told every change", async () => {
  const { here, there, pond } = await connected();
  const copy = await here.root.callRemote("get");
  assert.ok(copy instanceof PondCopy);
  assert.deepEqual({ ...copy }, { frogs: ["kermit"], log: [] });
  const [told] = pond.add("robin");
  assert.equal(await told, 2);
  assert.deepEqual(copy.frogs, ["kermit", "robin"]);
  assert.deepEqual(here.statistics().imported, 1);
  copy.release();
  await checkIdle(here, there);
  assert.deepEqual([pond.stopped, pond.observers.size], [1, 0]);
  assert.deepEqual(pond.add("late"), []);
});

test("a peer has one copy, however often it is handed over", async () => {
  const { here, there, pond } = await connected();
  const first = await here.root.callRemote("get");
  assert.equal(await here.root.callRemote("get"), first);
  const { b, 1: one, list } = await here.root.callRemote("twice");
  for (const copy of [b, one, list[0]]) assert.equal(copy, first);
  assert.equal(pond.observers.size, 1);
  first.release();
  await checkIdle(here, there);
  assert.equal(pond.stopped, 1);
});

test("it may stand in a frame several times from the first", async () => {
  const { here, there, pond } = await connected();
  const { b, 1: one, list } = await here.root.callRemote("twice");
  assert.equal(b, one);
  assert.equal(b, list[0]);
  assert.equal(pond.observers.size, 1);
  b[Symbol.dispose]();
  await checkIdle(here, there);
});

test("something else that is shared in the frame asks for the state once", async () => {
  const { here, there, pond } = await connected();
  const shared = [1];
  pond.getStateToCacheAndObserveFor = function (perspective, observer) {
    this.asked = (this.asked ?? 0) + 1;
    return {
      ...Pond.prototype.getStateToCacheAndObserveFor.call(this, perspective, observer),
      shared,
    };
  };
  class Mixed extends Keeper {
    remote_mixed() {
      return [shared, pond, shared, pond];
    }
  }
  there.broker.exports.publish("mixed", new Mixed());
  const mixed = here.broker.imports.receive("mixed");
  const [one, copy, two, again] = await mixed.callRemote("mixed");
  assert.equal(one, two);
  assert.equal(copy, again);
  assert.equal(copy.shared, one);
  assert.equal(pond.asked, 1);
  copy.release();
  await checkIdle(here, there);
  assert.equal(pond.stopped, 1);
});

test("a copy that comes home is the original", async () => {
  const { here, there } = await connected();
  const copy = await here.root.callRemote("get");
  assert.equal(await here.root.callRemote("isPond", copy), true);
  assert.equal((await here.root.callRemote("echo", [copy]))[0][0], copy);
  copy.release();
  const error = await failed(here.root.callRemote("isPond", copy));
  assert.equal(error.type, "DeadReferenceError");
  await checkIdle(here, there);
});

test("a copy goes to nobody but its owner", async () => {
  const { here, there } = await connected();
  const other = await connected();
  const copy = await here.root.callRemote("get");
  const error = await failed(other.here.root.callRemote("echo", [copy]));
  assert.ok(error instanceof InsecureJelly);
  assert.match(error.message, /^args\[0\]\[0\]: the copy of a cache can cross to its owner alone/);
  const loose = await failed(here.root.callRemote("echo", new PondCopy()));
  assert.ok(loose instanceof InsecureJelly);
  copy.release();
  await checkIdle(here, there, other.here, other.there);
});

test("a client's cache that the server holds works the same way", async () => {
  const { here, there, root } = await connected();
  const mine = new Pond("mine");
  assert.equal((await here.root.callRemote("echo", mine))[0], mine);
  const [held] = root.given;
  assert.ok(held instanceof PondCopy);
  await Promise.all(mine.add("more"));
  assert.deepEqual(held.frogs, ["mine", "more"]);
  held.release();
  await checkIdle(here, there);
  assert.equal(mine.stopped, 1);
});

test("updates and answers come in the order in which they were made", async () => {
  const peer = await new Peer({ names: { root: new Keeper() } }).open();
  await peer.feed(["message", 1, "root", "get"]);
  peer.frames();
  await peer.feed(
    ["message", 2, "root", "add", ["one"]],
    ["message", 3, "root", "addLate", ["two"]],
  );
  assert.deepEqual(peer.frames(), [
    ["cachemessage", 1, 1, "add", ["one"]],
    ["answer", 2, "added one"],
    ["answer", 3, 2],
    ["cachemessage", 2, 1, "add", ["two"]],
  ]);
});

test("the answer to a change comes when the copy has it", async () => {
  const { here, there, pond } = await connected();
  const copy = await here.root.callRemote("get");
  for (const frog of ["one", "two", "three"]) {
    await here.root.callRemote("add", frog);
    assert.equal(copy.frogs.at(-1), frog);
  }
  assert.deepEqual(copy.frogs, pond.frogs);
  copy.release();
  await checkIdle(here, there);
});

test("an update made while the state is written comes behind it", async () => {
  const { here, there, pond } = await connected();
  class Nosy extends Cacheable {
    static pbType = "Pond";
    getStateToCacheAndObserveFor() {
      pond.add("early");
      return { frogs: [], log: [] };
    }
  }
  class Both extends Keeper {
    remote_both() {
      return [pond, new Nosy()];
    }
  }
  there.broker.exports.publish("both", new Both());
  const [copy, nosy] = await here.broker.imports.receive("both").callRemote("both");
  await settled();
  assert.deepEqual(copy.frogs, pond.frogs);
  assert.deepEqual(copy.log, ["add early"]);
  copy.release();
  nosy.release();
  await checkIdle(here, there);
});

test("an update before the state is an error that says so", async () => {
  const { here, there } = await connected();
  class Hasty extends Cacheable {
    getStateToCacheAndObserveFor(_, observer) {
      observer.callRemote("add", 1);
    }
  }
  there.broker.exports.find("root").pond = new Hasty();
  const error = await failed(here.root.callRemote("get"));
  assert.deepEqual([error.type, /not given/.test(error.message)], ["ProtocolError", true]);
  await checkIdle(here, there);
});

test("when the frame does not go out, the observer is taken back", async () => {
  const { here, there, root, pond } = await connected();
  Keeper.prototype.remote_bad = () => [pond, Symbol("x")];
  const error = await failed(here.root.callRemote("bad"));
  assert.ok(error instanceof InsecureJelly);
  assert.deepEqual([pond.stopped, pond.observers.size], [1, 0]);
  root.pond.getStateToCacheAndObserveFor = () => {
    throw new RangeError("broken");
  };
  assert.equal((await failed(here.root.callRemote("get"))).type, "RangeError");
  assert.equal(pond.stopped, 1);
  there.logged.pop();
  await checkIdle(here, there);
});

test("the id of a cache that was given back is not used again", async () => {
  const peer = await new Peer({ names: { root: new Keeper() } }).open();
  await peer.feed(["message", 1, "root", "get"]);
  const state = { frogs: ["kermit"], log: [] };
  assert.deepEqual(peer.frames(), [["answer", 1, { $: "cache", type: "Pond", id: 1, state }]]);
  await peer.feed(["message", 2, "root", "get"], ["decache", 1, 1]);
  assert.deepEqual(peer.frames(), [["answer", 2, { $: "cached", id: 1 }]]);
  await peer.feed(["decache", 1, 1]);
  assert.deepEqual(peer.frames(), [["uncache", 1]]);
  await peer.feed(["message", 3, "root", "get"]);
  assert.deepEqual(peer.frames(), [["answer", 3, { $: "cache", type: "Pond", id: 2, state }]]);
});

test("a copy that is given back is told what changes until the owner is done, and may come back", async () => {
  const peer = await new Peer().open();
  const get = (value) => {
    const promise = peer.root.callRemote("get");
    peer.session.receive(JSON.stringify(["answer", promise.id, value]));
    return promise;
  };
  const state = { frogs: [], log: [] };
  const copy = await get({ $: "cache", type: "Pond", id: 7, state });
  copy.release();
  copy.release();
  await peer.feed(["cachemessage", 0, 7, "add", [1]]);
  assert.deepEqual(copy.frogs, [1]);
  const again = await get([{ $: "cached", id: 7 }]);
  assert.equal(again[0], copy);
  copy.release();
  assert.deepEqual(
    peer.frames().filter(([name]) => name === "decache"),
    [
      ["decache", 7, 1],
      ["decache", 7, 1],
    ],
  );
  await peer.feed(["uncache", 7]);
  assert.equal(peer.statistics().imported, 0);
  assert.equal((await failed(get({ $: "cached", id: 7 }))).type, "DeadReferenceError");
});

test("each observer is told once that it is over, when the session ends", async () => {
  const { here, there, pond } = await connected();
  await here.root.callRemote("get");
  const [observer] = pond.observers;
  assert.ok(observer instanceof RemoteCacheObserver);
  const told = observer.callRemote("later", 1);
  there.session.end(1006, "");
  assert.equal((await failed(told)).type, "PBConnectionLost");
  assert.equal(pond.stopped, 1);
  observer.callRemoteOnly("add", 1);
  assert.equal((await failed(observer.callRemote("add", 1))).type, "DeadReferenceError");
  here.session.end(1006, "");
  await settled();
  await there.pass(1);
  await checkIdle(here, there);
});

test("what stoppedObserving throws is logged, and the others are told", async () => {
  const { here, there, pond } = await connected();
  await here.root.callRemote("get");
  const bad = new Pond();
  bad.stoppedObserving = () => {
    throw new RangeError("broken");
  };
  there.broker.exports.publish("bad", Object.assign(new Keeper(), { pond: bad }));
  await here.broker.imports.receive("bad").callRemote("get");
  there.session.end(1006, "");
  assert.equal(pond.stopped, 1);
  assert.deepEqual(
    there.logged.map(({ where }) => where),
    ["stoppedObserving"],
  );
});

test("an observer's failure is the caller's if it is awaited, else logged", async () => {
  const { here, there, pond } = await connected();
  const copy = await here.root.callRemote("get");
  const [observer] = pond.observers;
  assert.equal((await failed(observer.callRemote("fail"))).message, "no");
  assert.equal((await failed(observer.callRemote("missing"))).type, "NoSuchMethod");
  assert.equal((await failed(observer.callRemote("secret"))).type, "NoSuchMethod");
  assert.equal(await observer.callRemote("later", 5), 5);
  await there.pass(1);
  assert.deepEqual(there.logged, []);
  observer.callRemote("fail");
  await settled();
  await there.pass(1);
  assert.match(there.logged.pop().where, /fail/);
  copy.release();
  await checkIdle(here, there);
});

test("a class that is registered for a copy is none for a cache, and the reverse", async () => {
  const { here, there, root } = await connected();
  class Stranger extends Pond {}
  root.pond = new Stranger();
  const error = await failed(here.root.callRemote("get"));
  assert.match(error.message, /no class .* caches of the type "Stranger": setUnjellyableForClass/);
  await checkIdle(here, there);
  assert.equal(root.pond.stopped, 1);
  const peer = await new Peer({ names: { root } }).open();
  await peer.feed(["message", 1, "root", "echo", [{ $: "copy", type: "Pond", state: {} }]]);
  assert.match(peer.frames()[0][2].message, /copies of the type "Pond"/);
});

test("what setCopyableState throws fails the call, and the cache goes back", async () => {
  class Picky extends RemoteCache {
    setCopyableState() {
      throw new RangeError("picky");
    }
  }
  setUnjellyableForClass("Picky", Picky);
  class Picked extends Pond {
    static pbType = "Picky";
  }
  const { here, there, root } = await connected();
  root.pond = new Picked();
  assert.equal((await failed(here.root.callRemote("get"))).message, "picky");
  await checkIdle(here, there);
  assert.equal(root.pond.stopped, 1);
});

test("a cache may stand in its own state, and in others'", async () => {
  class Ring extends Cacheable {
    static pbType = "Pond";
    getStateToCacheAndObserveFor() {
      return { me: this, next: this.next };
    }
  }
  const { here, there, root } = await connected();
  root.pond = Object.assign(new Ring(), { next: root.pond });
  const ring = await here.root.callRemote("get");
  assert.equal(ring.me, ring);
  assert.deepEqual(ring.next.frogs, ["kermit"]);
  ring.next.release();
  ring.release();
  await checkIdle(here, there);
});

test("what waits for room goes out in order, and not behind a call that waits for others", async () => {
  const peer = await new Peer({ names: { root: new Keeper() } }).open({ limits: { calls: 1 } });
  const root = peer.broker.exports.find("root");
  await peer.feed(["message", 1, "root", "get"]);
  peer.frames();
  peer.root.callRemote("first").catch(() => {});
  peer.root.callRemote("second").catch(() => {});
  peer.broker.link.hasRoom = () => false;
  root.pond.add("one");
  await peer.feed(["message", 2, "root", "add", ["two"]]);
  root.pond.add("three");
  peer.root.callRemoteOnly("only");
  await peer.feed(["message", 3, "root", "missing"]);
  root.pond.add("four");
  assert.deepEqual(
    peer.frames().map(([name]) => name),
    ["message"],
  );
  peer.broker.link.hasRoom = () => true;
  peer.broker.pump();
  assert.deepEqual(
    peer.frames().map(([name, , , , args]) => args?.[0] ?? name),
    ["one", "two", "answer", "three", "error", "four"],
  );
  // The updates are calls, too, and are answered before the next one may go.
  for (let id = 1; id <= 4; id++) await peer.feed(["answer", id]);
  assert.deepEqual(peer.frames(), []);
  await peer.feed(["answer", 5]);
  assert.deepEqual(
    peer.frames().map(([, , , name]) => name),
    ["second", "only"],
  );
});

test("an update that waits for room has the arguments as they were", async () => {
  const peer = await new Peer({ names: { root: new Keeper() } }).open();
  const { pond } = peer.broker.exports.find("root");
  await peer.feed(["message", 1, "root", "get"]);
  peer.frames();
  const [observer] = pond.observers;
  const list = [1];
  const inner = new Map([[1, list]]);
  const cycle = [list];
  cycle.push(cycle);
  peer.broker.link.hasRoom = () => false;
  observer.callRemoteOnly("all", list, { inner, list }, new Set([1]), cycle);
  list.push(2);
  inner.set(2, 2);
  cycle.push(3);
  peer.broker.link.hasRoom = () => true;
  peer.broker.pump();
  const use = { $: "use", id: 1 };
  assert.deepEqual(peer.frames()[0][4], [
    { $: "def", id: 1, value: [1] },
    { inner: { $: "dict", items: [[1, use]] }, list: use },
    { $: "set", items: [1] },
    { $: "def", id: 2, value: [use, { $: "use", id: 2 }] },
  ]);
});

test("updates that wait for room are dropped when the copy goes", async () => {
  const peer = await new Peer({ names: { root: new Keeper() } }).open();
  const { pond } = peer.broker.exports.find("root");
  await peer.feed(["message", 1, "root", "get"]);
  peer.frames();
  peer.broker.link.hasRoom = () => false;
  const [told] = pond.add("one");
  await peer.feed(["decache", 1, 1]);
  peer.broker.link.hasRoom = () => true;
  peer.broker.pump();
  assert.equal((await failed(told)).type, "DeadReferenceError");
  assert.deepEqual(peer.frames(), [["uncache", 1]]);
  await peer.pass(1);
  await checkIdle(peer);
});

test("a Cacheable that says nothing of its state cannot cross", async () => {
  class Bare extends Cacheable {}
  const peer = await new Peer().open();
  const error = await peer.root.callRemote("take", new Bare()).catch((caught) => caught);
  assert.match(error.message, /Bare has no getStateToCacheAndObserveFor/);
  assert.deepEqual([peer.frames(), peer.statistics().exported], [[], 0]);
});

test("a copy is the same for a key that stands before its state, as integers do", async () => {
  const peer = await new Peer().open();
  const promise = peer.root.callRemote("get");
  const cache = '{"$":"cache","type":"Pond","id":4,"state":{"frogs":["Ann"],"log":[]}}';
  peer.session.receive(`["answer",${promise.id},{"b":${cache},"1":{"$":"cached","id":4}}]`);
  const both = await promise;
  assert.equal(both.b, both["1"]);
  assert.deepEqual(both.b.frogs, ["Ann"]);
  const other = peer.root.callRemote("get");
  peer.session.receive(`["answer",${other.id},{"b":1,"1":{"$":"cached","id":9}}]`);
  await assert.rejects(other, { type: "DeadReferenceError" });
});

test("what an update is given while it waits may hold null, and itself", async () => {
  const observers = [];
  class Told extends Cacheable {
    getStateToCacheAndObserveFor(_, observer) {
      observers.push(observer);
      return {};
    }
  }
  setUnjellyableForClass(Told, class extends RemoteCache {});
  const peer = await new Peer().open();
  peer.root.callRemote("take", new Told()).catch(() => {});
  for (let n = 0; n < 5; n++) peer.root.callRemote("x", "x".repeat(300_000)).catch(() => {});
  const list = [null];
  list.push(list);
  observers[0].callRemoteOnly("tell", list, null);
  list[0] = "later";
  peer.frames();
  await peer.feed(["ack", peer.session.broker.lastRequest - 1, 0]);
  const [update] = peer.frames().filter(([name]) => name === "cachemessage");
  const around = { $: "def", id: 1, value: [null, { $: "use", id: 1 }] };
  assert.deepEqual(update.slice(3), ["tell", [around, null]]);
});
