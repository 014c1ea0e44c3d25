import assert from "node:assert/strict";
import { test } from "node:test";
import { Referenceable, RemoteReference } from "../src/pbweb.js";
import { Peer, settled } from "./support/peer.js";

const peerWith = (options) => new Peer().open(options);

/** Why a call with these arguments fails; it must leave nothing behind. */
async function refusal(args, options, kw) {
  const peer = await peerWith(options);
  const error = await peer.root.call("take", { args, kw }).catch((caught) => caught);
  assert.deepEqual(peer.frames(), []);
  assert.equal(peer.statistics().exported, 0);
  assert.equal(peer.statistics().waiting, 0);
  const next = peer.root.callRemote("take", new Referenceable());
  assert.deepEqual(peer.frames(), [["message", next.id, "root", "take", [{ $: "remote", id: 1 }]]]);
  return error;
}

class Plain {}
const hostile = {
  "an instance of a class": [new Plain(), /args\[0\].*instance of Plain.*Referenceable/],
  "a symbol": [Symbol("x"), /a symbol/],
  "a promise": [Promise.resolve(1), /await it first/],
  "a regular expression": [/x/, /RegExp/],
  "a Float64Array": [new Float64Array(2), /Uint8Array/],
  "a lone surrogate": ["\ud800", /args\[0\]: .*surrogate/],
  "a key with a lone surrogate": [{ "\udc00": 1 }, /surrogate/],
  "an invalid Date": [new Date(Number.NaN), /Date/],
  "a Date after the year 9999": [new Date(8.64e15), /Date/],
  "an object as a key": [new Map([[{}, 1]]), /key of a Map/],
  "a member that is an object": [new Set([{}]), /member of a Set/],
  "a function under toJSON": [{ toJSON: () => "" }, /args\[0\].toJSON: .*under the key .*"toJSON"/],
  "a reference under then": [{ then: new Referenceable() }, /"then"/],
  "a boxed number": [Object(5), /Number/],
  "a URL": [new URL("http://localhost/"), /URL/],
};
for (const [name, [value, text]] of Object.entries(hostile)) {
  test(`${name} cannot cross, alone or inside`, async () => {
    const alone = await refusal([new Referenceable(), value].reverse());
    assert.equal(alone.type, "InsecureJelly");
    assert.match(alone.message, text);
    const inside = await refusal([1, { items: [new Referenceable(), value] }]);
    assert.match(inside.message, /^args\[1\]\.items\[1\]/);
  });
}

test("the path names keys of every kind", async () => {
  const bad = new Plain();
  assert.match((await refusal([{ "a b": [bad] }])).message, /^args\[0\]\["a b"\]\[0\]/);
  assert.match((await refusal([new Map([["key", bad]])])).message, /^args\[0\]\.key:/);
  assert.match((await refusal([new Map([[1, bad]])])).message, /^args\[0\]\[0\]:/);
  assert.match((await refusal([{ $: 1, x: bad }])).message, /^args\[0\]\.x:/);
  assert.match((await refusal([new Set([bad])])).message, /^args\[0\]\[0\]:/);
  assert.match((await refusal([], undefined, { name: bad })).message, /^kw\.name:/);
  assert.match((await refusal([], undefined, { $: 1 })).message, /"\$"/);
});

const nested = (n, inner = []) => (n === 1 ? inner : [nested(n - 1, inner)]);

test("depth is checked before anything is sent, as the peer counts it", async () => {
  const options = { limits: { depth: 3 } };
  for (const value of [
    nested(4),
    nested(3, [{}]),
    nested(3, [new Date(0)]),
    nested(3, [1n]) && nested(3, [new Map()]),
    nested(2, new Map([[1, []]])),
    new Map([[1, []]]),
  ]) {
    const error = await refusal([value], options);
    assert.equal(error.type, "LimitExceeded");
    assert.match(error.message, /^depth: args/);
  }
  const peer = await peerWith(options);
  peer.root.callRemote("take", nested(3), { a: { b: {} } }, new Set([[1]]), new Map([[1, 2]]));
  assert.equal(peer.frames().length, 1);
});

test("digits are checked", async () => {
  assert.match((await refusal([10n ** 1024n])).message, /^digits/);
  assert.match((await refusal([10n ** 5n], { limits: { digits: 5 } })).message, /^digits/);
});

test("a frame over the peer's message limit fails its call alone", async () => {
  const error = await refusal(["x".repeat(2000), new Referenceable()], {
    limits: { message: 1000 },
  });
  assert.equal(error.type, "LimitExceeded");
  assert.match(error.message, /^message:/);
});

test("references over the peer's limit fail the call", async () => {
  const many = Array.from({ length: 3 }, () => new Referenceable());
  const error = await refusal([many], { limits: { references: 2 } });
  assert.match(error.message, /^references/);
});

test("arguments are taken as they are at the time of the call", async () => {
  const peer = await peerWith();
  const data = { list: [1] };
  peer.root.callRemote("take", data);
  data.list.push(2);
  const [frame] = peer.frames();
  assert.deepEqual(frame[4], [{ list: [1] }]);
});

test("plain data is neither copied nor changed", async () => {
  const peer = await peerWith();
  const data = Object.freeze({
    list: Object.freeze([1, Object.freeze({ a: null })]),
    big: 2n ** 60n,
    more: Object.freeze([new Set()]),
  });
  peer.root.callRemote("take", data);
  assert.equal(peer.frames().length, 1);
});

test("an array with toJSON crosses as the list that it is", async () => {
  const peer = await peerWith();
  const toJSON = () => assert.fail("called");
  peer.root.callRemote("take", Object.assign([1], { toJSON }));
  assert.deepEqual(peer.frames()[0][4], [[1]]);
});

test("an accessor that throws fails its call; one that calls does not disturb it", async () => {
  const peer = await peerWith();
  const boom = {
    get x() {
      throw new Error("boom");
    },
  };
  await assert.rejects(Promise.resolve(peer.root.callRemote("take", boom)), /boom/);
  let calls = 0;
  const calling = {
    get x() {
      if (calls++ === 0) peer.root.callRemote("inner");
      return 1;
    },
  };
  peer.root.callRemote("outer", calling);
  await settled();
  assert.deepEqual(
    peer.frames().map(([, id, , name]) => [id, name]),
    [
      [2, "outer"],
      [3, "inner"],
    ],
  );
});

test("what is shared is written once", async () => {
  const peer = await peerWith();
  const shared = { a: 1 };
  const set = new Set([1]);
  peer.root.call("take", { args: [shared, set, [set]], kw: { again: shared } });
  const [frame] = peer.frames();
  assert.deepEqual(frame.slice(4), [
    [
      { $: "def", id: 1, value: { a: 1 } },
      { $: "def", id: 2, value: { $: "set", items: [1] } },
      [{ $: "use", id: 2 }],
    ],
    { again: { $: "use", id: 1 } },
  ]);
});

test("references in what is shared are counted once", async () => {
  const peer = await peerWith();
  const shared = [new Referenceable()];
  peer.root.callRemote("take", shared, shared);
  assert.deepEqual(peer.frames()[0][4], [
    { $: "def", id: 1, value: [{ $: "remote", id: 1 }] },
    { $: "use", id: 1 },
  ]);
  await peer.feed(["decref", 1, 1]);
  assert.equal(peer.broker.ending, null);
  assert.equal(peer.statistics().exported, 0);
});

test("the argument list itself may stand among the arguments", async () => {
  const peer = await peerWith();
  const args = [1];
  args.push(args);
  peer.root.call("take", { args });
  assert.deepEqual(peer.frames()[0][4], [1, { $: "def", id: 1, value: [1, { $: "use", id: 1 }] }]);
});

test("objects without a prototype and of another realm are plain", async () => {
  const { runInNewContext } = await import("node:vm");
  const peer = await peerWith();
  peer.root.callRemote(
    "take",
    Object.assign(Object.create(null), { a: 1 }),
    runInNewContext("({ b: [2n] })"),
  );
  assert.deepEqual(peer.frames()[0][4], [{ a: 1 }, { b: [{ $: "int", value: "2" }] }]);
});

test("bytes go outside the JSON to a peer that takes them", async () => {
  const bytes = Uint8Array.from({ length: 1025 }, (_, at) => at);
  const peer = await peerWith({ binary: true });
  peer.root.callRemote("take", bytes, bytes.subarray(1), Buffer.from("hi"));
  peer.root.callRemote("next");
  peer.flush();
  const [binary, text] = peer.messages.splice(0);
  const length = new DataView(binary.buffer).getUint32(0, true);
  assert.equal(binary.length, 4 + length + 4 + 1025);
  assert.match(new TextDecoder().decode(binary.subarray(4, 4 + length)), /"at":0.*base64.*"aGk="/s);
  assert.deepEqual(binary.subarray(-1025), bytes);
  assert.equal(text, '["message",2,"root","next"]');
  const old = await peerWith();
  old.root.callRemote("take", bytes);
  assert.equal(old.frames()[0][4][0].base64.length, 1368);
});

test("an error is a value, too", async () => {
  const peer = await peerWith();
  peer.root.callRemote("take", [new RangeError("too far")]);
  assert.deepEqual(peer.frames()[0][4], [
    [{ $: "failure", type: "RangeError", message: "too far", parents: ["RangeError", "Error"] }],
  ]);
});

test("a reference of this session's goes home, and only while it is held", async () => {
  const peer = await peerWith();
  const reference = peer.broker.imports.receive(7);
  assert.ok(reference instanceof RemoteReference);
  peer.root.callRemote("take", reference, peer.root);
  assert.deepEqual(peer.frames()[0][4], [
    { $: "local", id: 7 },
    { $: "local", id: "root" },
  ]);
  reference.release();
  peer.frames();
  await assert.rejects(Promise.resolve(peer.root.callRemote("take", reference)), {
    type: "DeadReferenceError",
  });
});

test("a lone surrogate among nothing but plain data is refused as well", async () => {
  const error = await refusal(["\udead"]);
  assert.equal(error.type, "InsecureJelly");
  assert.match(error.message, /args\[0\]: .*surrogate/);
});
