// What a client spends on its calls, without a network: pbweb's and Cap'n Web's make the same calls
// over transports in memory, and are answered with texts that were written before the clock runs.
// It is the same module in Node and in a page; who imports it hands in the libraries and the clock.

/** A list of records, 1 KiB of JSON as in the other benchmarks (payloads.py); nothing stands twice. */
const KIBIBYTE = Array.from({ length: 27 }, (_, id) => ({ id, name: `item ${id}`, ok: true }));
const HELLO = "hello network";

/**
 * What is called: so many calls in one turn, each with these arguments and this answer. With
 * `references` each call hands out an object, gets a reference, and releases it.
 */
export const SHAPES = {
  "small, one after the other": { batch: 1, args: () => [HELLO], answer: HELLO },
  "small, 64 in a batch": { batch: 64, args: () => [HELLO], answer: HELLO },
  "1 KiB of JSON, one after the other": { batch: 1, args: () => [KIBIBYTE], answer: KIBIBYTE },
  "1 KiB of JSON, 64 in a batch": { batch: 64, args: () => [KIBIBYTE], answer: KIBIBYTE },
  "references, 64 in a batch": { batch: 64, references: true },
};

/** pbweb's client, with the texts that a server would send. */
async function pbwebClient({ connect, Referenceable }, { batch, args, answer, references }) {
  class Page extends Referenceable {}
  const sent = [];
  const transport = { send: (message) => sent.push(message), onmessage: null };
  const connection = await connect(transport);
  const root = connection.remoteForName("root");
  let answered = 0;
  let written = 0;
  let frames = 0; // counted ones that the client has sent
  let acknowledged = 0;
  transport.onmessage({ data: '["version",1,{"binary":true,"limits":{"references":100000}}]' });

  /** The answers to one batch, then the acknowledgement after 32 frames, as the server joins them. */
  function write() {
    const texts = [];
    for (let call = 0; call < batch; call++) {
      const id = ++answered;
      const value = references ? { $: "remote", id } : answer;
      texts.push(JSON.stringify(["answer", id, value]));
      if (references) texts.push(JSON.stringify(["decref", id, 1]));
    }
    frames += batch;
    written += texts.length;
    if (frames - acknowledged >= 32) {
      acknowledged = frames;
      texts.push(JSON.stringify(["ack", frames, written]));
    }
    if (references) frames += batch; // the decrefs that follow
    return [texts.length > 1 ? `[${texts}]` : texts[0]];
  }

  return {
    write,
    call: () => root.callRemote("echo", ...(references ? [new Page()] : args())),
    deliver: (text) => transport.onmessage({ data: text }),
    release: (reference) => reference.release(),
    sent,
    end: () => connection.close(),
  };
}

/** Cap'n Web's, with the texts that its server sends: a message for each. */
async function capnwebClient({ RpcSession, RpcTarget }, { batch, args, answer, references }) {
  class Page extends RpcTarget {}
  const sent = [];
  const received = [];
  let wake = null;
  const transport = {
    send: (message) => void sent.push(message),
    receive: () =>
      received.length
        ? Promise.resolve(received.shift())
        : new Promise((resolve) => {
            wake = resolve;
          }),
    abort: () => {},
  };
  const session = new RpcSession(transport);
  const root = session.getRemoteMain();
  let answered = 0;

  function write() {
    const texts = [];
    for (let call = 0; call < batch; call++) {
      const id = ++answered;
      const value = references ? ["export", -id] : escaped(answer);
      texts.push(JSON.stringify(["resolve", id, value]));
      if (references) texts.push(JSON.stringify(["release", -id, 1]));
    }
    return texts;
  }

  return {
    write,
    call: () => root.echo(...(references ? [new Page()] : args())),
    deliver(text) {
      if (!wake) return received.push(text);
      const resolve = wake;
      wake = null;
      resolve(text);
    },
    release: (stub) => stub[Symbol.dispose](),
    sent,
    end: () => root[Symbol.dispose](),
  };
}

/** Cap'n Web writes an array as an array in an array. */
function escaped(value) {
  if (Array.isArray(value)) return [value.map(escaped)];
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, escaped(item)]));
}

export const CLIENTS = { pbweb: pbwebClient, capnweb: capnwebClient };

/** Everything that was put off to later microtasks has happened, what was sent is there. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

/**
 * Make `calls` calls, and say what one took.
 * @returns microseconds of the clock, per call
 */
async function run(client, { batch, references }, calls, clock) {
  const batches = Array.from({ length: Math.ceil(calls / batch) }, client.write);
  const began = clock();
  for (const texts of batches) {
    const promises = [];
    for (let call = 0; call < batch; call++) promises.push(client.call());
    await microtasks(); // the calls leave when their turn ends
    if (client.sent.length === 0) throw new Error("Nothing was sent.");
    client.sent.length = 0;
    for (const text of texts) client.deliver(text);
    for (const promise of promises) {
      const value = await promise;
      if (references) client.release(value);
    }
  }
  return (clock() - began) / (batches.length * batch);
}

/** Long enough for both to send what they have put off. */
async function microtasks() {
  for (let times = 0; times < 3; times++) await null;
}

const median = (figures) => figures.toSorted((a, b) => a - b)[figures.length >> 1];

/**
 * Measure every shape, the clients taking turns.
 *
 * @param {object} options
 * @param {object} options.libraries pbweb and capnweb, as modules
 * @param {() => number} options.clock microseconds
 * @param {number} options.rounds
 * @param {number} options.calls in a round
 * @returns {Promise<object>} by shape: microseconds a call of each, in every round, and the ratio
 */
export async function measure({ libraries, clock, rounds, calls }) {
  const results = {};
  for (const [name, shape] of Object.entries(SHAPES)) {
    const figures = { pbweb: [], capnweb: [] };
    for (let round = -1; round < rounds; round++) {
      for (const [system, open] of Object.entries(CLIENTS)) {
        const client = await open(libraries[system], shape);
        const figure = await run(client, shape, calls, clock);
        if (round >= 0) figures[system].push(figure); // the first round only warms up
        await client.end();
        await turn();
      }
    }
    const ratios = figures.pbweb.map((figure, round) => figure / figures.capnweb[round]);
    results[name] = {
      pbweb: median(figures.pbweb),
      capnweb: median(figures.capnweb),
      ratio: median(ratios),
      rounds: figures,
    };
  }
  return results;
}
