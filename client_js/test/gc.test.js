// Run with --expose-gc.

import assert from "node:assert/strict";
import { test } from "node:test";
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
