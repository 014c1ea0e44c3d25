// Streams, both ways: streams.js, and what jelly.js, unjelly.js and references.js do for them.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Copyable,
  callSignal,
  InsecureJelly,
  LimitExceeded,
  PBConnectionLost,
  PBError,
  Referenceable,
  RemoteStream,
  Root,
} from "../src/pbweb.js";
import { Peer, pair, settled } from "./support/peer.js";

class Adder extends Referenceable {
  remote_add(a, b) {
    return a + b;
  }
}

class Source extends Root {
  made = 0;
  ended = [];
  async *remote_count(to = 1e9) {
    try {
      for (let number = 0; number < to; number++) {
        this.made++;
        yield number;
      }
      this.ended.push("whole");
    } finally {
      this.ended.push("finally");
    }
  }
  async *remote_wait(first) {
    const signal = callSignal();
    const aborted = new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(signal.reason));
    });
    try {
      for (let number = 0; number < first; number++) yield number;
      this.reason = await aborted;
    } finally {
      this.ended.push("finally");
    }
  }
  async *remote_fail(after, error = new PBError("no more of these")) {
    for (let number = 0; number < after; number++) yield number;
    throw error;
  }
  remote_keep(value) {
    this.kept = value;
  }
  async remote_all(stream) {
    const items = [];
    for await (const item of stream) items.push(item);
    return items;
  }
  async *remote_double(stream) {
    for await (const item of stream) yield 2 * item;
  }
}

async function open(options = {}) {
  const source = new Source();
  const [client, server] = await pair({}, { names: { root: source }, ...options });
  return { source, client, server, root: client.root };
}

/** Both sides are as at the beginning, once they have acknowledged what came. */
async function assertIdle({ client, server }, logged = 0) {
  await settled();
  for (let round = 0; round < 3; round++) {
    await client.pass(1);
    await server.pass(1);
  }
  for (const peer of [client, server]) {
    assert.ok(
      Object.values(peer.statistics()).every((count) => count === 0),
      JSON.stringify(peer.statistics()),
    );
  }
  assert.equal(client.logged.length + server.logged.length, logged);
}

const range = (to) => Array.from({ length: to }, (_, at) => at);

async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

async function* numbers(to) {
  for (let number = 0; number < to; number++) yield number;
}

test("an async generator is an async iterable at the other side", async () => {
  const both = await open();
  const stream = await both.root.callRemote("count", 200);
  assert.ok(stream instanceof RemoteStream);
  assert.deepEqual(await all(stream), range(200));
  assert.deepEqual(both.source.ended, ["whole", "finally"]);
  await assertIdle(both);
});

test("the promise of a stream is read as the stream", async () => {
  const both = await open();
  assert.deepEqual(await all(both.root.callRemote("count", 3)), [0, 1, 2]);
  await assert.rejects(all(both.root.callRemote("keep", 1)), TypeError);
  await assertIdle(both);
});

test("streams stand anywhere, and go both ways", async () => {
  const both = await open();
  assert.deepEqual(await both.root.callRemote("all", numbers(100)), range(100));
  const doubled = await all(both.root.callRemote("double", numbers(100)));
  assert.deepEqual(
    doubled,
    range(100).map((number) => 2 * number),
  );
  await both.root.callRemote("keep", { streams: [numbers(2), numbers(3)] });
  const [first, second] = both.source.kept.streams;
  assert.deepEqual(await all(second), [0, 1, 2]);
  assert.deepEqual(await all(first), [0, 1]);
  const literal = { [Symbol.asyncIterator]: () => numbers(4) };
  assert.deepEqual(await both.root.callRemote("all", literal), range(4));
  await assertIdle(both);
});

test("references, bytes, streams and copies are items", async () => {
  const both = await open();
  const adder = new Adder();
  async function* items() {
    yield adder;
    yield { big: new Uint8Array(5000), small: new Uint8Array(1) };
    yield Number.NaN;
    yield numbers(2);
    yield new Map([[1, new Set([2])]]);
  }
  await both.root.callRemote("keep", items());
  const [reference, data, nan, stream, map] = await all(both.source.kept);
  assert.equal(await reference.callRemote("add", 1, 2), 3);
  assert.deepEqual(data, { big: new Uint8Array(5000), small: new Uint8Array(1) });
  assert.ok(Number.isNaN(nan));
  assert.deepEqual(await all(stream), [0, 1]);
  assert.deepEqual(map, new Map([[1, new Set([2])]]));
  reference.release();
  await assertIdle(both);
});

test("a Blob, a File and a ReadableStream are streams of bytes, in chunks of 64 KiB at most", async () => {
  const both = await open();
  const bytes = new Uint8Array(200_000).map((_, at) => at % 251);
  const blob = new Blob([bytes]);
  const pieces = { start: (controller) => [bytes, "text"].map((one) => controller.enqueue(one)) };
  for (const source of [blob, new File([blob], "name"), blob.stream()]) {
    await both.root.callRemote("keep", source);
    const chunks = await all(both.source.kept);
    assert.ok(chunks.every((chunk) => chunk instanceof Uint8Array && chunk.length <= 65_536));
    assert.deepEqual(new Uint8Array(await new Blob(chunks).arrayBuffer()), bytes);
  }
  assert.deepEqual(await both.root.callRemote("all", new Blob([])), []);
  const mixed = new ReadableStream({ start: pieces.start });
  await both.root.callRemote("keep", mixed);
  const lengths = [];
  for await (const { length } of both.source.kept) if (lengths.push(length) === 5) break;
  assert.deepEqual(lengths, [65_536, 65_536, 65_536, 3_392, 4]);
  await assertIdle(both);
});

test("a ReadableStream that nobody reads any more is cancelled", async () => {
  const both = await open();
  let cancelled = 0;
  const stream = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(10)),
    cancel: () => {
      cancelled++;
    },
  });
  await both.root.callRemote("keep", stream);
  for await (const _ of both.source.kept) break;
  assert.equal(cancelled, 1);
  await assertIdle(both);
});

test("a received stream is a ReadableStream if asked", async () => {
  const both = await open();
  const readable = (await both.root.callRemote("count", 100)).readable();
  assert.deepEqual(await all(readable), range(100));
  const reader = (await both.root.callRemote("count")).readable().getReader();
  assert.deepEqual(await reader.read(), { value: 0, done: false });
  await reader.cancel();
  assert.deepEqual(both.source.ended.at(-1), "finally");
  const failing = (await both.root.callRemote("fail", 1)).readable();
  await assert.rejects(all(failing), PBError);
  await assertIdle(both);
});

test("the producer is never ahead of what was asked for", async () => {
  const both = await open();
  const stream = await both.root.callRemote("count");
  await settled();
  assert.equal(both.source.made, 0);
  for (let number = 0; number < 500; number++) {
    assert.deepEqual(await stream.next(), { value: number, done: false });
    assert.ok(both.source.made <= number + 1 + 64, `${both.source.made} at ${number}`);
  }
  await settled();
  assert.ok(both.source.made <= 500 + 64);
  await stream.return();
  await assertIdle(both);
});

test("what is large is drawn a little ahead only", async () => {
  const both = await open();
  let drawn = 0;
  async function* chunks() {
    for (; drawn < 1000; drawn++) yield new Uint8Array(65_536);
  }
  await both.root.callRemote("keep", chunks());
  await both.source.kept.next();
  await settled();
  assert.ok(drawn <= 16, `${drawn}`);
  await both.source.kept.return();
  await assertIdle(both);
});

test("leaving the loop stops the producer, and waits for its finally", async () => {
  const both = await open();
  for await (const number of both.root.callRemote("count")) if (number === 300) break;
  assert.deepEqual(both.source.ended, ["finally"]);
  const stream = await both.root.callRemote("wait", 1);
  assert.equal((await stream.next()).value, 0);
  assert.deepEqual(await stream.return("x"), { value: "x", done: true });
  assert.deepEqual(await stream.return(), { value: undefined, done: true });
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
  assert.equal(both.source.reason.constructor.name, "CancelledError");
  assert.deepEqual(both.source.ended, ["finally", "finally"]);
  await assertIdle(both);
});

test("the end of the session stops the producer, and is what the reader is told", async () => {
  const both = await open();
  const stream = await both.root.callRemote("wait", 2);
  assert.equal((await stream.next()).value, 0);
  await settled();
  both.client.session.fail(1000, "over");
  await settled();
  assert.deepEqual(both.source.ended, ["finally"]);
  assert.equal((await stream.next()).value, 1);
  await assert.rejects(stream.next(), PBConnectionLost);
  assert.ok((await stream.next()).done);
  assert.ok((await stream.return()).done);
});

test("a stream that is read after its session is over says that", async () => {
  const both = await open();
  const stream = await both.root.callRemote("count");
  both.client.session.fail(1000, "over");
  await assert.rejects(stream.next(), PBConnectionLost);
  assert.ok((await stream.next()).done);
});

test("a failure comes behind the items before it", async () => {
  const both = await open();
  const stream = await both.root.callRemote("fail", 70);
  const found = [];
  const reading = (async () => {
    for await (const item of stream) found.push(item);
  })();
  await assert.rejects(reading, /no more of these/);
  assert.deepEqual(found, range(70));
  assert.ok((await stream.next()).done);
  await assertIdle(both);
});

test("a failure is told, also with the end of the stream in the same message", async () => {
  const peer = await new Peer().open();
  const told = { type: "app.Empty", message: "no more" };
  const reading = assert.rejects(all(peer.root.callRemote("count")), told);
  await settled();
  const [[, opened]] = peer.frames();
  await peer.feed(["answer", opened, { $: "stream", id: 1 }]);
  const [[, asked]] = peer.frames();
  await peer.feed(["answer", asked, { items: [1], done: false }]);
  const ahead = peer.frames().map(([, id, , name]) => [name, id]);
  assert.deepEqual(
    ahead.map(([name]) => name),
    ["next", "next"],
  );
  const failure = { $: "failure", ...told, parents: [told.type] };
  await peer.feed(
    ["error", ahead[0][1], failure],
    ["answer", ahead[1][1], { items: [], done: true }],
  );
  await reading;
});

test("an item that cannot be sent is the end behind those before it", async () => {
  const both = await open();
  let ended = 0;
  async function* items() {
    try {
      yield 1;
      yield { x: [new (class Other {})()] };
      yield 3;
    } finally {
      ended++;
    }
  }
  await both.root.callRemote("keep", items());
  assert.equal((await both.source.kept.next()).value, 1);
  await assert.rejects(both.source.kept.next(), InsecureJelly);
  await settled();
  assert.equal(ended, 1);
  async function* large() {
    yield new Uint8Array(1_000_000);
    yield new Uint8Array(2_000_000);
  }
  await both.root.callRemote("keep", large());
  assert.equal((await both.source.kept.next()).value.length, 1_000_000);
  await assert.rejects(both.source.kept.next(), LimitExceeded);
  await assertIdle(both);
});

test("items go in several answers when they are large", async () => {
  const both = await open();
  async function* items() {
    for (let number = 0; number < 30; number++) yield { number, text: "\u0001".repeat(20_000) };
  }
  await both.root.callRemote("keep", items());
  assert.deepEqual(
    (await all(both.source.kept)).map(({ number }) => number),
    range(30),
  );
  await assertIdle(both);
});

test("a stream is read once", async () => {
  const both = await open();
  const stream = await both.root.callRemote("count", 3);
  for await (const _ of stream) assert.throws(() => stream[Symbol.asyncIterator](), /read once/);
  assert.throws(() => stream.readable(), /read once/);
  await assertIdle(both);
});

test("many may wait for items at once", async () => {
  const both = await open();
  const stream = await both.root.callRemote("count", 100);
  const found = await Promise.all(range(101).map(() => stream.next()));
  assert.deepEqual(
    found.map(({ value }) => value).sort((a, b) => a - b),
    [...range(100), undefined],
  );
  assert.ok(found.some(({ done }) => done));
  await assertIdle(both);
});

test("so many streams may be open, and no more", async () => {
  const both = await open();
  const streams = [];
  for (let at = 0; at < 64; at++) streams.push(await both.root.callRemote("count", 1));
  await assert.rejects(both.root.callRemote("count", 1).then(), LimitExceeded);
  assert.deepEqual(await all(streams.pop()), [0]);
  streams.push(await both.root.callRemote("count", 1));
  for (const stream of streams) await stream.return();
  await assertIdle(both);
});

test("a frame that does not go out leaves its stream as it was", async () => {
  const both = await open();
  const stream = numbers(2);
  const other = new (class Other {})();
  await assert.rejects(both.root.callRemote("keep", [stream, other]).then(), InsecureJelly);
  const shared = [];
  await both.root.callRemote("keep", [stream, shared, shared, stream]);
  const [first, , , second] = both.source.kept;
  assert.equal(first, second);
  assert.deepEqual(await all(first), [0, 1]);
  await assertIdle(both);
});

test("a stream that is sent home is read through its reader", async () => {
  const both = await open();
  const stream = await both.root.callRemote("count", 5);
  assert.deepEqual(await both.root.callRemote("all", stream), range(5));
  await assertIdle(both);
});

test("what a producer throws when it is closed reaches its reader, and the log", async () => {
  const both = await open();
  async function* stubborn() {
    try {
      yield 1;
      await callSignal;
      yield 2;
    } finally {
      // biome-ignore lint/correctness/noUnsafeFinally: that is what is tried
      throw new PBError("not so fast");
    }
  }
  await both.root.callRemote("keep", stubborn());
  const raw = both.source.kept;
  assert.equal((await raw.next()).value, 1);
  await raw.return().catch((error) => assert.match(error.message, /not so fast/));
  await settled();
  assert.equal(both.client.logged.length, 1);
});

test("a file goes out in binary messages with the chunks beside them", async () => {
  const peer = await new Peer().open({ binary: true });
  peer.root.callRemote("upload", new Blob([new Uint8Array(100_000)])).catch(() => {});
  await settled();
  assert.deepEqual(peer.frames(), [["message", 1, "root", "upload", [{ $: "stream", id: 1 }]]]);
  await peer.feed(["message", 1, 1, "next", [10]]);
  for (let round = 0; round < 20 && !peer.messages.length; round++) await settled();
  const [message] = peer.messages;
  assert.ok(message instanceof Uint8Array);
  const [[name, id, answer]] = peer.frames();
  assert.deepEqual([name, id], ["answer", 1]);
  assert.deepEqual(answer.items[0], { $: "bytes", at: 0 });
});

class Late extends Copyable {}

test("an object of another class is still no stream", async () => {
  const both = await open();
  await assert.rejects(both.root.callRemote("keep", new Late()).then(), InsecureJelly);
  await assertIdle(both);
});

test("to stop a stream whose session goes meanwhile is no error", async () => {
  const [a, b] = await pair({ names: { root: new Source() } });
  const stream = await b.root.callRemote("count");
  const reading = stream[Symbol.asyncIterator]();
  await reading.next();
  const stopped = stream.stop?.() ?? reading.return();
  b.session.end(1006, "");
  a.session.end(1006, "");
  await stopped;
});

test("a source that fails to end is logged, where nobody is told", async () => {
  const source = {
    next: () => new Promise(() => {}),
    async return() {
      throw new RangeError("no end");
    },
  };
  class Endless extends Root {
    remote_get() {
      return { [Symbol.asyncIterator]: () => source };
    }
  }
  const [a, b] = await pair({ names: { root: new Endless() } });
  const reading = (await b.root.callRemote("get"))[Symbol.asyncIterator]();
  reading.next().catch(() => {});
  await settled();
  for (const peer of [a, b]) peer.session.end(1006, "");
  await settled();
  assert.deepEqual(
    a.logged.map(({ error, where }) => [error.message, where]),
    [["no end", "the end of a stream"]],
  );
});
