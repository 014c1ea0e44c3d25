// The core alone: what it lacks is an error that says so, and a bundle holds what is imported.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Referenceable } from "../src/core.js";
import { Peer } from "./support/peer.js";

class Page extends Referenceable {
  remote_echo(value) {
    return value;
  }
}

const failed = (promise) =>
  promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );

test("a stream or live copy is refused by the core alone, and given back", async () => {
  const peer = await new Peer({ names: { page: new Page() } }).open();
  const values = [
    { $: "stream", id: 1 },
    { $: "cache", type: "pb.live", id: 2, state: ["T", {}] },
  ];
  for (const [at, value] of values.entries()) {
    await peer.feed(["message", at + 1, "page", "echo", [value]]);
    const frames = peer.frames();
    assert.equal(frames.find(([name]) => name === "error")[2].type, "InsecureJelly");
    assert.deepEqual(frames[0], [["decref", "decache"][at], at + 1, 1]);
  }
  const error = await failed(peer.root.callRemote("take", (async function* () {})()));
  assert.match(error.message, /pbweb\/streams/);
  await peer.feed(["message", 3, "page", "echo", ["hello"]]);
  assert.deepEqual(peer.frames(), [["answer", 3, "hello"]]);
  const { exported, imported, waiting, running } = peer.statistics();
  assert.deepEqual([exported, imported, waiting, running], [0, 0, 0, 0]);
});

test("a part that is loaded later works from then on", async () => {
  const peer = await new Peer().open();
  const { LiveCopy } = await import("../src/live.js");
  const promise = peer.root.callRemote("get");
  const value = { $: "cache", type: "pb.live", id: 2, state: ["T", { title: "t" }] };
  await peer.feed(["answer", promise.id, value]);
  const copy = await promise;
  assert.ok(copy instanceof LiveCopy);
  assert.equal(copy.title, "t");
});

test("a bundle has all parts with pbweb, and with the core those that it imports", async () => {
  const STREAMS = "a stream is read once";
  const LIVE = "does not fit the state";
  for (const [contents, has] of [
    ['import { connect } from "pbweb"; connect("/pb");', [true, true]],
    ['import { connect } from "pbweb/core"; connect("/pb");', [false, false]],
    ['import { connect } from "pbweb/core"; import "pbweb/live"; connect("/pb");', [false, true]],
  ]) {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: fileURLToPath(new URL("..", import.meta.url)) },
      bundle: true,
      format: "esm",
      write: false,
    });
    const { text } = outputFiles[0];
    assert.deepEqual([text.includes(STREAMS), text.includes(LIVE)], has);
  }
});
