// Copies from one side to the other: jelly.js, unjelly.js, failures.js and incoming.js together.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Copyable,
  InsecureJelly,
  PBError,
  Referenceable,
  RemoteReference,
  setUnjellyableForClass,
} from "../src/pbweb.js";
import { Box, Point, SoldOut } from "./support/fixture.js";
import { Peer, pair, settled } from "./support/peer.js";
import { generator } from "./support/random.js";

class Echo extends Referenceable {
  remote_echo(...values) {
    this.given = values;
    return values;
  }
  remote_fail() {
    throw this.error;
  }
}

async function connected() {
  const root = new Echo();
  const [here, there] = await pair({}, { names: { root } });
  return { here, there, root };
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

async function across(...values) {
  const { here, there } = await connected();
  const arrived = await here.root.callRemote("echo", ...values);
  await checkIdle(here, there);
  return arrived;
}

test("the state is what toState gives, and the attributes by default", async () => {
  class Secret extends Copyable {
    static pbType = "Point";
    key = "secret";
    toState() {
      return { shown: 1 };
    }
  }
  const [secret, point] = await across(new Secret(), new Point({ x: [1] }));
  assert.deepEqual(secret, new Point({ shown: 1 }));
  assert.deepEqual(point, new Point({ x: [1] }));
});

test("a copy is made without its constructor, or by fromState", async () => {
  let made = 0;
  class Counting extends Copyable {
    constructor() {
      super();
      made++;
    }
  }
  setUnjellyableForClass(Counting, Counting);
  const [copy] = await across(new Counting());
  assert.ok(copy instanceof Counting);
  assert.equal(made, 1);

  class Private extends Copyable {
    #x;
    constructor(x) {
      super();
      this.#x = x;
    }
    toState() {
      return this.#x;
    }
    static fromState(x) {
      return new Private(x);
    }
    get x() {
      return this.#x;
    }
  }
  setUnjellyableForClass(Private, Private);
  const [inner] = await across(new Private([new Private(5)]));
  assert.equal(inner.x[0].x, 5);
});

test("toState is called once for a copy in a message", async () => {
  let asked = 0;
  class Asked extends Copyable {
    static pbType = "Point";
    toState() {
      asked++;
      return { fresh: [] };
    }
  }
  const one = new Asked();
  const [first, { second }, third] = await across(one, { second: one }, new Box(one));
  assert.equal(asked, 1);
  assert.equal(first, second);
  assert.equal(third.content, first);
});

test("nothing that a state shares is doubled", async () => {
  const list = [1];
  const [one, two, shared] = await across(new Point({ list }), new Box(list), list);
  assert.equal(one.list, two.content);
  assert.equal(one.list, shared);
});

test("copies in a Set and as keys", async () => {
  const point = new Point({ x: 1 });
  const [set, map, again] = await across(new Set([point]), new Map([[point, 1]]), point);
  assert.ok(set.has(again));
  assert.equal(map.get(again), 1);
});

test("references in a copy are counted, and go back with it", async () => {
  const { here, there, root } = await connected();
  const mine = new Echo();
  const [copy] = await here.root.callRemote("echo", new Point({ mine }));
  assert.equal(copy.mine, mine);
  assert.ok(root.given[0].mine instanceof RemoteReference);
  root.given[0].mine.release();
  await checkIdle(there);
  assert.equal(here.statistics().exported, 0);
});

const refused = {
  "a promise that is pending": (peer) => [peer.root.callRemote("echo"), /await it first/],
  "an instance of a class": () => [new (class Plain {})(), /^args\[0\]\.inner\.x\[0\]: .*Plain/],
  "a reference under then": () => [{ then: new Echo() }, /^args\[0\]\.inner\.x\[0\]\.then:/],
};
for (const [name, make] of Object.entries(refused)) {
  test(`${name} cannot stand in a copy`, async () => {
    const { here, there } = await connected();
    const [value, text] = make(here);
    const copy = new Point({ inner: new Point({ x: [value] }) });
    const error = await here.root.callRemote("echo", copy).catch((caught) => caught);
    assert.ok(error instanceof InsecureJelly);
    assert.match(error.message, text);
    await checkIdle(here, there);
  });
}

test("what toState throws fails the call", async () => {
  class Broken extends Copyable {
    toState() {
      throw new RangeError("broken");
    }
  }
  const { here, there } = await connected();
  await assert.rejects(Promise.resolve(here.root.callRemote("echo", new Broken())), RangeError);
  await checkIdle(here, there);
});

test("what fromState throws fails the call, and the next one is answered", async () => {
  class Picky extends Copyable {
    static fromState() {
      throw new RangeError("picky");
    }
  }
  setUnjellyableForClass(Picky, Picky);
  const { here, there } = await connected();
  const error = await here.root.callRemote("echo", new Picky()).catch((caught) => caught);
  assert.deepEqual([error.type, error.message], ["RangeError", "picky"]);
  assert.equal(there.logged.pop().error.message, "picky");
  assert.deepEqual(await here.root.callRemote("echo", 1), [1]);
  await checkIdle(here, there);
});

for (const key of ["norm", "toState", "constructor", "toString", "hasOwnProperty"]) {
  test(`a state hides no ${key}`, async () => {
    const peer = await new Peer({ names: { root: new Echo() } }).open();
    const copy = { $: "copy", type: "Point", state: { [key]: 1 } };
    await peer.feed(["message", 1, "root", "echo", [copy]]);
    const [, , failure] = peer.frames()[0];
    assert.match(failure.message, new RegExp(`cannot have "${key}"`));
  });
}

test("a type that is not registered is named with the way out", async () => {
  class Stranger extends Copyable {}
  const { here, there } = await connected();
  const error = await here.root.callRemote("echo", new Stranger()).catch((caught) => caught);
  assert.ok(error instanceof InsecureJelly);
  assert.match(
    error.message,
    /no class .* type "Stranger": setUnjellyableForClass\("Stranger", …\)/,
  );
  await checkIdle(here, there);
});

test("a failure is no copy and a copy no failure", async () => {
  const { here, there, root } = await connected();
  class Impostor extends PBError {
    static pbType = "Point";
  }
  root.error = new Impostor("no");
  const error = await here.root.callRemote("fail").catch((caught) => caught);
  assert.deepEqual([error.constructor.name, error.type], ["RemoteError", "Point"]);
  await checkIdle(here, there);
});

test("an exception arrives with its attributes, and what they may not change", async () => {
  class Lost extends PBError {
    toState() {
      return this.state;
    }
  }
  setUnjellyableForClass(Lost, Lost);
  const { here, there, root } = await connected();
  const fail = () => here.root.callRemote("fail").catch((caught) => caught);
  const thing = new Echo();

  root.error = Object.assign(new Lost("lost"), {
    state: { item: "tea", thing, type: "other", message: 1 },
  });
  const error = await fail();
  assert.ok(error instanceof Lost);
  assert.deepEqual([error.item, error.type, error.message], ["tea", "Lost", "lost"]);
  assert.ok(error.thing instanceof RemoteReference);
  error.thing.release();

  root.error = Object.assign(new Lost("lost"), { state: { check: 1 } });
  assert.match((await fail()).message, /cannot have "check"/);
  root.error = Object.assign(new Lost("lost"), { state: [1] });
  assert.ok((await fail()) instanceof InsecureJelly);
  await checkIdle(here, there);
});

test("an exception whose state cannot cross is a failure that says so", async () => {
  const { here, there, root } = await connected();
  root.error = Object.assign(new SoldOut("no"), { item: [Symbol("x")] });
  const error = await here.root.callRemote("fail").catch((caught) => caught);
  assert.ok(error instanceof InsecureJelly);
  assert.match(error.message, /^error\.item\[0\]: a symbol/);
  assert.equal(there.logged.pop().where, "the state of an error");
  await checkIdle(here, there);
});

test("an exception inside its own state ends", async () => {
  const { here, there, root } = await connected();
  root.error = new SoldOut("no");
  root.error.item = root.error;
  const error = await here.root.callRemote("fail").catch((caught) => caught);
  assert.ok(error.item instanceof SoldOut);
  await checkIdle(here, there);
});

test("bytes in the state of an exception stand in its frame", async () => {
  const { here, there, root } = await connected();
  root.error = Object.assign(new SoldOut("no"), { item: new Uint8Array(5000) });
  const error = await here.root.callRemote("fail").catch((caught) => caught);
  assert.equal(error.item.length, 5000);
  await checkIdle(here, there);
});

/** Points, lists and objects that stand in each other, in themselves and more than once. */
function graph(next) {
  const made = Array.from({ length: 1 + next(6) }, () => [new Point({}), [], {}][next(3)]);
  for (const one of made) {
    for (let at = next(4); at > 0; at--) {
      const value = next(3)
        ? made[next(made.length)]
        : ["text", 5, null, new Box(next(9))][next(4)];
      if (Array.isArray(one)) one.push(value);
      else one[`key${at}`] = value;
    }
  }
  return made;
}

/** Whether the two are equal, and the same wherever the other is the same. */
function isSame(one, two, seen = new Map()) {
  if (typeof one !== "object" || !one) return one === two;
  if (seen.has(one)) return seen.get(one) === two;
  if ([...seen.values()].includes(two)) return false;
  seen.set(one, two);
  const keys = Object.keys(one);
  return (
    Object.getPrototypeOf(one) === Object.getPrototypeOf(two) &&
    keys.join() === Object.keys(two).join() &&
    keys.every((key) => isSame(one[key], two[key], seen))
  );
}

test("any graph of copies arrives as it was", async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const value = graph(generator(seed));
    const [arrived] = await across(value);
    assert.ok(isSame(value, arrived), `seed ${seed}`);
  }
});
