// Live copies, against frames as the protocol has them. What each op does is in the vectors.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  InsecureJelly,
  LiveCopy,
  Referenceable,
  RemoteReference,
  setUnjellyableForClass,
} from "../src/pbweb.js";
import "./support/fixture.js";
import { Peer, settled } from "./support/peer.js";

const STATE = { title: "Plan", cards: [{ text: "one" }, { text: "two" }], labels: { red: 1 } };

const failed = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );

async function get(peer, value) {
  const promise = peer.root.callRemote("get");
  await peer.feed(["answer", promise.id, value]);
  peer.frames();
  return promise;
}

/** A peer, the live copy that it got, and what updates it. */
async function live(state = STATE, type = "shop.Board", options = {}) {
  const peer = await new Peer(options).open();
  const cache = { $: "cache", type: "pb.live", id: 7, state: [type, structuredClone(state)] };
  const board = await get(peer, cache);
  const update = (...ops) => peer.feed(["cachemessage", 0, 7, "update", [ops]]);
  return { peer, board, update };
}

test("a live copy has the attributes of the object, and they change", async () => {
  const { board, update } = await live();
  assert.ok(board instanceof LiveCopy);
  assert.equal(board.title, "Plan");
  assert.equal(board.cards[1].text, "two");
  assert.deepEqual(Object.keys(board), ["title", "cards", "labels"]);
  await update([["title"], "set", "Done"], [["cards"], "splice", 0, 1, []]);
  assert.deepEqual({ ...board }, { title: "Done", cards: [{ text: "two" }], labels: { red: 1 } });
  await update([["owner"], "set", "me"], [["labels"], "del"]);
  assert.deepEqual({ ...board }, { title: "Done", cards: [{ text: "two" }], owner: "me" });
  assert.equal("labels" in board, false);
  assert.throws(() => {
    board.title = "mine";
  }, TypeError);
});

test("an attribute hides nothing that the class has", async () => {
  const state = { snapshot: 1, release: 2, constructor: 3, title: "t" };
  const { board, update } = await live(state);
  assert.deepEqual(board.snapshot(), state);
  assert.equal(board.constructor, LiveCopy);
  await update([["subscribe"], "set", 1], [["release"], "del"]);
  assert.equal(typeof board.subscribe, "function");
  assert.equal(typeof board.release, "function");
  assert.equal(board.snapshot().subscribe, 1);
});

test("a snapshot is frozen, and the same one while nothing has changed", async () => {
  const { peer, board, update } = await live();
  const first = board.snapshot();
  assert.deepEqual(first, STATE);
  assert.equal(board.snapshot(), first);
  for (const part of [first, first.cards, first.cards[0], first.labels]) {
    assert.ok(Object.isFrozen(part));
  }
  await update();
  assert.equal(board.snapshot(), first);
  await update([["cards", 1, "text"], "set", "2"]);
  const second = board.snapshot();
  assert.notEqual(second, first);
  assert.deepEqual(first, STATE);
  assert.equal(second.cards[0], first.cards[0]);
  assert.equal(second.labels, first.labels);
  assert.notEqual(second.cards[1], first.cards[1]);
  assert.ok(Object.isFrozen(second.cards) && Object.isFrozen(second.cards[1]));
  assert.deepEqual(peer.logged, []);
});

test("a node is copied once in an update", async () => {
  const { board, update } = await live({ list: [[0], [1]] });
  const seen = [];
  board.subscribe(() => seen.push(board.snapshot()));
  await update(
    [["list", 0], "splice", 1, 0, ["a"]],
    [["list", 0], "splice", 2, 0, ["b"]],
    [["list"], "splice", 2, 0, ["c"]],
  );
  assert.deepEqual(seen, [{ list: [[0, "a", "b"], [1], "c"] }]);
});

test("a listener gets all changes of an update at once, until it is told no more", async () => {
  const { board, update } = await live({
    title: "t",
    list: [1],
    dict: {},
    set: { $: "set", items: [] },
  });
  const heard = [];
  const { subscribe, snapshot } = board;
  const stop = subscribe((changes) => heard.push([changes, snapshot().title]));
  await update(
    [["title"], "set", "T"],
    [["list"], "splice", 0, 1, [2, 3]],
    [["dict", "a"], "set", {}],
    [["dict", "a"], "del"],
    [["set"], "add", ["x"]],
    [["set"], "discard", ["x", "y"]],
  );
  assert.deepEqual(heard, [
    [
      [
        { path: ["title"], op: "set", value: "T" },
        { path: ["list"], op: "splice", index: 0, count: 1, items: [2, 3] },
        { path: ["dict", "a"], op: "set", value: {} },
        { path: ["dict", "a"], op: "del" },
        { path: ["set"], op: "add", items: ["x"] },
        { path: ["set"], op: "discard", items: ["x", "y"] },
      ],
      "T",
    ],
  ]);
  stop();
  stop();
  await update([["title"], "set", "U"]);
  assert.equal(heard.length, 1);
});

test("reset brings a state of its own", async () => {
  const { peer, board } = await live();
  const heard = [];
  board.subscribe((changes) => heard.push(...changes));
  await peer.feed(["cachemessage", 0, 7, "reset", [{ title: "new", more: [1] }]]);
  assert.deepEqual({ ...board }, { title: "new", more: [1] });
  assert.deepEqual(heard, [{ path: [], op: "reset", value: { title: "new", more: [1] } }]);
  assert.equal(heard[0].value, board.snapshot());
  assert.ok(Object.isFrozen(board.snapshot().more));
});

test("a listener that throws is logged, and hurts nobody", async () => {
  const { peer, board, update } = await live();
  const heard = [];
  board.subscribe(() => {
    throw new RangeError("broken");
  });
  board.subscribe(() => heard.push(1));
  await update([["title"], "set", "T"]);
  assert.deepEqual([heard, board.title], [[1], "T"]);
  assert.deepEqual(
    peer.logged.map(({ error, where }) => [error.message, where]),
    [["broken", "a listener of shop.Board"]],
  );
});

test("listeners may come and go while they are called", async () => {
  const { board, update } = await live();
  const heard = [];
  const stops = [];
  const listen = (name) => stops.push(board.subscribe(() => heard.push(name) && again(name)));
  const again = (name) => {
    if (name !== "first") return;
    for (const stop of stops.splice(0)) stop();
    listen("first");
  };
  listen("first");
  listen("second");
  await update([["title"], "set", "T"]);
  assert.deepEqual(heard, ["first"]);
  await update([["title"], "set", "U"]);
  assert.deepEqual(heard, ["first", "first"]);
});

test("the same function that listens twice is called twice", async () => {
  const { board, update } = await live();
  let times = 0;
  const listener = () => times++;
  const stop = board.subscribe(listener);
  board.subscribe(listener);
  await update([["title"], "set", "T"]);
  stop();
  await update([["title"], "set", "U"]);
  assert.equal(times, 3);
});

test("an update that does not fit changes nothing at all, and is logged", async () => {
  const { peer, board, update } = await live();
  const before = board.snapshot();
  let heard = 0;
  board.subscribe(() => heard++);
  await update([["title"], "set", "T"], [["cards"], "splice", 5, 1, []]);
  assert.equal(board.snapshot(), before);
  assert.equal(heard, 0);
  assert.ok(peer.logged.pop().error instanceof InsecureJelly);
  await update([["title"], "set", "T"]);
  assert.equal(board.title, "T");
  for (const [name, ...args] of [
    ["update", 5],
    ["update"],
    ["reset", [1]],
    ["reset", null],
    ["newCopy"],
    ["setCopyableState", ["x", {}]],
  ]) {
    await peer.feed(["cachemessage", 0, 7, name, args]);
    assert.match(peer.logged.pop().error.type, /InsecureJelly|NoSuchMethod/);
  }
  assert.equal(board.title, "T");
  assert.deepEqual(peer.logged, []);
});

test("a path and a state have their bounds", async () => {
  const { peer, board, update } = await live({ a: {} }, "shop.Board", { limits: { depth: 5 } });
  await update([["a", "b", "c", "d", "e", "f"], "set", 1]);
  assert.ok(peer.logged.pop().error instanceof InsecureJelly);
  assert.deepEqual(board.snapshot(), { a: {} });
});

for (const [name, state] of Object.entries({
  "no list": {},
  "no type": [5, {}],
  "no state": ["shop.Board"],
  "a list as its state": ["shop.Board", []],
  "a dict with keys that are no strings": ["shop.Board", { $: "dict", items: [[1, 2]] }],
  "a copy as its state": ["shop.Board", { $: "copy", type: "Point", state: {} }],
})) {
  test(`a live object with ${name} is refused, and given back`, async () => {
    const peer = await new Peer().open();
    const error = failed(peer.root.callRemote("get"));
    peer.frames();
    await peer.feed(["answer", 1, { $: "cache", type: "pb.live", id: 7, state }]);
    assert.match((await error).message, /a live object/);
    assert.deepEqual(peer.frames(), [["decache", 7, 1]]);
    assert.equal(peer.statistics().imported, 0);
  });
}

test("a class of its own is registered for the object's type", async () => {
  class Board extends LiveCopy {
    title = "before the first state";
    get count() {
      return this.cards.length;
    }
    find(text) {
      return this.snapshot().cards.find((card) => card.text === text);
    }
  }
  setUnjellyableForClass("live.Board", Board);
  const { board, update } = await live({ ...STATE, count: "hidden" }, "live.Board");
  assert.ok(board instanceof Board);
  assert.deepEqual([board.title, board.count], ["Plan", 2]);
  await update([["cards"], "splice", 0, 0, [{ text: "zero" }]]);
  assert.deepEqual([board.count, board.find("zero")], [3, board.cards[0]]);
  const registry = new Map([["live.Board", class extends Board {}]]);
  const own = await live(STATE, "live.Board", { registry });
  assert.ok(own.board instanceof registry.get("live.Board"));
});

test("a class that is registered for something else is not taken", async () => {
  setUnjellyableForClass("live.Error", RangeError);
  const { board } = await live(STATE, "live.Error");
  assert.equal(board.constructor, LiveCopy);
});

test("the same live object is the same copy, and goes home as itself", async () => {
  const { peer, board } = await live();
  assert.equal((await get(peer, [{ $: "cached", id: 7 }]))[0], board);
  peer.root.callRemote("take", board).catch(() => {});
  assert.deepEqual(peer.frames()[0][4], [{ $: "lcache", id: 7 }]);
  board.release();
  assert.deepEqual(peer.frames(), [["decache", 7, 2]]);
  const error = await failed(peer.root.callRemote("take", board));
  assert.equal(error.type, "DeadReferenceError");
  await peer.feed(["uncache", 7]);
  assert.equal(peer.statistics().imported, 0);
});

test("after release no listener is called; the same copy may come back", async () => {
  const { peer, board, update } = await live();
  let heard = 0;
  const stop = board.subscribe(() => heard++);
  board[Symbol.dispose]();
  await update([["title"], "set", "late"]);
  assert.equal(heard, 0);
  stop();
  assert.equal(await get(peer, { $: "cached", id: 7 }), board);
  assert.equal(board.title, "late");
});

test("references and copies in the state are what they are anywhere", async () => {
  const mine = new Referenceable();
  const peer = await new Peer({ names: { mine } }).open();
  const state = [
    "shop.Board",
    { theirs: { $: "remote", id: 3 }, mine: { $: "local", id: "mine" } },
  ];
  const board = await get(peer, { $: "cache", type: "pb.live", id: 7, state });
  assert.ok(board.theirs instanceof RemoteReference);
  assert.ok(!Object.isFrozen(board.theirs) && !Object.isFrozen(mine));
  assert.equal(board.mine, mine);
  await peer.feed([
    "cachemessage",
    0,
    7,
    "update",
    [
      [
        [["theirs"], "set", { $: "remote", id: 3 }],
        [["set"], "set", { $: "set", items: [{ $: "remote", id: 3 }] }],
      ],
    ],
  ]);
  await peer.feed([
    "cachemessage",
    0,
    7,
    "update",
    [[[["set"], "discard", [{ $: "remote", id: 3 }]]]],
  ]);
  assert.equal(board.set.size, 0);
  assert.equal(peer.statistics().imported, 2);
});

test("a live copy keeps its last state when the session is over", async () => {
  const { peer, board } = await live();
  board.subscribe(() => {});
  peer.session.end(1006, "");
  await settled();
  assert.equal(board.title, "Plan");
  board.release();
  assert.ok(Object.values(peer.statistics()).every((count) => count === 0));
});

test("large integers and decimals are the same members when their values are", async () => {
  const [large, decimal] = [
    { $: "int", value: "9007199254740993" },
    { $: "decimal", value: "1.50" },
  ];
  const { board, update } = await live({ s: { $: "set", items: [[large, 1], decimal] } });
  await update([["s"], "add", [[large, 1], decimal, [decimal]]]);
  assert.equal(board.s.size, 3);
  await update([["s"], "discard", [[large, 1], decimal]]);
  assert.equal(board.s.size, 1);
});

test("bytes in a state weigh what they are", async () => {
  const { peer, board, update } = await live({ b: { $: "bytes", base64: "AQID" } });
  await update([["c"], "set", { $: "bytes", base64: "BAU=" }]);
  assert.deepEqual(
    [[...board.b], [...board.c]],
    [
      [1, 2, 3],
      [4, 5],
    ],
  );
  assert.deepEqual(peer.logged, []);
});
