// A client against any server (threat G, promise R22): whatever it is sent, in whatever order, also
// while a session is resumed, nothing is thrown, no prototype changes, and nothing is left.
//
// FUZZ_SECONDS=600 node --test test/fuzz.test.js goes on for so long, each time with other frames.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeBinary } from "../src/frames.js";
import { connect, PBError, Referenceable } from "../src/pbweb.js";
import { Clock } from "./support/clock.js";
import * as corpus from "./support/corpus.js";
import { FixtureRoot } from "./support/fixture.js";
import { framesOf, settled } from "./support/peer.js";

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 0);
const RUNS = 300;

/** With what this side may say that it ends a session (docs/protocol.md, section 7). */
const CODES = new Set([1000, 1003, 1007, 1009, 4400, 4408, 4413, 4426, 4429, 4440]);
const UNCOUNTED = new Set(["version", "ack", "ping", "pong", "close"]);

// What a server may say.

const small = fc.integer({ min: -3, max: 9 });
const odd = fc.constantFrom(0, -1, 0.5, 2 ** 53, -(2 ** 53), 1e308, 2 ** 31, 4400, 65536);
/** In the place of these the right number is put when the frame goes out. */
const right = fc.constantFrom("@received", "@sent", "@call", "@next");
const number = fc.oneof({ weight: 4, arbitrary: small }, odd, { weight: 4, arbitrary: right });
const key = fc.constantFrom(
  "a",
  "b",
  "$",
  "then",
  "toJSON",
  "__proto__",
  "constructor",
  "1",
  "ducks",
);
const type = fc.constantFrom(
  "Point",
  "Box",
  "Item",
  "SoldOut",
  "Pond",
  "pb.live",
  "constructor",
  "x",
);
const tag = fc.constantFrom(
  ...[
    "remote",
    "local",
    "answer",
    "copy",
    "cache",
    "cached",
    "lcache",
    "failure",
    "stream",
    "bytes",
  ],
  ...[
    "int",
    "float",
    "decimal",
    "datetime",
    "date",
    "time",
    "timedelta",
    "set",
    "frozenset",
    "dict",
  ],
  ...["def", "use", "mystery"],
);
const word = fc.oneof(
  key,
  type,
  fc.constantFrom(
    "root",
    "echo",
    "é😀",
    "\ud800",
    "2026-01-02T03:04:05Z",
    "nan",
    "AQID",
    "x".repeat(200),
  ),
  fc.string({ maxLength: 6 }),
);

const { value, tagged } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(null, true, false),
    number,
    word,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(key, tie("value"), { maxKeys: 3, noNullPrototype: true }),
    fc.constantFrom(...corpus.values),
    tie("tagged"),
  ),
  tagged: fc.record(
    {
      $: tag,
      id: number,
      type,
      state: tie("value"),
      value: tie("value"),
      items: fc.array(fc.oneof(tie("value"), fc.tuple(tie("value"), tie("value"))), {
        maxLength: 3,
      }),
      path: fc.array(fc.oneof(key, small), { maxLength: 2 }),
      message: word,
      parents: fc.array(word, { maxLength: 2 }),
      at: small,
      base64: word,
      seconds: word,
    },
    { requiredKeys: ["$", "id"] },
  ),
}));

const method = fc.constantFrom(
  ...[
    "echo",
    "add",
    "getCounter",
    "getSame",
    "wait",
    "count",
    "first",
    "sum",
    "keep",
    "drop",
    "fail",
  ],
  ...[
    "getPond",
    "addDuck",
    "askObserver",
    "nested",
    "callBack",
    "sell",
    "getPonds",
    "update",
    "next",
  ],
  ...["stop", "constructor", "__proto__", "", "x y"],
);
const target = fc.oneof(fc.constantFrom("root", "no"), number, value);
const args = fc.array(value, { maxLength: 3 });
const kw = fc.dictionary(key, value, { maxKeys: 2, noNullPrototype: true });
const options = fc.record(
  {
    session: fc.constantFrom("id", "", 5),
    secret: fc.constantFrom("s", "t", null),
    window: fc.constantFrom(60, 0, -1, 1e9, "60"),
    resumed: fc.constantFrom(true, false, 1),
    received: number,
    sent: number,
    why: word,
    heartbeat: fc.constantFrom(15, 1, 0.001, 1e300, 0, "x"),
    binary: fc.constantFrom(true, false, 1),
    login: number,
    limits: fc.dictionary(
      fc.constantFrom("message", "depth", "batch", "calls", "references", "streams", "digits"),
      fc.constantFrom(1, 2, 5, 100, 1000, 0, -1, "7", null, 2 ** 52),
      { maxKeys: 2, noNullPrototype: true },
    ),
  },
  { requiredKeys: [] },
);
const code = fc.oneof(
  fc.constantFrom(1000, 1001, 1006, 1011, 1012, 1013, 4408, 4409, 4429),
  number,
);
const range = fc.oneof(fc.boolean(), fc.array(number, { maxLength: 3 }));
const liveState = fc.constantFrom(...corpus.live);

/** As a rule the right one: a session that ends at once shows little. @param {string} name */
const mostly = (name) => fc.oneof({ weight: 9, arbitrary: fc.constant(name) }, number);
const counts = fc.constantFrom("ack", "ping", "pong");
const update = liveState.map(({ ops }) => ["cachemessage", 0, 7, "update", [ops]]);
const state = liveState.map(({ state }) => ["shop.Board", state]);
const cache = state.map((state) => ({ $: "cache", type: "pb.live", id: 7, state }));
const often = (weight, arbitrary) => ({ weight, arbitrary });

const frame = fc.oneof(
  often(8, fc.tuple(fc.constant("answer"), mostly("@call"), value)),
  often(3, fc.tuple(fc.constant("error"), mostly("@call"), tagged)),
  often(12, fc.tuple(fc.constant("message"), mostly("@next"), target, method, args, kw)),
  often(
    2,
    fc
      .record({ deadline: fc.constantFrom(-1, 0, 0.01, 1, 1e300) })
      .chain((how) =>
        fc.tuple(
          fc.constant("message"),
          mostly("@next"),
          target,
          method,
          args,
          kw,
          fc.constant(how),
        ),
      ),
  ),
  often(3, fc.tuple(fc.constant("cachemessage"), mostly("@next"), fc.nat(9), method, args, kw)),
  often(3, update),
  often(2, fc.tuple(fc.constant("answer"), fc.constant("@call"), cache)),
  often(2, fc.tuple(fc.constant("cancel"), mostly("@last"))),
  fc.tuple(fc.constantFrom("decref", "decache"), fc.nat(5), fc.nat(3)),
  fc.tuple(fc.constant("uncache"), fc.nat(9)),
  often(6, fc.tuple(counts, mostly("@received"), mostly("@sent"))),
  fc.tuple(fc.constant("close"), code, word, range),
  fc.tuple(fc.constant("version"), fc.constantFrom(1, 2), options),
  fc.tuple(fc.oneof(word, fc.constant("didNotUnderstand")), word),
  often(3, fc.constantFrom(...corpus.frames)),
);

/** A frame, of which something may be another. */
const mutated = fc.oneof(
  often(12, frame),
  fc.tuple(frame, fc.nat(7), value).map(([given, at, other]) => {
    const changed = [...given];
    changed[at % (given.length + 1)] = other;
    return changed;
  }),
  fc.tuple(frame, fc.nat(7)).map(([given, at]) => given.filter((_, place) => place !== at)),
);

const step = fc.oneof(
  often(24, fc.record({ frames: fc.array(mutated, { minLength: 1, maxLength: 3 }) })),
  fc.record({ text: fc.oneof(fc.constantFrom(...corpus.messages), fc.string()) }),
  fc.record({
    binary: mutated,
    parts: fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 2 }),
  }),
  fc.record({ bytes: fc.uint8Array({ maxLength: 30 }) }),
  often(8, fc.record({ call: method, args })),
  often(6, fc.record({ lose: fc.oneof(often(4, fc.constantFrom(1000, 1001, 1006, 4408)), code) })),
  often(6, fc.record({ resume: fc.constant(true) })),
  fc.record({ resume: fc.constant(false), received: number, sent: number, resumed: fc.boolean() }),
  often(3, fc.record({ seconds: fc.constantFrom(0.3, 1, 11, 30, 61) })),
);

// What is sent to.

class Mine extends Referenceable {
  remote_take(given) {
    return given;
  }
}

/** The other end of all transports of one connection, and what it counts. */
class HostileServer {
  received = 0;
  sent = 0;
  /** The highest id of a call of the client's, and the next of the server's own. */
  call = 0;
  next = 1;
  transport = null;
  /** Frames `close` that the client sent. */
  said = [];

  dial = () => {
    const transport = { readyState: 0, send: (message) => this.#take(message), close: () => {} };
    this.transport = transport;
    return transport;
  };

  #take(message) {
    for (const [name, id] of framesOf(message)) {
      if (!UNCOUNTED.has(name)) this.received++;
      if (name === "message" && id) this.call = id;
      if (name === "close") this.said.push(id);
    }
  }

  open() {
    const { transport } = this;
    if (transport.readyState === 0 && transport.onopen) {
      transport.readyState = 1;
      transport.onopen();
    }
  }

  /** The right numbers in the place of what stands for them. */
  #filled(text) {
    const { received, sent, call } = this;
    const numbers = { received, sent, call, last: this.next - 1 };
    return text.replace(/"@(\w+)"/g, (_, name) => numbers[name] ?? this.next++);
  }

  #deliver(data) {
    if (this.transport.readyState === 1) this.transport.onmessage?.({ data });
  }

  send(...frames) {
    for (const [name] of frames) if (!UNCOUNTED.has(name)) this.sent++;
    const text = JSON.stringify(frames.length === 1 ? frames[0] : frames);
    this.#deliver(this.#filled(text ?? "null"));
  }

  sendRaw(data) {
    this.#deliver(data);
  }

  lose(code) {
    const { transport } = this;
    if (transport.readyState > 1) return;
    transport.readyState = 3;
    transport.onclose?.({ code, reason: "" });
  }
}

async function play({ server, made, connection }, clock, one) {
  const { frames, text, bytes, binary, parts, call, args, lose, resume, seconds } = one;
  if (frames) server.send(...frames);
  else if (text !== undefined) server.sendRaw(text);
  else if (bytes) server.sendRaw(bytes);
  else if (binary) server.sendRaw(encodeBinary(JSON.stringify(binary) ?? "null", parts));
  else if (call !== undefined) {
    const root = await connection.getRootObject().catch(() => null);
    if (root) made.push(root.callRemote(call, new Mine(), ...args).catch((error) => error));
  } else if (lose !== undefined) server.lose(Number(lose) || 1006);
  else if (resume === undefined) await clock.pass(seconds);
  else {
    for (let turn = 0; turn < 99 && server.transport.readyState > 1; turn++) await clock.pass(0.5);
    server.open();
    const { received = "@received", sent = "@sent", resumed = true } = one;
    server.send([
      "version",
      1,
      { session: "id", secret: "s", window: 60, resumed, received, sent },
    ]);
  }
  await settled();
}

const prototypes = [
  Object,
  Array,
  Function,
  Map,
  Set,
  Promise,
  Error,
  String,
  Uint8Array,
  Referenceable,
];
const shapes = () =>
  prototypes.map(({ prototype }) => Reflect.ownKeys(prototype).map(String).sort().join()).join("|");

/** What may be logged: what the application's own code does wrong. */
const MINE =
  /^(the peer's call|the call of|onSession|notify|an update|the state|a listener|a stream|the end)/;

/** A connection, and the server that it has. */
async function begin(faults, hasSetUp) {
  const server = new HostileServer();
  const brokers = [];
  const attempt = connect(server.dial(), {
    dial: server.dial,
    names: { root: new FixtureRoot() },
    onSession: hasSetUp ? (_, { broker }) => void brokers.push(broker) : undefined,
    log: (error, where) => MINE.test(where) || faults.push([where, error]),
  });
  server.open();
  const connection = await attempt;
  brokers.push(connection.broker);
  server.send(["version", 1, { session: "id", secret: "s", window: 60, binary: true }]);
  return { server, brokers, connection, made: [] };
}

/** It is over, and nothing is left. */
async function end({ server, brokers, connection, made }, clock, faults) {
  const closing = connection.close();
  server.lose(1000);
  await clock.pass(11);
  await closing;
  const isFault = (end) => end instanceof Error && !(end instanceof PBError);
  assert.deepEqual((await Promise.all(made)).filter(isFault), []);
  assert.equal(connection.status, "ended");
  for (const broker of brokers) {
    const left = Object.entries(broker.statistics()).filter(([, count]) => count);
    assert.deepEqual(left, []);
  }
  assert.deepEqual(
    server.said.filter((code) => !CODES.has(code)),
    [],
  );
  assert.deepEqual(faults, []);
}

async function run(clock, faults, hasSetUp, steps) {
  const before = shapes();
  let world = await begin(faults, hasSetUp);
  for (const one of steps) {
    if (world.connection.status === "ended") {
      await end(world, clock, faults);
      world = await begin(faults, hasSetUp);
    }
    await play(world, clock, one);
  }
  await end(world, clock, faults);
  assert.equal(shapes(), before);
  await clock.pass(600);
  assert.equal(clock.timers.size, 0);
}

test("whatever a server sends, a client is left whole", {
  timeout: (SECONDS + 300) * 1000,
}, async (t) => {
  const faults = [];
  const uncaught = (error) => faults.push(["not caught", error]);
  process.on("unhandledRejection", uncaught);
  process.on("uncaughtException", uncaught);
  t.after(() => {
    process.off("unhandledRejection", uncaught);
    process.off("uncaughtException", uncaught);
  });
  const clock = new Clock(t);
  const property = fc.asyncProperty(
    fc.boolean(),
    fc.array(step, { minLength: 10, maxLength: 40, size: "max" }),
    (hasSetUp, steps) => {
      faults.length = 0;
      clock.timers.clear();
      return run(clock, faults, hasSetUp, steps);
    },
  );
  const forLong = {
    numRuns: 1e9,
    interruptAfterTimeLimit: SECONDS * 1000,
    markInterruptAsFailure: false,
  };
  const how = SECONDS ? forLong : { seed: 5, numRuns: RUNS };
  await fc.assert(property, { ...how, includeErrorInReport: true });
});
