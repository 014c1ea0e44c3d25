import assert from "node:assert/strict";
import { test } from "node:test";
import { Referenceable } from "../src/pbweb.js";
import { FixtureRoot } from "./support/fixture.js";
import { Peer } from "./support/peer.js";

class Box extends Referenceable {
  remote_take(...args) {
    this.args = args;
    return null;
  }
}

async function taken(args, kw) {
  const root = new Box();
  const peer = await new Peer({ names: { root } }).open();
  await peer.feed(["message", 1, "root", "take", args, ...(kw ? [kw] : [])]);
  assert.deepEqual(peer.frames(), [["answer", 1]]);
  return root.args;
}

test("keyword arguments are one more argument, only when there are any", async () => {
  assert.deepEqual(await taken([1]), [1]);
  assert.deepEqual(await taken([1], {}), [1]);
  assert.deepEqual(await taken([1], { a: { $: "int", value: "5" } }), [1, { a: 5n }]);
  const [kw] = await taken([], JSON.parse('{"__proto__":[{"$":"int","value":"5"}],"$":1}'));
  assert.deepEqual(Object.keys(kw), ["__proto__", "$"]);
  assert.equal(Object.getPrototypeOf(kw), Object.prototype);
});

test("a reference under the key then is refused among keyword arguments, too", async () => {
  const peer = await new Peer({ names: { root: new Box() } }).open();
  const kws = [{ then: { $: "remote", id: 1 } }, { toJSON: { $: "local", id: "root" } }];
  for (const [at, kw] of kws.entries()) {
    await peer.feed(["message", at + 1, "root", "take", [], kw]);
    assert.equal(peer.frames().at(-1)[2].type, "InsecureJelly");
  }
  assert.equal(peer.statistics().imported, 0);
});

test("keys of every name are data, and no prototype changes", async () => {
  const text =
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"x":{"$":"set","items":[]}}';
  const [value] = await taken([JSON.parse(text)]);
  assert.equal({}.polluted, undefined);
  assert.equal(value.polluted, undefined);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(Object.getOwnPropertyDescriptor(value, "__proto__").value, { polluted: 1 });
});

test("attachments are views of the message", async () => {
  const { encodeBinary } = await import("../src/frames.js");
  const root = new Box();
  const peer = await new Peer({ names: { root } }).open();
  const message = encodeBinary('["message",1,"root","take",[{"$":"bytes","at":0}]]', [
    Uint8Array.of(1, 2),
  ]);
  peer.session.receive(message);
  assert.deepEqual([...root.args[0]], [1, 2]);
  assert.equal(root.args[0].buffer, message.buffer);
});

test("30 doubled levels are neither expanded nor slow", async () => {
  let value = { $: "def", id: 1, value: [] };
  for (let id = 2; id <= 30; id++)
    value = { $: "def", id, value: [value, { $: "use", id: id - 1 }] };
  const [decoded] = await taken([value]);
  assert.equal(decoded[0], decoded[1]);
});

test("a use may stand in front of its def, since JavaScript sorts keys", async () => {
  const [value] = await taken([
    { b: { $: "def", id: 1, value: { c: [{ $: "use", id: 1 }] } }, 1: { $: "use", id: 1 } },
  ]);
  assert.equal(value[1], value.b);
  assert.equal(value.b.c[0], value.b);
});

test("a value that is used before what it waits for is there, in a copy, is refused", async () => {
  const peer = await new Peer({ names: { root: new FixtureRoot() } }).open();
  await peer.feed(["message", 1, "root", "wait"]);
  const copy = { $: "copy", type: "Box", state: [{ $: "use", id: 1 }] };
  await peer.feed(["message", 2, "root", "echo", [[{ $: "answer", id: 1 }, copy]]]);
  const [[name, id, failure]] = peer.frames();
  assert.deepEqual([name, id, failure.type], ["error", 2, "InsecureJelly"]);
});

test("a path into null leads nowhere", async () => {
  const peer = await new Peer({ names: { root: new FixtureRoot() } }).open();
  await peer.feed(["message", 1, "root", "echo", [{ a: null }]]);
  const target = { $: "answer", id: 1, path: ["a", "b"] };
  await peer.feed(["message", 2, "root", "echo", [target]]);
  assert.equal(peer.frames().at(-1)[2].type, "InsecureJelly");
});
