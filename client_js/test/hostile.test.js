// A client against a hostile server: threats B, C, D and G of the threat model, as far as they
// concern a client.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import {
  Cacheable,
  InsecureJelly,
  LiveCopy,
  Referenceable,
  RemoteCache,
  RemoteError,
  setUnjellyableForClass,
} from "../src/pbweb.js";
import { FixtureRoot } from "./support/fixture.js";
import { Peer, settled } from "./support/peer.js";

const failed = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );
const client = async (options) =>
  new Peer({ names: { page: new FixtureRoot() }, ...options }).open();

/** The prototypes that everything shares, written down to compare. */
const shape = () =>
  [Object, Array, Function, Map, Set, Promise, Error, Referenceable].map(({ prototype }) =>
    Reflect.ownKeys(prototype).map(String).sort().join(),
  );
let shapes;
before(() => {
  shapes = shape();
});
after(() => assert.deepEqual(shape(), shapes));

test("an answer cannot pollute a prototype, in data, failures or keys", async () => {
  const peer = await client();
  const poison = '{"__proto__":{"p":1},"constructor":{"prototype":{"p":1}},"$x":1}';
  for (const value of [
    poison,
    `[${poison},{"$":"set","items":[]}]`,
    `{"$":"dict","items":[["__proto__",{"p":1}],["constructor",1]]}`,
    `{"$":"def","id":1,"value":${poison}}`,
  ]) {
    const promise = peer.root.callRemote("get");
    peer.session.receive(`["answer",${promise.id},${value}]`);
    const got = await promise;
    assert.equal(got.p, undefined);
    assert.equal({}.p, undefined);
  }
  const promise = peer.root.callRemote("get");
  peer.session.receive(
    `["error",${promise.id},{"$":"failure","type":"__proto__","message":"<img onerror=alert(1)>","parents":["constructor"],"__proto__":{"p":1},"then":1}]`,
  );
  const error = await failed(promise);
  assert.deepEqual(
    [error.type, error.message, error.p],
    ["__proto__", "<img onerror=alert(1)>", undefined],
  );
});

test("nothing in an answer is called by an await", async () => {
  const peer = await client();
  const calls = [];
  peer.root.callRemote("take", (resolve) => calls.push(resolve)).catch(() => {});
  for (const value of [
    '{"then":{"$":"local","id":1}}',
    '{"then":{"$":"remote","id":5}}',
    '{"toJSON":{"$":"local","id":1}}',
    '{"$":"dict","items":[["then",{"$":"local","id":1}]]}',
    '{"$":"def","id":1,"value":{"then":{"$":"local","id":1}}}',
  ]) {
    const promise = peer.root.callRemote("get");
    peer.session.receive(`["answer",${promise.id},${value}]`);
    assert.equal((await failed(promise)).type, "InsecureJelly");
  }
  const promise = peer.root.callRemote("get");
  peer.session.receive(`["answer",${promise.id},{"then":"text"}]`);
  assert.deepEqual(await promise, { then: "text" });
  assert.deepEqual(calls, []);
});

test("only methods with the prefix can be reached, whatever the server calls", async () => {
  class Page extends Referenceable {
    secret() {
      assert.fail("called");
    }
    remote_own() {
      return 1;
    }
  }
  const page = new Page();
  page.remote_instance = () => assert.fail("called");
  const peer = await new Peer({ names: { page } }).open();
  const names = [
    "secret",
    "constructor",
    "__proto__",
    "toString",
    "valueOf",
    "hasOwnProperty",
    "__defineGetter__",
    "__lookupGetter__",
    "instance",
    "prototype",
    "call",
    "apply",
  ];
  for (const [at, name] of names.entries()) await peer.feed(["message", at + 1, "page", name, [1]]);
  assert.ok(
    peer.frames().every(([name, , { type }]) => name === "error" && type === "NoSuchMethod"),
  );
  for (const [at, name] of ["__proto__", "constructor", "toString", "root"].entries())
    await peer.feed(["message", 100 + at, name, "own"]);
  assert.ok(
    peer.frames().every(([name, , { type }]) => name === "error" && type === "DeadReferenceError"),
  );
});

test("answers that were never asked for, twice, and after an error", async () => {
  const peer = await client();
  const promise = peer.root.callRemote("get");
  await peer.feed(
    ["answer", 1, "first"],
    ["answer", 1, "second"],
    ["error", 1, { $: "failure", type: "x", message: "", parents: ["x"] }],
  );
  assert.equal(await promise, "first");
  const waiting = failed(peer.root.callRemote("get"));
  await peer.feed(["answer", 3, "predicted"]);
  assert.equal(peer.broker.ending.code, 4400);
  const error = await waiting;
  assert.deepEqual([error.type, error.cause.type], ["PBConnectionLost", "ProtocolError"]);
});

test("a malformed failure is an error of its call alone", async () => {
  const peer = await client();
  for (const failure of [
    {},
    { $: "int", value: "5" },
    { $: "failure" },
    { $: "failure", type: {}, message: [], parents: {} },
    { $: "failure", type: "x", message: "m", parents: ["x"], traceback: 5 },
  ]) {
    const promise = peer.root.callRemote("get");
    const error = failed(promise);
    await peer.feed(["error", promise.id, failure]);
    assert.equal((await error).type, "InsecureJelly");
  }
  assert.equal(peer.broker.ending, null);
});

test("references over the limit in an answer are given back; the fourth time ends it", async () => {
  const peer = await client({ limits: { references: 10 } });
  const many = (from) => Array.from({ length: 11 }, (_, at) => ({ $: "remote", id: from + at }));
  for (let round = 0; round < 4; round++) {
    const promise = peer.root.callRemote("get");
    const error = failed(promise);
    peer.frames();
    await peer.feed(["answer", promise.id, many(100 * round + 1)]);
    assert.equal((await error).type, "LimitExceeded");
    assert.equal(peer.statistics().imported, 0);
    const [decref] = peer.frames();
    assert.equal(decref.length, 23);
  }
  assert.equal(peer.broker.ending.code, 4413);
});

test("10^5 references in one answer, and names without end", async () => {
  const peer = await client();
  const promise = peer.root.callRemote("get");
  const many = Array.from({ length: 40000 }, (_, at) => ({ $: "remote", id: at + 1 }));
  peer.session.receive(JSON.stringify(["answer", promise.id, many]));
  assert.match((await failed(promise)).message, /^references/);
  const again = peer.root.callRemote("get");
  const named = Array.from({ length: 2000 }, (_, at) => ({ $: "remote", id: `name${at}` }));
  peer.session.receive(JSON.stringify(["answer", again.id, named]));
  assert.match((await failed(again)).message, /^references/);
});

test("deep answers are an error of their call, and never use up the stack", async () => {
  const peer = await client();
  for (const [open, close] of [
    ["[", "]"],
    ['{"a":', "}"],
    ['{"$":"set","items":[', "]}"],
    ['{"$":"def","id":1,"value":[', "]}"],
  ]) {
    for (const levels of [101, 5000, 60000]) {
      const promise = peer.root.callRemote("get");
      const text = `["answer",${promise.id},${open.repeat(levels)}{"$":"remote","id":5}${close.repeat(levels)}]`;
      if (text.length > 1048576) {
        promise.catch(() => {});
        continue;
      }
      peer.session.receive(text);
      assert.match((await failed(promise)).message, /^depth/);
      assert.deepEqual(peer.frames().at(-1), ["decref", 5, 1]);
    }
  }
});

test("a message over the limit ends it with 4413", async () => {
  const peer = await client();
  peer.session.receive(`["answer",1,"${"x".repeat(1048576)}"]`);
  assert.equal(peer.broker.ending.code, 4413);
});

test("limits of the server's that would hold calls for ever are refused", async () => {
  const peer = new Peer();
  await peer.feed(["version", 1, { limits: { calls: 0 } }]);
  assert.equal(peer.broker.ending.code, 4400);
});

test("a call storm is refused call by call", async () => {
  const peer = await client();
  const calls = Array.from({ length: 1000 }, (_, at) => ["message", at + 1, "page", "wait"]);
  await peer.feed(...calls);
  const frames = peer.frames();
  assert.equal(frames.length, 744);
  assert.ok(frames.every(([name, , { type }]) => name === "error" && type === "LimitExceeded"));
  assert.equal(peer.statistics().running, 256);
});

test("calls and cancels do not free what still runs", async () => {
  class Page extends Referenceable {
    remote_never() {
      return new Promise(() => {});
    }
  }
  const peer = await new Peer({ names: { page: new Page() } }).open();
  for (let id = 1; id <= 300; id++)
    await peer.feed(["message", id, "page", "never"], ["cancel", id]);
  assert.equal(peer.statistics().running, 256);
  assert.equal(peer.frames().length, 44);
});

class Mine extends Cacheable {
  stopped = 0;
  getStateToCacheAndObserveFor() {
    return {};
  }
  stoppedObserving() {
    this.stopped++;
  }
}
class Theirs extends RemoteCache {
  secret() {
    assert.fail("called");
  }
  remote_hidden() {
    assert.fail("called");
  }
  observe_seen(value) {
    this.value = value;
  }
}
setUnjellyableForClass("Theirs", Theirs);

/** A client that holds a copy with the id 7, and handed out a cache of its own with the id 1. */
async function holder() {
  const peer = await client();
  const mine = new Mine();
  const promise = peer.root.callRemote("swap", mine, new Referenceable());
  await peer.feed(["answer", 1, { $: "cache", type: "Theirs", id: 7, state: { x: 1 } }]);
  peer.frames();
  return { peer, mine, copy: await promise };
}

test("only observe_ methods of a copy can be reached", async () => {
  const { peer, copy } = await holder();
  const names = [
    "secret",
    "hidden",
    "release",
    "setCopyableState",
    "constructor",
    "x",
    "__proto__",
  ];
  for (const [at, name] of names.entries()) {
    await peer.feed(["cachemessage", at + 1, 7, name, [{}]]);
    assert.deepEqual(peer.frames()[0][2].type, "NoSuchMethod");
  }
  await peer.feed(["message", 50, 7, "seen", [1]], ["message", 51, 1, "stoppedObserving"]);
  for (const [, , { type }] of peer.frames()) assert.equal(type, "DeadReferenceError");
  assert.deepEqual({ ...copy }, { x: 1 });
});

test("updates of what is no copy are errors of those calls", async () => {
  const { peer, mine } = await holder();
  for (const [at, id] of [1, 2, 3, 8, 2 ** 53 - 1].entries()) {
    await peer.feed(["cachemessage", at + 1, id, "seen", [1]]);
    assert.deepEqual(peer.frames()[0][2].type, "DeadReferenceError");
  }
  assert.equal(mine.stopped, 0);
  assert.equal(peer.broker.ending, null);
});

for (const [name, frame] of Object.entries({
  "one decache too many": ["decache", 1, 2],
  "a decache of what was never handed out": ["decache", 9, 1],
  "a decache of a reference": ["decache", 2, 1],
  "a decref of a cache": ["decref", 1, 1],
  "an uncache of what is held": ["uncache", 7],
  "a decache of the peer's own": ["decache", 7, 1],
})) {
  test(`${name} ends the session`, async () => {
    const { peer, mine } = await holder();
    await peer.feed(frame);
    assert.equal(peer.broker.ending?.code, 4400);
    assert.equal(mine.stopped, 1);
    assert.ok(Object.values(peer.statistics()).every((count) => count === 0));
  });
}

for (const [name, tag, type] of [
  ["a cache comes home as a reference", { $: "local", id: 1 }, "DeadReferenceError"],
  ["a reference comes home as a cache", { $: "lcache", id: 2 }, "DeadReferenceError"],
  ["a published object comes home as a cache", { $: "lcache", id: "page" }, "DeadReferenceError"],
  ["a copy is called a reference", { $: "remote", id: 7 }, "DeadReferenceError"],
  ["a copy that is not there", { $: "cached", id: 8 }, "DeadReferenceError"],
  [
    "a cache with an id that is held",
    { $: "cache", type: "Theirs", id: 7, state: {} },
    "InsecureJelly",
  ],
  ["a cache without a state", { $: "cache", type: "Theirs", id: 9 }, "InsecureJelly"],
  [
    "a cache with a name for an id",
    { $: "cache", type: "Theirs", id: "x", state: {} },
    "InsecureJelly",
  ],
  [
    "a cache whose state is a list",
    { $: "cache", type: "Theirs", id: 9, state: [] },
    "InsecureJelly",
  ],
  [
    "a cache that hides a method",
    { $: "cache", type: "Theirs", id: 9, state: { observe_seen: 1 } },
    "InsecureJelly",
  ],
  [
    "a cache of a type that objects have",
    { $: "cache", type: "__proto__", id: 9, state: {} },
    "InsecureJelly",
  ],
]) {
  test(`${name}: an error of its call`, async () => {
    const { peer, copy } = await holder();
    const before = peer.statistics();
    const promise = failed(peer.root.callRemote("get"));
    await peer.feed(["answer", 2, [tag]]);
    assert.equal((await promise).type, type);
    assert.deepEqual(peer.statistics(), before);
    await peer.feed(["cachemessage", 0, 7, "seen", [5]]);
    assert.equal(copy.value, 5);
  });
}

test("caches over the limit in an answer are given back", async () => {
  const peer = await client();
  const promise = failed(peer.root.callRemote("get"));
  const items = Array.from({ length: 2000 }, (_, at) => ({
    $: "cache",
    type: "Theirs",
    id: at + 1,
    state: {},
  }));
  await peer.feed(["answer", 1, items]);
  assert.equal((await promise).type, "LimitExceeded");
  assert.equal(peer.statistics().imported, 0);
  const [, decache] = peer.frames();
  assert.deepEqual([decache[0], decache.length], ["decache", 4001]);
});

test("updates that do not end are errors past the limit of calls", async () => {
  class Slow extends RemoteCache {
    observe_wait() {
      return new Promise(() => {});
    }
    observe_seen() {
      this.seen = true;
    }
  }
  setUnjellyableForClass("Slow", Slow);
  const peer = await client({ limits: { calls: 3 } });
  const promise = peer.root.callRemote("get");
  await peer.feed(["answer", 1, { $: "cache", type: "Slow", id: 7, state: {} }]);
  peer.frames();
  for (let id = 1; id <= 5; id++) await peer.feed(["cachemessage", id, 7, "wait"]);
  await peer.feed(["cachemessage", 6, 7, "seen"]);
  assert.deepEqual(
    peer.frames().map(([name, id, failure]) => [name, id, failure?.type]),
    [
      ["error", 4, "LimitExceeded"],
      ["error", 5, "LimitExceeded"],
      ["answer", 6, undefined],
    ],
  );
  assert.equal((await promise).seen, true);
  assert.equal(peer.statistics().running, 3);
});

test("a live copy cannot be made to pollute, to call or to hang", async () => {
  const peer = await client();
  const promise = peer.root.callRemote("get");
  const state = `["x",{"__proto__":{"p":1},"constructor":{"prototype":{"p":1}},"then":1,"list":[]}]`;
  peer.session.receive(`["answer",1,{"$":"cache","type":"pb.live","id":7,"state":${state}}]`);
  const copy = await promise;
  assert.ok(copy instanceof LiveCopy);
  assert.deepEqual([copy.p, {}.p, copy.then], [undefined, undefined, 1]);
  peer.frames();
  for (const [at, op] of [
    `[["__proto__","p"],"set",1]`,
    `[["list","__proto__","p"],"set",1]`,
    `[["list","push"],"del"]`,
    `[["list"],"push",[1]]`,
    `[["list"],"__proto__"]`,
    `[["list"],"splice",0,0,{"length":4294967295}]`,
    `[["list"],"splice",{"$":"int","value":"0"},0,[]]`,
    `[${JSON.stringify(Array(5000).fill("constructor"))},"set",1]`,
  ].entries()) {
    peer.session.receive(`["cachemessage",${at + 1},7,"update",[[${op}]]]`);
    const [[kind, , failure]] = peer.frames();
    if (at) assert.deepEqual([kind, failure.type], ["error", "InsecureJelly"], op);
    assert.deepEqual([{}.p, [].p], [undefined, undefined]);
  }
  assert.equal(peer.broker.ending, null);
});

test("an update that does one thing again and again costs what it is long", async () => {
  const peer = await client();
  const promise = peer.root.callRemote("get");
  const dict = Object.fromEntries(Array.from({ length: 30000 }, (_, at) => [`k${at}`, at]));
  const items = Array.from({ length: 10000 }, (_, at) => [at, "x"]);
  const state = ["x", { dict, set: { $: "set", items } }];
  await peer.feed(["answer", 1, { $: "cache", type: "pb.live", id: 7, state }]);
  const copy = await promise;
  const ops = Array.from({ length: 10000 }, (_, at) => [
    [["dict", 1], "set", at],
    [["dict", 1], "del"],
    [["set"], "add", [[at, "y"]]],
    [["set"], "discard", [[at, "x"]]],
  ]).flat();
  await peer.feed(["cachemessage", 0, 7, "update", [ops]]);
  assert.deepEqual(peer.logged, []);
  assert.deepEqual(copy.dict, dict);
  assert.equal(copy.set.size, 10000);
  assert.ok([...copy.set].every(([, letter]) => letter === "y"));
});

test("large texts that are hard on regular expressions are read, or refused, all the same", async () => {
  const peer = await client();
  const size = 700000;
  for (const [value, expected] of [
    [`{"$":"bytes","base64":"${"A".repeat(size)}"}`, (got) => got.length === (size / 4) * 3],
    [`[${Array(size / 350).fill("1".repeat(308))}]`, (got) => got.length === size / 350],
    [`"${"\\\\ud800".repeat(size / 10)}"`, (got) => got.length === (size / 10) * 6],
    [`"${"\\ud83d\\ude00".repeat(size / 14)}"`, (got) => got.length === (size / 14) * 2],
    [`{"$":"datetime","value":"${"0".repeat(1000)}"}`, null],
    [`{"$":"decimal","value":"${"1".repeat(1000)}x"}`, null],
    [`{"$":"bytes","base64":"${"A".repeat(size)}!AAA"}`, null],
  ]) {
    const promise = peer.root.callRemote("get");
    const end = promise.then(
      (got) => expected(got),
      (error) => expected === null && error.type === "InsecureJelly",
    );
    peer.session.receive(`["answer",${promise.id},${value}]`);
    assert.equal(await end, true, value.slice(0, 60));
  }
});

/** Frames of the vectors, changed at random. */
function mutations() {
  const texts = ["frames", "rejected_values", "values", "scenarios"].flatMap((name) =>
    JSON.parse(
      readFileSync(new URL(`../../tests/vectors/${name}.json`, import.meta.url), "utf8"),
    ).flatMap(
      (vector) =>
        vector.message ??
        (vector.wire
          ? `["message",1,"page","echo",[${vector.wire}]]`
          : vector.steps.flatMap(({ receive }) => (receive ? [JSON.stringify(receive)] : []))),
    ),
  );
  let state = 12345;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const pieces = [
    '"$"',
    "{}",
    "[]",
    "0",
    "-1",
    "1e400",
    '"then"',
    "null",
    '"remote"',
    '"__proto__"',
    ",",
    "]",
    '"\\ud800"',
    '{"$":"answer","id":1}',
    "true",
  ];
  return Array.from({ length: 6000 }, () => {
    let text = texts[random(texts.length)];
    for (let times = random(3); times >= 0; times--) {
      const at = random(text.length + 1);
      const cut = random(4);
      const put = random(3)
        ? pieces[random(pieces.length)]
        : texts[random(texts.length)].slice(0, random(40));
      text = text.slice(0, at) + put + text.slice(at + cut);
    }
    return text;
  });
}

test("garbage ends in nothing, an error, or a close with a code; never in a fault", async () => {
  const codes = new Set();
  let peer = null;
  let used = 0;
  for (const text of mutations()) {
    if (!peer || peer.broker.ending || used++ > 20) {
      peer = await client();
      peer.root.callRemote("get").catch(() => {});
      peer.frames();
      used = 0;
    }
    peer.session.receive(text);
    // Changed at random, a frame can be a good `close`, too: only this side's own are looked at.
    for (const [name, code] of peer.frames()) if (name === "close") codes.add(code);
    const faults = peer.logged.filter(({ where }) => !/the peer's call/.test(where));
    assert.deepEqual(faults, [], text);
  }
  await settled();
  for (const code of codes) assert.ok(code === 4400 || code === 4413, `code ${code}`);
  assert.ok(codes.has(4400));
});

test("what an array has beside its items is no attachment", async () => {
  const got = [];
  class Taker extends Referenceable {
    remote_take(value) {
      got.push(value);
    }
  }
  const peer = await client({ names: { page: new Taker() } });
  let id = 0;
  for (const at of ['"constructor"', '"map"', '["at"]', "-1", "0.5"]) {
    // Escaped, it is not what the check of attachments looks for.
    peer.session.receive(`["message",${++id},"page","take",[{"$":"b\\u0079tes","at":${at}}]]`);
    await settled();
    assert.deepEqual(
      peer.frames().map(([name, , failure]) => [name, failure.type]),
      [["error", "InsecureJelly"]],
    );
  }
  assert.deepEqual(got, []);
});

test("a peer that takes no message of any size ends the session, and nothing is unhandled", async () => {
  class Failing extends Referenceable {
    async remote_fail() {
      throw new InsecureJelly("no");
    }
  }
  const peer = await client({ names: { page: new Failing() } });
  await peer.feed(["message", 1, "page", "fail"]);
  assert.equal(peer.frames()[0][0], "error");
  const small = await new Peer({ names: { page: new Failing() } }).open({
    limits: { message: 20 },
  });
  await small.feed(["message", 1, "page", "fail"]);
  assert.equal(small.closed.code, 4413);
  assert.ok(Object.values(small.statistics()).every((count) => count === 0));
});

test("an exception with a great many parents is sent with some of them", async () => {
  class Failing extends Referenceable {
    async remote_fail() {
      throw Object.assign(new RemoteError("no"), { parents: Array(5000).fill("a.B") });
    }
  }
  const peer = await client({ names: { page: new Failing() } });
  await peer.feed(["message", 1, "page", "fail"]);
  assert.equal(peer.frames()[0][2].parents.length, 64);
});

/** How often `value[Symbol.iterator]`-like walks of a frame's `use`s grow: objects looked at. */
async function looksAt(count) {
  const peer = await client();
  const ids = Array.from({ length: count }, (_, at) => at + 1);
  const list = [
    ...ids.map((id) => ({ $: "use", id })),
    ...ids.map((id) => ({ $: "def", id, value: [] })),
  ];
  const { values } = Object;
  let looks = 0;
  Object.values = (value) => {
    looks++;
    return values(value);
  };
  try {
    await peer.feed(["message", 1, "page", "echo", [list]]);
  } finally {
    Object.values = values;
  }
  assert.equal(peer.frames()[0][0], "answer");
  return looks;
}

test("names that come before what they name are looked for once in a frame", async () => {
  assert.ok((await looksAt(400)) < 3 * (await looksAt(200)));
});

/** A live copy that a peer has, and what updates it. */
async function liveCopy(state, value = null) {
  const peer = await client();
  const promise = peer.root.callRemote("get", value);
  const id = peer.frames().at(-1)[4][0]?.id;
  const cache = { $: "cache", type: "pb.live", id: 7, state: ["T", state] };
  await peer.feed(["answer", promise.id, cache]);
  const update = (...ops) => peer.feed(["cachemessage", 0, 7, "update", [ops]]);
  return { peer, copy: await promise, update, id };
}

test("a live copy gets no function under the key then, by no way", async () => {
  const { peer, copy, update, id } = await liveCopy({ dict: { $: "dict", items: [[1, 2]] } }, () =>
    assert.fail("called"),
  );
  const own = { $: "local", id };
  await update([["then"], "set", own]);
  await update([["toJSON"], "set", own]);
  await update([["dict", "then"], "set", own]);
  await update([
    ["dict"],
    "set",
    {
      $: "dict",
      items: [
        [1, 2],
        ["then", own],
      ],
    },
  ]);
  const before = copy.snapshot();
  await update([["dict", 1], "del"]);
  assert.equal(copy.snapshot(), before);
  assert.equal(copy.then, undefined);
  assert.equal(copy.toJSON, undefined);
  assert.equal(peer.logged.length, 3);
  await update([["dict", "then"], "set", 5], [["dict", 1], "del"]);
  assert.deepEqual(copy.dict, { then: 5 });
});

test("a key of a live copy costs what it takes on the wire, not what it unfolds to", async () => {
  const { copy, update } = await liveCopy({ set: { $: "set", items: [] } });
  let value = ["x".repeat(100)];
  for (let id = 1; id < 49; id++)
    value = [
      { $: "def", id, value },
      { $: "use", id },
    ];
  await update([["set"], "add", [value]]);
  assert.equal(copy.set.size, 1);
  let frozen = "x";
  for (let level = 0; level < 45; level++) frozen = { $: "frozenset", items: [frozen] };
  await update([["set"], "add", [frozen]], [["set"], "add", [frozen]]);
  assert.equal(copy.set.size, 2);
});

test("an owner cannot make a live copy larger and larger", async () => {
  const { peer, copy, update } = await liveCopy({ list: [], text: "" });
  const megabyte = "x".repeat(2 ** 20 - 200);
  // What is replaced counts no more.
  for (let times = 0; times < 40; times++) await update([["text"], "set", megabyte + times]);
  assert.deepEqual(peer.logged, []);
  for (let times = 0; times < 20; times++) await update([["list"], "splice", 0, 0, [megabyte]]);
  const size = copy.list.length;
  assert.ok(size >= 2 && size <= 4, `${size}`);
  assert.match(peer.logged[0].error.message, /^copy_weight: /);
  // From there on it lacks an update, so it takes no other until it is brought whole.
  await update([["text"], "set", ""]);
  assert.notEqual(copy.text, "");
  await peer.feed(["cachemessage", 0, 7, "reset", [{ list: [1], text: "new" }]]);
  await update([["list"], "splice", 0, 0, [0]]);
  assert.deepEqual(copy.snapshot(), { list: [0, 1], text: "new" });
});

test("a wrong answer to a stream's next is the end of the stream, with an error that says so", async () => {
  const wrong = [null, 5, [], {}, { items: null }, { items: "ab" }, { items: [] }];
  wrong.push({ items: Array(65).fill(1), done: false });
  for (const answer of wrong) {
    const peer = await client();
    const got = peer.root.callRemote("get");
    await peer.feed(["answer", got.id, { $: "stream", id: 3 }]);
    const item = failed((await got).next());
    const next = peer.frames().find(([, , , name]) => name === "next");
    await peer.feed(["answer", next[1], answer]);
    assert.match(`${await item}`, /^InsecureJelly: .*stream's next/, JSON.stringify(answer));
    assert.deepEqual(peer.frames(), [["decref", 3, 1]]);
    assert.equal(peer.statistics().imported, 0);
  }
});

test("a tag that cannot be made a string is unknown like any other", async () => {
  const peer = await client();
  const tag = [{ toString: 2, constructor: 1 }];
  await peer.feed(["message", 1, "page", "echo", [{ $: tag, id: 3 }]]);
  const promise = peer.root.callRemote("get");
  peer.session.receive(JSON.stringify(["answer", promise.id, { $: tag, id: 3 }]));
  assert.equal((await failed(promise)).type, "InsecureJelly");
  await peer.feed(["cachemessage", 2, 9, "x", [{ $: tag }, { $: "use", id: 1 }]]);
  assert.deepEqual(
    peer
      .frames()
      .filter(([name]) => name === "error")
      .map(([, id, { type }]) => [id, type]),
    [
      [1, "InsecureJelly"],
      [2, "DeadReferenceError"],
    ],
  );
  assert.equal(peer.broker.ending, null);
});
