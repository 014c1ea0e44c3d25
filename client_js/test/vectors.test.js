import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as pbweb from "../src/pbweb.js";
import { Box, FixtureRoot, Item, Point, Pond, PondCopy, soldOut } from "./support/fixture.js";
import { Peer } from "./support/peer.js";

const read = (name) =>
  JSON.parse(readFileSync(new URL(`../../tests/vectors/${name}.json`, import.meta.url), "utf8"));

const HELPERS = {
  shared: () => {
    const list = [1];
    return [list, list];
  },
  cycle: () => {
    const list = [];
    list.push(list);
    return list;
  },
  shared_dict: () => {
    const dict = { a: 1 };
    return [dict, dict];
  },
  cycle_dict: () => {
    const dict = {};
    dict.me = dict;
    return dict;
  },
  shared_copy: () => {
    const point = new Point({ x: 1 });
    return [point, point];
  },
  cycle_copy: () => {
    const point = new Point({});
    point.me = point;
    return point;
  },
  shared_box: () => {
    const box = new Box([1]);
    return [box, box];
  },
  shared_state: () => {
    const state = [1];
    return [state, new Box(state)];
  },
  sold_out: soldOut,
  pond_copy: (...ducks) => Object.assign(new PondCopy(), { ducks }),
  pond_copy_twice: () => {
    const copy = HELPERS.pond_copy("a");
    return [copy, copy];
  },
  island_copy: () => {
    const copy = HELPERS.pond_copy("a");
    copy.island = copy;
    return copy;
  },
  shared_pond: () => {
    const pond = new Pond(["a"]);
    return [pond, { again: pond }];
  },
  Box,
  Item,
  Point,
  Pond,
  nested: (n) => (n === 1 ? [] : [HELPERS.nested(n - 1)]),
};

function evaluate(expression) {
  const names = { ...pbweb, ...HELPERS };
  return new Function(...Object.keys(names), `return (${expression});`)(...Object.values(names));
}

const host = async (limits) => new Peer({ names: { root: new FixtureRoot() }, limits }).open();

for (const vector of read("values")) {
  if (vector.encodes.includes("javascript")) {
    test(`encodes: ${vector.name}`, async () => {
      const peer = await host();
      peer.root.callRemote("echo", evaluate(vector.javascript)).catch(() => {});
      const [frame] = peer.frames();
      assert.deepStrictEqual(frame[4], [JSON.parse(vector.wire)]);
    });
  }
  if (vector.decodes.includes("javascript")) {
    test(`decodes: ${vector.name}`, async () => {
      const peer = await host();
      const promise = peer.root.callRemote("get");
      peer.session.receive(`["answer",1,${vector.wire}]`);
      assert.deepStrictEqual(await promise, evaluate(vector.javascript));
    });
  }
}

test("what is shared or inside itself is so after decoding", async () => {
  const peer = await host();
  const get = (wire) => {
    const promise = peer.root.callRemote("get");
    peer.session.receive(`["answer",${promise.id},${wire}]`);
    return promise;
  };
  const [one, two] = await get('[{"$":"def","id":1,"value":[1]},{"$":"use","id":1}]');
  assert.equal(one, two);
  const list = await get('{"$":"def","id":1,"value":[{"$":"use","id":1}]}');
  assert.equal(list[0], list);
  const dict = await get('{"$":"def","id":1,"value":{"me":{"$":"use","id":1}}}');
  assert.equal(dict.me, dict);
  const copy = await get(
    '{"$":"def","id":1,"value":{"$":"copy","type":"Point","state":{"me":{"$":"use","id":1}}}}',
  );
  assert.equal(copy.me, copy);
  const [box, again] = await get(
    '[{"$":"def","id":1,"value":{"$":"copy","type":"Box","state":1}},{"$":"use","id":1}]',
  );
  assert.equal(box, again);
  const early = await get('{"b":{"$":"def","id":1,"value":[]},"1":{"$":"use","id":1}}');
  assert.equal(early.b, early[1]);
});

for (const { name, state, ops, result, error } of read("live")) {
  test(`live: ${name}`, async () => {
    const peer = await host();
    const value = peer.root.callRemote("get");
    const cache = { $: "cache", type: "pb.live", id: 7, state: ["Board", state] };
    await peer.feed(["answer", 1, cache]);
    const board = await value;
    const before = board.snapshot();
    peer.frames();
    await peer.feed(["cachemessage", 1, 7, "update", [ops]]);
    const [[kind, id, failure]] = peer.frames();
    assert.deepEqual([kind, id, failure?.type], [error ? "error" : "answer", 1, error]);
    if (error) assert.equal(board.snapshot(), before);
    const expected = peer.root.callRemote("get");
    await peer.feed(["answer", 2, error ? state : result]);
    assert.deepStrictEqual(board.snapshot(), await expected);
    assert.ok(Object.isFrozen(board.snapshot()));
    assert.equal({}.polluted ?? [].polluted, undefined);
  });
}

for (const { name, wire, error } of read("rejected_values")) {
  test(`rejects: ${name}`, async () => {
    const peer = await host();
    peer.session.receive(`["message",1,"root","echo",[${wire}]]`);
    await peer.feed(["message", 2, "root", "echo", [1]]);
    const [failed, answered] = peer.frames().filter(([name]) => !/^dec/.test(name));
    assert.deepEqual([failed[0], failed[1], failed[2].type], ["error", 1, error]);
    assert.deepEqual(answered, ["answer", 2, 1]);
    assert.equal(peer.logged.length, 0);
  });

  test(`rejects, in an answer: ${name}`, async () => {
    if (/^an answer to a request/.test(name)) return;
    const peer = await host();
    const promise = peer.root.callRemote("get");
    peer.session.receive(`["answer",1,${wire}]`);
    await assert.rejects(Promise.resolve(promise), { type: error });
    assert.equal(peer.broker.ending, null);
    assert.equal(peer.statistics().imported, 0);
  });
}

for (const { name, message, valid, close } of read("frames")) {
  test(`frames: ${name}`, async () => {
    const peer = await host();
    peer.session.receive(message);
    const frames = peer.frames();
    assert.equal(peer.broker.ending?.code, valid ? undefined : close);
    if (!valid) assert.deepEqual([frames.length, frames[0].slice(0, 2)], [1, ["close", close]]);
    // Those that want no answer and those that want one are both quiet in the log.
    assert.equal(peer.logged.length, 0);
  });
}

/** What gives back, which depends on the collector where the vector does not ask for it. */
const GIVES = ["decref", "decache"];

function checkFrame(actual, expected) {
  if (GIVES.includes(expected[0]) && actual[0] === expected[0]) {
    const pairs = (frame) =>
      Object.fromEntries(
        frame
          .slice(1)
          .map((id, at) => [id, frame[at + 2]])
          .filter((_, at) => at % 2 === 0),
      );
    return assert.deepEqual(pairs(actual), pairs(expected));
  }
  if (expected[0] !== "error") return assert.deepEqual(actual, expected);
  const { type, message, state, parents = [] } = expected[2];
  assert.deepEqual(actual.slice(0, 2), expected.slice(0, 2));
  assert.equal(actual[2].type, type);
  if (message !== undefined) assert.equal(actual[2].message, message);
  if (state !== undefined) assert.deepEqual(actual[2].state, state);
  assert.deepEqual(actual[2].parents.slice(0, parents.length), parents);
}

function checkFrames(actual, expected) {
  const given = new Set(expected.map(([name]) => name));
  const frames = actual.filter(([name]) => !GIVES.includes(name) || given.has(name));
  const shown = JSON.stringify(frames);
  assert.equal(frames.length, expected.length, shown);
  for (const [at, frame] of expected.entries()) checkFrame(frames[at], frame);
}

for (const { name, limits, steps, languages } of read("scenarios")) {
  if (languages) continue; // Python's alone: nobody logs in to a page
  test(`scenario: ${name}`, async () => {
    const peer = await host(limits);
    let sent = [];
    for (const step of steps) {
      if (step.receive) {
        checkFrames(sent, []);
        await peer.feed(...step.receive);
        sent = peer.frames();
      } else if (step.send) {
        const closing = peer.broker.ending && sent.at(-1)[0] === "close" ? [sent.pop()] : [];
        checkFrames(sent, step.send);
        sent = closing;
      } else {
        assert.equal(peer.broker.ending?.code, step.close);
        assert.deepEqual(sent.at(-1).slice(0, 2), ["close", step.close]);
        checkFrames(sent.slice(0, -1), []);
        sent = [];
      }
    }
    checkFrames(sent, []);
    peer.session.end(1000, "", false);
    assert.ok(Object.values(peer.statistics()).every((count) => count === 0));
  });
}
