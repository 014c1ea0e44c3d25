// Run with --expose-gc.

import assert from "node:assert/strict";
import { test } from "node:test";
import { RemoteCache, setUnjellyableForClass } from "../src/pbweb.js";
import { FixtureRoot } from "./support/fixture.js";
import { Peer, pair, settled } from "./support/peer.js";

async function collected() {
  for (let round = 0; round < 3; round++) {
    globalThis.gc();
    await settled();
  }
}

test("a reference that is garbage is given back with its count", async () => {
  const peer = await new Peer().open();
  for (let times = 0; times < 3; times++) peer.broker.imports.receive(7);
  await collected();
  assert.deepEqual(peer.frames(), [["decref", 7, 3]]);
  assert.equal(peer.statistics().imported, 0);
});

test("the exporter then lets go of the object", async () => {
  const [a, b] = await pair({ names: { root: new FixtureRoot() } });
  let counter = await b.root.callRemote("getCounter");
  const weak = new WeakRef(counter);
  await collected();
  assert.equal(await counter.callRemote("increment"), 1);
  assert.equal(a.statistics().exported, 1);
  counter = null;
  for (let round = 0; round < 5 && a.statistics().exported; round++) await collected();
  assert.equal(a.statistics().exported, 0);
  assert.equal(weak.deref(), undefined);
});

test("a call in progress keeps its reference", async () => {
  const peer = await new Peer().open();
  (() => {
    peer.broker.imports.receive(7).callRemote("slow");
  })();
  peer.frames();
  await collected();
  assert.deepEqual(peer.frames(), []);
  await peer.feed(["answer", 1]);
  await collected();
  assert.deepEqual(peer.frames(), [["decref", 7, 1]]);
});

test("an object that is handed out again meanwhile is given back once, with all counts", async () => {
  const peer = await new Peer().open();
  peer.broker.imports.receive(7);
  globalThis.gc();
  let again = peer.broker.imports.receive(7);
  await collected();
  assert.deepEqual(peer.frames(), []);
  assert.ok(again);
  again = null;
  await collected();
  assert.deepEqual(peer.frames(), [["decref", 7, 2]]);
});

test("references to published names are forgotten without a frame", async () => {
  const peer = await new Peer().open();
  for (let times = 0; times < 100; times++) peer.broker.imports.receive(`name${times}`);
  await collected();
  assert.deepEqual(peer.frames(), []);
});

test("a promise that is settled keeps neither arguments nor calls alive", async () => {
  const [a, b] = await pair({ names: { root: new FixtureRoot() } });
  let large = { data: [1, 2, 3] };
  const weak = new WeakRef(large);
  await b.root.callRemote("isSame", large);
  large = null;
  await b.pass(1);
  await collected();
  assert.equal(weak.deref(), undefined);
  assert.equal(a.statistics().nameable, 0);
});

async function liveBoard() {
  const peer = await new Peer().open();
  const promise = peer.root.callRemote("get");
  peer.frames();
  const cache = { $: "cache", type: "pb.live", id: 7, state: ["shop.Board", { title: "t" }] };
  await peer.feed(["answer", 1, cache]);
  return { peer, promise };
}

test("a live copy that nobody has or listens to is given back, and may come back", async () => {
  let { peer, promise } = await liveBoard();
  await promise;
  promise = null;
  await collected();
  assert.deepEqual(peer.frames(), [["decache", 7, 1]]);
  await peer.feed(["cachemessage", 0, 7, "update", [[[["title"], "set", "T"]]]]);
  const back = peer.root.callRemote("get");
  await peer.feed(["answer", 2, { $: "cached", id: 7 }]);
  assert.equal((await back).title, "T");
  assert.deepEqual(peer.logged, []);
});

test("a listener keeps a live copy", async () => {
  let { peer, promise } = await liveBoard();
  const heard = [];
  let stop = (await promise).subscribe((changes) => heard.push(changes.length));
  promise = null;
  await collected();
  await peer.feed(["cachemessage", 0, 7, "update", [[[["title"], "set", "T"]]]]);
  assert.deepEqual(heard, [1]);
  assert.deepEqual(peer.frames(), []);
  stop();
  stop = null;
  await collected();
  assert.deepEqual(peer.frames(), [["decache", 7, 1]]);
});

test("a listener keeps no live copy whose session is over, or that was given back", async () => {
  for (const isReleased of [true, false]) {
    let { peer, promise } = await liveBoard();
    const [copy, broker] = [new WeakRef(await promise), new WeakRef(peer.broker)];
    if (isReleased) {
      copy.deref().release();
      await peer.feed(["uncache", 7]);
    } else peer.session.end(1006, "");
    copy.deref().subscribe(() => {});
    promise = null;
    if (!isReleased) peer = null;
    await collected();
    assert.equal(copy.deref(), undefined);
    assert.equal(broker.deref() === undefined, !isReleased);
  }
});

test("the copy of a cache with hooks is kept until it is released", async () => {
  class Kept extends RemoteCache {}
  setUnjellyableForClass("Held", Kept);
  const cache = { $: "cache", type: "Held", id: 7, state: { x: 1 } };
  const peer = await new Peer().open();
  let promise = peer.root.callRemote("get");
  await peer.feed(["answer", 1, cache]);
  const weak = new WeakRef(await promise);
  promise = null;
  await collected();
  assert.equal(weak.deref().x, 1);
  weak.deref().release();
  await peer.feed(["uncache", 7]);
  await collected();
  assert.equal(weak.deref(), undefined);
});

test("a stream that is garbage is given back, also while its next is under way", async () => {
  let closed = 0;
  class Source extends FixtureRoot {
    async *remote_wait() {
      try {
        yield 1;
        yield 2;
        await new Promise((resolve) => this.stops.push(resolve));
      } finally {
        closed++;
      }
    }
    stops = [];
  }
  const source = new Source();
  const [a, b] = await pair({ names: { root: source } });
  await (async () => {
    const stream = await b.root.callRemote("wait");
    assert.equal((await stream.next()).value, 1);
    await settled();
    assert.equal(b.statistics().waiting, 1);
  })();
  for (let round = 0; round < 5 && a.statistics().exported; round++) await collected();
  assert.equal(a.statistics().exported, 0);
  source.stops[0]();
  await settled();
  assert.equal(closed, 1);
});
