// Two sessions and a link that delivers one message at a time, driven by a seeded generator.

import assert from "node:assert/strict";
import { test } from "node:test";
import { holds } from "../src/caching.js";
import { Cacheable, Referenceable, RemoteCache, setUnjellyableForClass } from "../src/pbweb.js";
import { Peer, settled } from "./support/peer.js";
import { generator } from "./support/random.js";

class Worker extends Referenceable {
  constructor(world) {
    super();
    this.world = world;
  }
  remote_note(number) {
    this.world.started.push(number);
    return number;
  }
  async remote_later(number) {
    this.world.started.push(number);
    await new Promise((resolve) => setImmediate(resolve));
    return [number];
  }
  remote_make(number) {
    this.world.started.push(number);
    return new Worker(this.world);
  }
  remote_take(number, ...things) {
    this.world.started.push(number);
    return things;
  }
  remote_fail(number) {
    this.world.started.push(number);
    throw new RangeError("expected");
  }
  remote_back(number, other) {
    this.world.started.push(number);
    return other?.callRemote
      ? other.callRemote("note", -1).then(
          () => number,
          () => number,
        )
      : number;
  }
}

class Side {
  constructor(limits) {
    this.world = { started: [] };
    this.peer = new Peer({ names: { root: new Worker(this.world) }, limits });
    this.peer.flush = () => {};
    this.wire = [];
    this.held = [];
    this.promises = [];
    this.ends = [];
    this.sent = 0;
    this.names = [];
  }
  /** Hand what was made so far to the link. */
  write() {
    this.wire.push(...this.peer.session.takeMessages());
  }
}

function act(side, other, random) {
  const pick = (list) => list[random(list.length)];
  const target =
    random(3) && side.held.length
      ? pick(side.held)
      : random(3) && side.promises.length
        ? pick(side.promises)
        : side.peer.root;
  const method = pick(["note", "later", "make", "take", "fail", "back", "missing"]);
  const things = [];
  if (random(2) && side.held.length) things.push(pick(side.held));
  if (random(2)) things.push(new Worker(side.world));
  if (random(4) === 0 && side.promises.length) things.push([pick(side.promises)]);
  if (random(8) === 0) things.push(Symbol("no"));
  const number = side.sent++;
  const controller = random(6) === 0 ? new AbortController() : null;
  const promise = target.call(method, { args: [number, ...things], signal: controller?.signal });
  side.ends[number] = 0;
  const end = () => side.ends[number]++;
  promise.then((value) => {
    end();
    for (const item of [value].flat()) if (item?.callRemote) side.held.push(item);
  }, end);
  side.promises.push(promise);
  if (side.promises.length > 8) side.promises.shift();
  if (controller && random(2)) controller.abort();
  return other;
}

async function run(seed, cut) {
  const random = generator(seed);
  const limits = random(2) ? { calls: 5, references: 200 } : undefined;
  const sides = [new Side(limits), new Side()];
  for (let step = 0; step < 120; step++) {
    const which = random(2);
    const [side, other] = which ? sides : [...sides].reverse();
    switch (random(6)) {
      case 0:
      case 1:
        act(side, other, random);
        break;
      case 2:
        side.write();
        break;
      case 3:
      case 4:
        if (other.wire.length) side.peer.session.receive(other.wire.shift());
        break;
      case 5:
        if (side.held.length) side.held.splice(random(side.held.length), 1)[0].release();
        else await settled();
    }
  }
  if (!cut) await drain(sides);
  return sides;
}

/** Deliver everything until nothing is left. */
async function drain(sides) {
  const [a, b] = sides;
  for (let quiet = 0; quiet < 3; ) {
    await settled();
    for (const side of sides) side.write();
    quiet = a.wire.length || b.wire.length ? 0 : quiet + 1;
    for (const message of a.wire.splice(0)) b.peer.session.receive(message);
    for (const message of b.wire.splice(0)) a.peer.session.receive(message);
  }
}

for (let seed = 1; seed <= 150; seed++) {
  test(`laws hold for seed ${seed}`, async () => {
    const sides = await run(seed);
    for (const side of sides) {
      assert.equal(side.peer.broker.ending, null, JSON.stringify(side.peer.broker.ending));
      assert.ok(
        side.ends.every((count) => count === 1),
        `ends: ${side.ends}`,
      );
      const { waiting, held, running } = side.peer.statistics();
      assert.deepEqual({ waiting, held, running }, { waiting: 0, held: 0, running: 0 });
    }
    const isHeld = ({ peer }) => peer.statistics().exported + peer.statistics().imported > 0;
    for (let round = 0; round < 6 && (round === 0 || sides.some(isHeld)); round++) {
      for (const side of sides) {
        side.promises.length = 0;
        for (const reference of side.held.splice(0)) reference.release();
      }
      for (const side of sides) side.peer.messages.length = side.peer.logged.length = 0;
      // Answers are kept until they are acknowledged, which a timer sees to at the latest.
      for (const side of sides) await side.peer.pass(1);
      await drain(sides);
      globalThis.gc();
      await drain(sides);
    }
    for (const side of sides) await side.peer.pass(1);
    await drain(sides);
    for (const side of sides) {
      const { exported, imported, nameable } = side.peer.statistics();
      assert.deepEqual({ exported, imported, nameable }, { exported: 0, imported: 0, nameable: 0 });
    }
  });
}

for (let seed = 1001; seed <= 1060; seed++) {
  test(`every call ends once when the connection is cut, seed ${seed}`, async () => {
    const sides = await run(seed, true);
    for (const side of sides) {
      side.peer.lost = true;
      side.peer.session.end(1006, "", true);
    }
    await settled();
    for (const side of sides) {
      assert.ok(
        side.ends.every((count) => count === 1),
        `ends: ${side.ends}`,
      );
      assert.ok(Object.values(side.peer.statistics()).every((count) => count === 0));
    }
  });
}

test("calls start in the order in which they were made", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = generator(seed);
    const [a, b] = [new Side(), new Side()];
    const workers = [];
    const made = [];
    for (let at = 0; at < 3; at++)
      workers.push(b.peer.root.callRemote("make", made.push(made.length) - 1));
    await drain([a, b]);
    const references = await Promise.all(workers);
    for (let step = 0; step < 100; step++) {
      const method = ["note", "later", "take", "back"][random(4)];
      references[random(3)].callRemote(method, made.push(made.length) - 1);
      if (random(5) === 0) b.write();
      if (random(3) === 0 && b.wire.length) a.peer.session.receive(b.wire.shift());
      if (random(4) === 0) await settled();
    }
    await drain([a, b]);
    assert.deepEqual(a.world.started, made);
  }
});

function value(random, depth = 0) {
  switch (random(depth > 3 ? 9 : 14)) {
    case 0:
      return null;
    case 1:
      return random(2) === 0;
    case 2:
      return random(1e9) - 5e8;
    case 3:
      return random(1e9) / 7;
    case 4:
      return ["", "$", "\u0000", "é😀", "__proto__", "\u2028"][random(6)];
    case 5:
      return [Number.NaN, Infinity, -Infinity, -0, 2 ** 53, 1e300][random(6)];
    case 6:
      return BigInt(random(1e9)) ** BigInt(random(9));
    case 7:
      return new Date(random(1e9) * 1000);
    case 8:
      return Uint8Array.from({ length: random(9) ** 4 }, () => random(256));
    case 9:
      return new Set(Array.from({ length: random(4) }, () => random(1e6)));
    case 10:
      return new Map(
        Array.from({ length: 1 + random(3) }, () => [random(1e6), value(random, depth + 1)]),
      );
    case 11:
    case 12:
      return Array.from({ length: random(5) }, () => value(random, depth + 1));
    default: {
      const object = {};
      for (let times = random(5); times > 0; times--) {
        const key = ["a", "$", "b c", "constructor", "1", "__proto__"][random(6)];
        Object.defineProperty(object, key, {
          value: value(random, depth + 1),
          writable: true,
          enumerable: true,
          configurable: true,
        });
      }
      return object;
    }
  }
}

test("values come back as they were", async () => {
  const random = generator(7);
  const [a, b] = [new Side(), new Side()];
  for (let round = 0; round < 300; round++) {
    const given = value(random);
    const promise = b.peer.root.callRemote("take", 0, given);
    await drain([a, b]);
    assert.deepStrictEqual((await promise)[0], given);
  }
});

// Caches: whatever is handed over, changed, released and sent home, and however the frames are cut
// into messages, a copy is what the original is when all has arrived.

class Pool extends Cacheable {
  static pbType = "property.Pool";
  items = [];
  observers = new Set();
  started = 0;
  stopped = 0;
  getStateToCacheAndObserveFor(_, observer) {
    this.started++;
    this.observers.add(observer);
    return { name: this.name, items: [...this.items], nested: this.nested };
  }
  stoppedObserving(_, observer) {
    assert.ok(this.observers.delete(observer), "stopped twice");
    this.stopped++;
  }
  add(item, random) {
    this.items.push(item);
    for (const observer of this.observers) {
      if (random(2)) observer.callRemoteOnly("add", item);
      else observer.callRemote("add", item);
    }
  }
}

class PoolCopy extends RemoteCache {
  observe_add(item) {
    this.items.push(item);
    return this.items.length;
  }
}
setUnjellyableForClass(Pool, PoolCopy);

class PoolSide extends Side {
  constructor(limits) {
    super(limits);
    this.pools = [new Pool(), new Pool(), new Pool()];
    this.pools[0].nested = [this.pools[1]];
    this.pools.forEach((pool, name) => {
      pool.name = name;
    });
    this.copies = new Set();
    this.seen = new Set();
    this.peer.broker.exports.publish("pools", new Pools(this));
    const { link } = this.peer.broker;
    const { hasRoom } = link;
    this.full = false;
    link.hasRoom = () => !this.full && hasRoom();
  }
  get remotePools() {
    return this.peer.broker.imports.receive("pools");
  }
  keep(copy) {
    if (!(copy instanceof RemoteCache)) return;
    this.copies.add(copy);
    if (this.seen.has(copy)) return;
    this.seen.add(copy);
    for (const nested of copy.nested ?? []) this.keep(nested);
  }
}

class Pools extends Referenceable {
  constructor(side) {
    super();
    this.side = side;
  }
  remote_take(...copies) {
    for (const copy of copies) this.side.keep(copy);
  }
  remote_get(at) {
    return [this.side.pools[at], this.side.pools[at]];
  }
  async remote_getLate(at) {
    await null;
    return { late: this.side.pools[at] };
  }
  remote_fail(at) {
    return [this.side.pools[at], Symbol("no")];
  }
  remote_change(at, item) {
    this.side.pools[at].add(item, () => 0);
    return this.side.pools[at].items.length;
  }
  remote_home(copy) {
    return this.side.pools.indexOf(copy);
  }
}

function actOnPools(side, random) {
  const at = random(3);
  const number = side.sent++;
  const [copy] = side.copies;
  switch (random(8)) {
    case 0:
      return side.remotePools.callRemote("take", ...side.pools.slice(at), side.pools[0]);
    case 1:
      return side.remotePools.callRemote("get", at).then(([one, two]) => {
        assert.equal(one, two);
        side.keep(one);
      });
    case 2:
      return side.remotePools.callRemote("getLate", at).then(({ late }) => side.keep(late));
    case 3:
      return side.remotePools.callRemote("fail", at).catch(() => {});
    case 4:
      return side.remotePools.callRemote("change", at, number);
    case 5:
      if (!copy) return;
      return side.remotePools
        .callRemote("home", copy)
        .then((home) => assert.equal(home, copy.name));
    case 6:
      if (!copy) return;
      side.copies.delete(copy);
      return copy.release();
    default:
      side.pools[at].add(number, random);
  }
}

async function runPools(seed) {
  const random = generator(seed);
  const sides = [new PoolSide(random(2) ? { calls: 3 } : undefined), new PoolSide()];
  // What was released meanwhile cannot go home, what is cut off does not end well, and an update is
  // never refused, but its answer may be.
  const expected = ["DeadReferenceError", "PBConnectionLost", "LimitExceeded"];
  for (let step = 0; step < 150; step++) {
    const [side, other] = random(2) ? sides : [...sides].reverse();
    switch (random(7)) {
      case 0:
      case 1:
        Promise.resolve(actOnPools(side, random)).catch((error) => {
          if (!expected.includes(error.type)) throw error;
        });
        break;
      case 2:
        side.write();
        break;
      case 3:
      case 4:
        if (other.wire.length) side.peer.session.receive(other.wire.shift());
        break;
      case 5:
        await settled();
        break;
      case 6:
        side.full = random(3) === 0;
        side.peer.broker.pump();
    }
  }
  return sides;
}

for (let seed = 1; seed <= 150; seed++) {
  test(`copies of caches are what the originals are, seed ${seed}`, async () => {
    const sides = await runPools(seed);
    for (const side of sides) {
      side.full = false;
      side.peer.broker.pump();
    }
    await drain(sides);
    for (const [side, other] of [sides, [...sides].reverse()]) {
      assert.equal(side.peer.broker.ending, null, JSON.stringify(side.peer.broker.ending));
      for (const copy of side.copies) {
        // One that came while it was being released is gone.
        if (!holds.get(copy).count) continue;
        assert.deepEqual(copy.items, other.pools[copy.name].items);
      }
      for (const copy of side.copies) copy.release();
    }
    // What was nested in a state, or was refused, is held as well.
    await drain(sides);
    // A cache in a call that was refused is told of changes until it has gone back.
    for (const { logged } of sides.map(({ peer }) => peer)) {
      assert.ok(logged.every(({ error }) => error.type === "DeadReferenceError"));
    }
    for (const side of sides) {
      side.peer.lost = true;
      side.peer.session.end(1006, "", true);
    }
    await settled();
    for (const { pools, peer } of sides) {
      for (const { started, stopped, observers } of pools) {
        assert.deepEqual([started - stopped, observers.size], [0, 0]);
      }
      assert.ok(Object.values(peer.statistics()).every((count) => count === 0));
    }
  });
}

for (let seed = 2001; seed <= 2060; seed++) {
  test(`observers are told once when the connection is cut, seed ${seed}`, async () => {
    const sides = await runPools(seed);
    for (const side of sides) {
      side.peer.lost = true;
      side.peer.session.end(1006, "", true);
    }
    await settled();
    for (const { pools, peer } of sides) {
      for (const { started, stopped } of pools) assert.equal(started, stopped);
      assert.ok(Object.values(peer.statistics()).every((count) => count === 0));
    }
  });
}

// Live copies: a plain model is changed in place, and what was not touched keeps its identity.

class Node {
  /** The part of the last snapshot that stands for it. */
  image = undefined;
  touched = true;
  constructor(kind, items) {
    this.kind = kind;
    this.items = items;
  }
}

function grow(random, depth = 0) {
  const many = (make) => Array.from({ length: random(4) }, make);
  switch (depth > 3 ? 0 : random(6)) {
    case 0:
      return random(9) ? random(1000) : ["text", null, true][random(3)];
    case 1:
      return new Node(
        "list",
        many(() => grow(random, depth + 1)),
      );
    case 2:
      return new Node("set", new Set(many(() => random(9))));
    case 3:
      return new Node("dict", new Map(many(() => [random(9), grow(random, depth + 1)])));
    default:
      return new Node("dict", new Map(many(() => [KEYS[random(5)], grow(random, depth + 1)])));
  }
}

const KEYS = ["a", "b", "1", "__proto__", "$"];

function wireOf(node) {
  if (!(node instanceof Node)) return node;
  if (node.kind === "list") return node.items.map(wireOf);
  if (node.kind === "set") return { $: "set", items: [...node.items] };
  return { $: "dict", items: [...node.items].map(([key, item]) => [key, wireOf(item)]) };
}

/** A random op, done to the model; gives it as it stands on the wire. */
function operate(root, random) {
  let node = root;
  const path = [];
  const trail = [root];
  for (;;) {
    const keys = node.kind === "set" ? [] : [...node.items.keys()];
    const key = keys[random(keys.length || 1)];
    const child =
      node.kind === "list" ? node.items[key] : node.kind === "dict" && node.items.get(key);
    if (!(child instanceof Node) || random(3) === 0) break;
    path.push(key);
    trail.push(child);
    node = child;
  }
  for (const one of trail) one.touched = true;
  const value = grow(random, trail.length);
  const { items } = node;
  if (node.kind === "set") {
    const members = [random(9), random(9)];
    const op = ["add", "discard"][random(2)];
    for (const member of members) op === "add" ? items.add(member) : items.delete(member);
    return [path, op, members];
  }
  if (node.kind === "list") {
    if (items.length && random(2)) {
      const at = random(items.length);
      items[at] = value;
      return [[...path, at], "set", wireOf(value)];
    }
    const index = random(items.length + 1);
    const count = random(items.length - index + 1);
    items.splice(index, count, value);
    return [path, "splice", index, count, [wireOf(value)]];
  }
  const keys = [...items.keys()];
  const isRoot = node === root;
  if (keys.length && random(3) === 0) {
    const key = keys[random(keys.length)];
    items.delete(key);
    return [[...path, key], "del"];
  }
  const key = isRoot || random(2) ? KEYS[random(5)] : random(9);
  items.set(key, value);
  return [[...path, key], "set", wireOf(value)];
}

/** The snapshot is the model, frozen, and the very same where nothing was touched. */
function check(node, image) {
  if (!(node instanceof Node)) return assert.equal(image, node);
  assert.ok(Object.isFrozen(image));
  if (node.image) assert.equal(node.image === image, !node.touched);
  node.image = image;
  node.touched = false;
  if (node.kind === "set") return assert.deepEqual(image, node.items);
  if (node.kind === "list") assert.ok(Array.isArray(image));
  else {
    const isPlain = [...node.items.keys()].every((key) => typeof key === "string");
    assert.equal(image instanceof Map, !isPlain);
  }
  const entries =
    image instanceof Map
      ? image
      : new Map(
          Object.entries(image).map(([key, item]) => [node.kind === "list" ? +key : key, item]),
        );
  assert.equal(entries.size, node.items.size ?? node.items.length);
  for (const [key, item] of node.items.entries()) check(item, entries.get(key));
}

test("a live copy is what a plain model is, and shares what was left alone", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = generator(seed);
    const root = new Node("dict", new Map(KEYS.map((key) => [key, grow(random)])));
    const peer = await new Peer().open();
    const promise = peer.root.callRemote("get");
    const state = ["Model", wireOf(root)];
    await peer.feed(["answer", 1, { $: "cache", type: "pb.live", id: 1, state }]);
    const copy = await promise;
    check(root, copy.snapshot());
    for (let round = 0; round < 20; round++) {
      const ops = Array.from({ length: 1 + random(5) }, () => operate(root, random));
      peer.session.receive(JSON.stringify(["cachemessage", 0, 1, "update", [ops]]));
      assert.deepEqual(peer.logged, [], JSON.stringify(ops));
      check(root, copy.snapshot());
    }
  }
});
