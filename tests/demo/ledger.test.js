// The demo page's account of the wire, against the real broker's tables, frame by frame.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Referenceable } from "../../client_js/src/pbweb.js";
import { FixtureRoot } from "../../client_js/test/support/fixture.js";
import { Peer, pair, settled } from "../../client_js/test/support/peer.js";
import { count, decode, keyOf, Ledger, SIDES } from "../../examples/demo/ledger.js";

const scenarios = JSON.parse(
  readFileSync(new URL("../vectors/scenarios.json", import.meta.url), "utf8"),
);

/** A ledger that sees all that `server` gets and sends; `take` tells it what was sent. */
function watch(server) {
  const ledger = new Ledger();
  const session = ledger.opened(1, 0).session;
  let time = 0;
  const take = () => {
    server.flush();
    for (const data of server.messages.splice(0)) ledger.message(session, "server", data, ++time);
  };
  const feed = async (...frames) => {
    const text = JSON.stringify(frames.length === 1 ? frames[0] : frames);
    ledger.message(session, "page", text, ++time);
    server.session.receive(text);
    await settled();
    take();
  };
  return { ledger, session: () => ledger.sessions.get(session), feed };
}

for (const { name, limits, steps } of scenarios) {
  test(`the ledger agrees with the broker: ${name}`, async () => {
    const server = new Peer({ names: { root: new FixtureRoot() }, limits });
    const { ledger, session, feed } = watch(server);
    await feed(["version", 1]);
    for (const { receive } of steps) {
      if (!receive) continue;
      await feed(...receive);
      const { exported, imported, waiting } = server.statistics();
      assert.equal(count(session(), "server").objects, exported, "handed out by the server");
      assert.equal(count(session(), "page").objects, imported, "held by the server");
      assert.equal(count(session(), "server").calls, waiting, "calls of the server's");
    }
    // Exactly as many as the ledger has counted are there to be given back.
    const { exports } = server.broker;
    for (const { id, count } of session().objects.server.values()) {
      assert.throws(() => exports.decref(id, count + 1));
      exports.decref(id, count);
    }
    assert.equal(server.statistics().exported, 0);
    ledger.closed(1, 100, "1000");
    assert.equal(ledger.sessions.size, 0);
  });
}

class Taker extends Referenceable {
  remote_take(value) {
    return value;
  }
}

/** Two real sides, and a ledger on the wire between them. */
async function between() {
  const [server, page] = await pair({ names: { root: new FixtureRoot() } });
  const ledger = new Ledger();
  ledger.opened(1, 0);
  for (const [side, peer] of Object.entries({ page, server })) {
    const { other } = peer;
    peer.other = {
      session: {
        receive(data) {
          ledger.message(1, side, data, 0);
          other.session.receive(data);
        },
      },
    };
  }
  const statistics = () => ({ page: page.statistics(), server: server.statistics() });
  return { page, server, ledger, session: ledger.sessions.get(1), statistics };
}

const frames = (ledger) => ledger.messages.flatMap(({ frames }) => frames);

test("a call and its answer are joined", async () => {
  const { page, ledger } = await between();
  await page.root.callRemote("echo", "hello");
  const [call, answer] = frames(ledger).filter(({ name }) => /message|answer/.test(name));
  assert.equal(call.call.end, answer);
  assert.equal(answer.call, call.call);
  assert.equal(call.call.state, "answer");
  assert.deepEqual(call.lanes, [{ call: call.call, part: "begins" }]);
  assert.deepEqual(answer.lanes, [{ call: call.call, part: "ends" }]);
});

test("a call that runs while another does has a lane of its own", async () => {
  const { page, ledger } = await between();
  await page.root.callRemote("callBack", new Taker(), 1);
  const parts = frames(ledger)
    .filter(({ name }) => /message|answer|error/.test(name))
    .map(({ side, lanes }) => [side, ...lanes.map((lane) => lane?.part ?? null)]);
  assert.deepEqual(parts, [
    ["page", "begins"],
    ["server", "goes on", "begins"],
    ["page", "goes on", "ends"],
    ["server", "ends"],
  ]);
});

test("each handing out counts, and what is given back is gone", async () => {
  const { page, ledger, session, statistics } = await between();
  const same = await page.root.callRemote("getSame");
  await page.root.callRemote("getSame");
  await page.root.callRemote("isSame", same);
  const key = keyOf(1, "server", 1);
  const [holding] = session.objects.server.values();
  assert.deepEqual(holding, {
    key,
    owner: "server",
    id: 1,
    count: 2,
    calls: 0,
    origin: "the answer to getSame",
    gone: null,
  });
  assert.equal(statistics().server.exported, 1);
  assert.ok(frames(ledger).some(({ name, objects }) => name === "message" && objects.has(key)));

  same.release();
  await settled();
  assert.equal(session.objects.server.size, statistics().server.exported);
  assert.equal(session.objects.server.size, 0);
  assert.deepEqual(ledger.gone, [holding]);
  assert.deepEqual(frames(ledger).at(-1).changes, [{ holding, by: -2, count: 0 }]);
});

test("what the page hands out is counted just so", async () => {
  const { page, session, statistics } = await between();
  const thing = () => "thing";
  await page.root.callRemote("keep", thing);
  assert.equal(count(session, "page").objects, 1);
  assert.deepEqual([statistics().page.exported, statistics().server.imported], [1, 1]);
  await page.root.callRemote("drop");
  await settled();
  assert.equal(count(session, "page").objects, 0);
  assert.deepEqual([statistics().page.exported, statistics().server.imported], [0, 0]);
});

test("a call on an answer that is not there yet names the call", async () => {
  const { page, ledger, session } = await between();
  assert.equal(await page.root.callRemote("getCounter").callRemote("increment", 3), 3);
  const [message] = ledger.messages.filter(({ frames }) => frames.length > 1);
  const [first, second] = message.frames;
  assert.equal(second.items[2], -first.items[1]);
  assert.equal(second.call.target, keyOf(1, "page", `answer ${first.items[1]}`));
  assert.equal(session.names.server.get("root").calls, 1);
});

test("calls without an answer, cancelled ones and those that are lost", async () => {
  const { page, ledger } = await between();
  page.root.callRemoteOnly("echo", 1);
  const stop = new AbortController();
  const cancelled = page.root.call("wait", { signal: stop.signal }).then(null, () => {});
  page.root.callRemote("wait").then(null, () => {});
  await settled();
  stop.abort();
  await cancelled;
  await settled();
  ledger.closed(1, 9, "1006");
  const calls = frames(ledger).flatMap(({ name, call }) => (name === "message" ? [call] : []));
  assert.deepEqual(
    calls.map(({ state, cancelled }) => [state, cancelled]),
    [
      ["unasked", false],
      ["error", true],
      ["lost", false],
    ],
  );
});

test("bytes, frames and messages are counted, binary ones too", async () => {
  const { page, ledger } = await between();
  await page.root.callRemote("echo", new Uint8Array(5000));
  const binary = ledger.messages.filter(({ binary }) => binary);
  assert.deepEqual(
    binary.map(({ side, bytes, frames }) => [side, bytes > 5000, frames[0].name]),
    [
      ["page", true, "message"],
      ["server", true, "answer"],
    ],
  );
  for (const side of SIDES) {
    const sent = ledger.messages.filter(
      (message) => message.side === side && message.frames.length,
    );
    const sum = (what) => sent.reduce((sum, message) => sum + what(message), 0);
    assert.deepEqual(ledger.totals[side], {
      messages: sent.length,
      frames: sum(({ frames }) => frames.length),
      bytes: sum(({ bytes }) => bytes),
    });
  }
  assert.equal(decode('["ping",0,0]').bytes, 12);
  assert.equal(decode('"é"').bytes, 4);
});

test("times count from the beginning of the connection", () => {
  const ledger = new Ledger();
  ledger.closed(7, 5, "never was there");
  assert.deepEqual(ledger.messages, []);
  ledger.opened(1, 1000);
  assert.equal(ledger.message(1, "page", '["ping",0,0]', 1010).since, 10);
});

test("what is no message is shown and changes nothing", () => {
  const ledger = new Ledger();
  ledger.opened(1, 0);
  for (const data of ["no JSON", "7", "[[1]]", new Uint8Array(3), new Uint8Array(9).buffer]) {
    assert.deepEqual(ledger.message(1, "page", data, 0).frames, []);
  }
  assert.equal(ledger.messages.length, 6);
});

test("after close nothing counts any more", () => {
  const ledger = new Ledger();
  ledger.opened(1, 0);
  ledger.message(1, "page", '[["message",1,"root","getTwo"],["close",1000,"",false]]', 0);
  ledger.message(1, "server", '["answer",1,{"$":"remote","id":1}]', 0);
  assert.equal(count(ledger.sessions.get(1), "server").objects, 0);
  assert.deepEqual(frames(ledger).at(-1).changes, []);
});

test("it does not grow without bounds", () => {
  const ledger = new Ledger();
  ledger.opened(1, 0);
  for (let id = 1; id <= 3000; id++) {
    ledger.message(1, "page", `["message",${id},"root","getTwo"]`, id);
    ledger.message(1, "server", `["answer",${id},{"$":"remote","id":${id}}]`, id);
    ledger.message(1, "page", `["decref",${id},1]`, id);
  }
  assert.equal(ledger.messages.length, 400);
  assert.equal(ledger.gone.length, 20);
  assert.equal(ledger.sessions.get(1).calls.page.size, 1000);
  assert.equal(ledger.sessions.get(1).objects.server.size, 0);
  assert.equal(ledger.totals.page.frames, 6000);
  const large = JSON.stringify(["answer", 1, "x".repeat(3000000)]);
  for (let times = 0; times < 3; times++) ledger.message(1, "server", large, 0);
  assert.equal(ledger.messages.length, 1);
  ledger.clear();
  assert.deepEqual([ledger.messages, ledger.gone, ledger.totals.page.bytes], [[], [], 0]);
});
