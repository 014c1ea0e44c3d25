// Two sessions and a link that delivers one message at a time, driven by a seeded generator.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Referenceable } from "../src/pbweb.js";
import { Peer, settled } from "./support/peer.js";

/** Numbers from 0 to `below`, the same for the same seed. */
function generator(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

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
