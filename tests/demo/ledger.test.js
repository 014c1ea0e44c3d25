// The demo page's account of the wire, against the real broker's tables, frame by frame.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Referenceable } from "../../client_js/src/pbweb.js";
import { FixtureRoot } from "../../client_js/test/support/fixture.js";
import { Peer, pair, settled } from "../../client_js/test/support/peer.js";
import { count, decode, keyOf, Ledger, SIDES } from "../../examples/demo/ledger.js";
import { MASK, masked } from "../../examples/demo/secrets.js";

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

/**
 * Objects, streams and caches of a side that the other has: they are of one series. Of a cache that
 * was given back the wire does not say whether it was refused at once or is kept until `uncache`.
 */
function checkHeld(session, side, expected, text) {
  const { objects, caches } = count(session, side);
  const all = [...session.objects[side].values()];
  const leaving = all.filter(({ kind, count }) => kind === "cache" && !count).length;
  const most = objects + caches;
  assert.ok(expected <= most && expected >= most - leaving, `${text}: ${expected}, not ${most}`);
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
      checkHeld(session(), "server", exported, "handed out by the server");
      checkHeld(session(), "page", imported, "held by the server");
      assert.equal(count(session(), "server").calls, waiting, "calls of the server's");
    }
    // Exactly as many as the ledger has counted are there to be given back.
    const { exports } = server.broker;
    for (const { id, count, kind } of session().objects.server.values()) {
      const isCache = kind === "cache";
      assert.throws(() => exports.decref(id, count + 1, isCache));
      exports.decref(id, count, isCache);
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
    kind: "object",
    type: "",
    live: false,
    count: 2,
    calls: 0,
    asked: 0,
    came: 0,
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

// By hand, frame for frame as docs/protocol.md has them.

/** A ledger and its one session; `send` lets one message of a side go by, and gives its frames. */
function byHand() {
  const ledger = new Ledger();
  ledger.opened(1, 0);
  const send = (side, ...frames) => ledger.message(1, side, JSON.stringify(frames), 0).frames;
  return { ledger, session: ledger.sessions.get(1), send };
}

const cache = (id, state, type = "pond.Pond") => ({ $: "cache", type, id, state });

test("a cache is handed over once, and after that by its number", () => {
  const { ledger, session, send } = byHand();
  send("page", ["message", 1, "root", "getPond"]);
  const [first] = send("server", ["answer", 1, cache(1, ["duck"])]);
  const pond = session.objects.server.get(1);
  assert.deepEqual(
    [pond.kind, pond.type, pond.live, pond.count, pond.origin],
    ["cache", "pond.Pond", false, 1, "the answer to getPond"],
  );
  assert.deepEqual(first.changes, [{ holding: pond, by: 1, count: 1 }]);
  assert.deepEqual(count(session, "server"), { objects: 0, caches: 1, calls: 0 });

  send("server", [
    "answer",
    2,
    [
      { $: "cached", id: 1 },
      { $: "cached", id: 1 },
    ],
  ]);
  assert.equal(pond.count, 3);
  const [home] = send("page", ["message", 3, "root", "see", [{ $: "lcache", id: 1 }]]);
  assert.ok(home.objects.has(pond.key));
  assert.deepEqual([home.changes, pond.count], [[], 3]);

  // It is kept up to date until its owner has said so.
  send("page", ["decache", 1, 3]);
  assert.deepEqual([pond.count, pond.gone, session.objects.server.size], [0, null, 1]);
  send("server", ["cachemessage", 0, 1, "addDuck", ["late"]]);
  assert.equal(pond.calls, 1);
  const [last] = send("server", ["uncache", 1]);
  assert.deepEqual(last.changes, [{ holding: pond, by: 0, count: 0 }]);
  assert.deepEqual([session.objects.server.size, ledger.gone], [0, [pond]]);
});

test("a cache that is handed over again while it is given back is one still", () => {
  const { session, send } = byHand();
  send("server", ["answer", 1, cache(1, [])]);
  send("page", ["decache", 1, 1]);
  send("server", ["answer", 2, { $: "cached", id: 1 }]); // before that decache was there
  const pond = session.objects.server.get(1);
  assert.equal(pond.count, 1);
  send("page", ["decache", 1, 1]);
  send("server", ["uncache", 1]);
  send("server", ["answer", 3, cache(2, [])]);
  assert.deepEqual([...session.objects.server.keys()], [2]);
});

test("a cachemessage is a call of the owner's on a copy, with an answer or without", () => {
  const { session, send } = byHand();
  send("server", ["answer", 1, cache(4, [])]);
  const pond = session.objects.server.get(4);
  const [unasked] = send("server", ["cachemessage", 0, 4, "addDuck", ["one"]]);
  assert.deepEqual(
    [unasked.call.caller, unasked.call.target, unasked.call.on, unasked.call.state],
    ["server", pond.key, pond, "unasked"],
  );
  const [asked] = send("server", ["cachemessage", 7, 4, "removeDuck", ["one"]]);
  assert.deepEqual(asked.lanes, [{ call: asked.call, part: "begins" }]);
  const [answer] = send("page", ["answer", 7]);
  assert.deepEqual([asked.call.end, answer.call], [answer, asked.call]);
  assert.equal(pond.calls, 2);
});

test("the page's own caches are the page's", () => {
  const { session, send } = byHand();
  send("page", ["message", 1, "root", "take", [cache(1, { a: 1 })]]);
  send("page", ["cachemessage", 2, 1, "set", ["a", 2]]);
  const mine = session.objects.page.get(1);
  assert.deepEqual([mine.owner, mine.calls, mine.origin], ["page", 1, "an argument of take"]);
  assert.deepEqual(count(session, "page"), { objects: 0, caches: 1, calls: 2 });
  send("server", ["answer", 2, null]);
  assert.equal(count(session, "page").calls, 1);
});

test("a live object has its own class's name, and what it holds counts as well", () => {
  const { session, send } = byHand();
  const state = ["board.Board", { title: "Plan", owner: { $: "remote", id: 2 } }];
  send("server", ["answer", 1, cache(1, state, "pb.live")]);
  const board = session.objects.server.get(1);
  assert.deepEqual([board.type, board.live], ["board.Board", true]);
  assert.deepEqual(count(session, "server"), { objects: 1, caches: 1, calls: 0 });
  const [update] = send("server", ["cachemessage", 0, 1, "update", [[[["title"], "set", "Do"]]]]);
  assert.equal(update.call.on, board);
  send("server", ["cachemessage", 0, 1, "reset", [state[1]]]);
  assert.equal(session.objects.server.get(2).count, 2);
});

test("a stream counts what was asked for and what came", () => {
  const { ledger, session, send } = byHand();
  send("page", ["message", 1, "root", "numbers"]);
  send("server", ["answer", 1, { $: "stream", id: 1 }]);
  const numbers = session.objects.server.get(1);
  assert.equal(numbers.kind, "stream");
  send("page", ["message", 2, 1, "next", [4]]);
  assert.deepEqual([numbers.calls, numbers.asked, numbers.came], [1, 4, 0]);
  send("server", ["answer", 2, { items: [1, 2], done: false }]);
  send("page", ["message", 3, 1, "next", [2]], ["message", 4, 1, "stop"]);
  send("server", ["answer", 3, { items: [3], done: true }], ["answer", 4]);
  assert.deepEqual([numbers.calls, numbers.asked, numbers.came], [3, 6, 3]);
  send("page", ["decref", 1, 1]);
  assert.deepEqual([session.objects.server.size, ledger.gone], [0, [numbers]]);
});

test("a stream that is read before its answer is there", () => {
  const { session, send } = byHand();
  send("page", ["message", 1, "root", "numbers"], ["message", 2, -1, "next", [8]]);
  send("server", ["answer", 1, { $: "stream", id: 1 }], ["answer", 2, { items: [1], done: true }]);
  send("page", ["message", 3, -1, "next", [8]]);
  const { calls, asked, came } = session.objects.server.get(1);
  assert.deepEqual([calls, asked, came], [2, 16, 1]);
});

test("what the connection's end takes with it", () => {
  const { ledger, session, send } = byHand();
  send("server", ["answer", 1, [cache(1, []), { $: "stream", id: 2 }]]);
  const [asked] = send("server", ["cachemessage", 3, 1, "addDuck"]);
  ledger.closed(1, 9, "1006");
  assert.equal(asked.call.state, "lost");
  assert.deepEqual(
    ledger.gone.map(({ kind, gone }) => [kind, gone]),
    [
      ["cache", 9],
      ["stream", 9],
    ],
  );
  assert.equal(session.objects.server.size, 0);
});

test("wrong frames of caches change nothing", () => {
  const { session, send } = byHand();
  send("server", ["cachemessage", 0, 9, "addDuck"], ["uncache", 9], ["uncache"], ["uncache", "x"]);
  send("page", ["decache", 9, 1], ["decache", 9], ["decache"], ["message", 1, 9, "next", ["x"]]);
  assert.deepEqual(count(session, "server"), { objects: 0, caches: 0, calls: 0 });
});

test("no password and no token is shown", () => {
  const fields = { username: "ada", password: "secret" };
  const login = (...args) => ["message", 1, "root", "login", args];
  const shown = { username: "ada", password: MASK };
  assert.deepEqual(masked(login("password", fields)), login("password", shown));
  const mind = { $: "remote", id: 1 };
  assert.deepEqual(masked(login("password", fields, mind)), login("password", shown, mind));
  assert.deepEqual(masked(login("pin", { pin: 1234 })), login("pin", { pin: MASK }));
  assert.deepEqual(masked(login("pin", ["1234"])), login("pin", MASK));
  const renew = (args) => ["message", 2, "root", "renew", args];
  const avatar = { $: "local", id: 3 };
  assert.deepEqual(
    masked(renew([avatar, "token", { token: "ey.x.y" }])),
    renew([avatar, "token", { token: MASK }]),
  );
  // Wherever it stands, in whatever frame.
  assert.deepEqual(masked(["answer", 1, { deep: [{ Token: "ey" }] }]), [
    "answer",
    1,
    { deep: [{ Token: MASK }] },
  ]);
  const pairs = {
    $: "dict",
    items: [
      ["password", "p"],
      [1, "q"],
      ["x", "y"],
    ],
  };
  assert.deepEqual(masked(["answer", 1, pairs])[2].items, [
    ["password", MASK],
    [1, "q"],
    ["x", "y"],
  ]);
  const version = ["version", 1, { session: "s", secret: "t", resume: { secret: "u" } }];
  assert.deepEqual(masked(version)[2], { session: "s", secret: MASK, resume: { secret: MASK } });
  assert.deepEqual(masked(["answer", 1, "eyJhb.eyJz_-.sig"]), ["answer", 1, MASK]);
  assert.deepEqual(masked(["answer", 1, "eye.test"]), ["answer", 1, "eye.test"]);
  const kw = ["message", 1, 5, "register", [], { password: "p" }];
  assert.deepEqual(masked(kw)[5], { password: MASK });
});

test("nothing of what is kept of a message has it in clear", () => {
  const { ledger, send } = byHand();
  send("page", [
    "message",
    1,
    "root",
    "login",
    ["password", { username: "ada", password: "hush" }],
  ]);
  const seen = JSON.stringify(
    ledger.messages.map(({ frames, ...rest }) => [rest, frames.map(({ items }) => items)]),
  );
  assert.ok(seen.includes("ada"));
  assert.ok(!seen.includes("hush"));
});

test("of a message with bytes only the beginning need be there", () => {
  const ledger = new Ledger();
  ledger.opened(1, 0);
  const json = '["answer",1,{"$":"bytes","at":0}]';
  const head = new Uint8Array([json.length, 0, 0, 0, ...new TextEncoder().encode(json)]);
  const { frames, bytes } = ledger.message(1, "server", head, 0, 1_000_000);
  assert.deepEqual([frames.length, bytes, ledger.totals.server.bytes], [1, 1_000_000, 1_000_000]);
});

/** A session that outlives its connection: one call is answered, one is not, one object is held. */
function away() {
  const { ledger, session, send } = byHand();
  send("page", ["version", 1], ["message", 1, "root", "getTwo"]);
  send("server", ["version", 1, { session: "s1", secret: "x", window: 60, resumed: false }]);
  send("server", ["answer", 1, { $: "remote", id: 1 }], ["ack", 1, 1]);
  send("page", ["ack", 1, 1], ["message", 2, 1, "three", [4]], ["message", 3, 1, "three", [5]]);
  ledger.closed(1, 1000, "1006");
  const on = (id, side, ...frames) => ledger.message(id, side, JSON.stringify(frames), 2000).frames;
  const resume = { session: "s1", secret: "x", received: 1, sent: 3 };
  return { ledger, session, on, resume };
}

test("a session outlives its connection, and goes on with another", () => {
  const { ledger, session, on, resume } = away();
  assert.deepEqual(count(session, "server"), { objects: 1, caches: 0, calls: 0 });
  assert.equal(count(session, "page").calls, 2);
  assert.deepEqual(ledger.gone, []);

  ledger.opened(2, 2000);
  on(2, "page", ["version", 1, { resume }]);
  const [version] = on(2, "server", [
    "version",
    1,
    { session: "s1", secret: "y", window: 60, resumed: true, received: 2, sent: 1 },
  ]);
  assert.deepEqual([...ledger.sessions], [[2, session]]);
  assert.equal(version.message.session, 1);
  // The server has two of three: the third is sent again, under its number, and changes nothing.
  const [again, first] = on(
    2,
    "page",
    ["message", 3, 1, "three", [5]],
    ["message", 4, 1, "three", [6]],
  );
  assert.deepEqual([again.again, first.again], [true, false]);
  assert.equal(count(session, "page").calls, 3);
  assert.equal(session.objects.server.get(1).calls, 3);
  const ends = on(2, "server", ["answer", 2, 12], ["answer", 3, 15], ["answer", 4, 18]);
  assert.deepEqual(
    ends.map(({ call }) => call.state),
    ["answer", "answer", "answer"],
  );
  assert.equal(ends[1].call, again.call);
  assert.equal(count(session, "page").calls, 0);
  on(2, "page", ["decref", 1, 1]);
  assert.equal(count(session, "server").objects, 0);
});

test("what hands something out and is sent again counts once", () => {
  const { ledger, session, on, resume } = away();
  for (const id of [2, 3]) {
    ledger.opened(id, 2000);
    on(id, "page", ["version", 1, { resume }]);
    on(id, "server", [
      "version",
      1,
      { session: "s1", window: 60, resumed: true, received: 3, sent: 1 },
    ]);
    const [answer] = on(id, "server", ["answer", 2, { $: "remote", id: 2 }]);
    assert.equal(answer.again, id === 3);
    assert.equal(session.objects.server.get(2).count, 1);
    ledger.closed(id, 3000, "1006");
  }
});

test("a session that the server no longer has is over, and its calls are lost", () => {
  const { ledger, session, on, resume } = away();
  ledger.opened(2, 2000);
  on(2, "page", ["version", 1, { resume }]);
  on(2, "server", ["version", 1, { session: "s2", window: 60, resumed: false, why: "unknown" }]);
  assert.ok(session.over);
  assert.deepEqual([...ledger.sessions.keys()], [2]);
  assert.deepEqual(
    frames(ledger).flatMap(({ name, call }) => (name === "message" ? [call.state] : [])),
    ["answer", "lost", "lost"],
  );
  const [call] = on(2, "page", ["message", 1, "root", "getTwo"]);
  assert.deepEqual([call.again, call.call.state], [false, "open"]);
});

test("a session ends with its window, and with a close that ends it", () => {
  const { ledger, session } = away();
  assert.equal(ledger.pass(2000), 59_000);
  assert.ok(!session.over);
  assert.equal(ledger.pass(61_000), Number.POSITIVE_INFINITY);
  assert.ok(session.over);
  assert.deepEqual([ledger.sessions.size, ledger.gone.length], [0, 1]);
  for (const [code, kept] of Object.entries({ 1001: true, 1012: false, 4400: false, 4408: true })) {
    const { ledger, on } = away();
    ledger.opened(2, 0);
    on(2, "server", ["version", 1, { session: "s2", window: 60, resumed: false }]);
    ledger.closed(2, 5, `${code} so`);
    assert.equal(ledger.sessions.has(2), kept, code);
  }
});

test("who takes over an open connection has its session", () => {
  const { ledger, session, on, resume } = away();
  for (const id of [2, 3]) {
    ledger.opened(id, 2000);
    on(id, "page", ["version", 1, { resume }]);
    on(id, "server", [
      "version",
      1,
      { session: "s1", window: 60, resumed: true, received: 3, sent: 1 },
    ]);
  }
  assert.deepEqual([...ledger.sessions], [[3, session]]);
  on(2, "server", ["answer", 2, 12]); // comes too late
  ledger.closed(2, 2100, "4409");
  assert.ok(!session.over);
  assert.equal(session.calls.page.get(2).state, "open");
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
