// The workload of `python_client.py` and `workload.py` in JavaScript.
//
// `work` makes the calls of some connections and gives a function that compares and closes. It is
// handed the library, and writes what happens with `note(ev, facts)` (history.py).

const KINDS = {
  note: 30,
  slow: 12,
  fail: 5,
  only: 8,
  ask: 8,
  make: 6,
  talk: 6,
  change: 4,
  tell: 3,
  cancel: 4,
  deadline: 2,
  count: 2,
  sum: 2,
  big: 2,
};
const TALKS = ["told", "toldSlowly", "fails", "hangs", "only"];
const AT_ONCE = 48;
const MORE = 0.05; // seconds between two calls that come on top of those which were asked for

const follow = (state, number) => (state * 31 + number) % (2 ** 31 - 1);
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Numbers from 0 to 1, the same for the same text. */
function newRandom(text) {
  let state = 1779033703;
  for (const char of text) state = Math.imul(state ^ char.codePointAt(0), 3432918353);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What is waited for until it is `open`. */
function newGate() {
  let release;
  let promise;
  const gate = {
    isOpen: true,
    close() {
      if (!gate.isOpen) return;
      gate.isOpen = false;
      promise = new Promise((resolve) => {
        release = resolve;
      });
    },
    open() {
      gate.isOpen = true;
      release?.();
    },
    passed: async () => {
      while (!gate.isOpen) await promise;
    },
  };
  gate.close();
  return gate;
}

function classesOf(pbweb) {
  const { Cacheable, callSignal, PBError, Referenceable, RemoteCache } = pbweb;

  /** What the server calls. */
  class Them extends Referenceable {
    constructor(note) {
      super();
      this.note = note;
    }
    remote_told(call) {
      this.note("run", { call });
      return call;
    }
    async remote_toldSlowly(call) {
      this.note("run", { call });
      await null;
      return call;
    }
    remote_fails(call) {
      this.note("run", { call });
      throw new PBError(call);
    }
    remote_hangs(call) {
      this.note("run", { call });
      const signal = callSignal();
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    }
    remote_only(call) {
      this.note("run", { call });
    }
  }

  /** A cache that the server has the copy of. */
  class OwnPond extends Cacheable {
    static pbType = "chaos.Pond";
    observers = new Set();
    state = 0;
    getStateToCacheAndObserveFor(_perspective, observer) {
      this.observers.add(observer);
      return { state: this.state };
    }
    stoppedObserving(_perspective, observer) {
      this.observers.delete(observer);
    }
    add(number) {
      this.state = follow(this.state, number);
      for (const observer of this.observers) observer.callRemoteOnly("add", number);
    }
  }

  class PondCopy extends RemoteCache {
    observe_add(number) {
      this.state = follow(this.state, number);
    }
  }
  pbweb.setUnjellyableForClass("tests.chaos.app.Pond", PondCopy);
  return { Them, OwnPond };
}

class Client {
  epoch = 0;
  number = 0;
  session = "";
  copies = [];
  running = new Set();
  ready = newGate();
  room = newGate();
  closing = false;

  constructor(pbweb, { url, name, seed, calls, note, options, told }) {
    Object.assign(this, { pbweb, url, name, note, options, told, left: calls });
    Object.assign(this, classesOf(pbweb));
    this.random = newRandom(`${seed}/${name}`);
    this.them = new this.Them(note);
    this.room.open();
  }

  // Sessions.

  async connect() {
    for (;;) {
      try {
        const onSession = (root, connection) => this.begin(root, connection);
        this.connection = await this.pbweb.connect(this.url, { ...this.options, onSession });
        break;
      } catch (error) {
        if (!(error instanceof this.pbweb.PBError)) throw error;
        await pause(this.random() / 20);
      }
    }
    let since = 0;
    this.connection.addEventListener("interrupted", () => {
      since = performance.now();
      this.note("away", {});
    });
    this.connection.addEventListener("resumed", () => {
      const seconds = (performance.now() - since) / 1000;
      this.note("resumed", { session: this.session, seconds });
    });
  }

  async begin(root, connection) {
    this.epoch++;
    this.number = 0;
    this.session = `${this.name}/${this.epoch}`;
    const { session } = this;
    this.root = root;
    this.pond = new this.OwnPond();
    const key = `${session} disconnect`;
    this.note("owed", { key });
    connection.notifyOnDisconnect(() => {
      this.note("notice", { key });
      if (session === this.session) this.ready.close();
      if (!this.closing) this.note("session", { session, end: "lost" });
    });
    const begun = [
      this.settle(this.call("begin", "begin", session, this.them)),
      this.settle(this.call("getPond", "getPond")),
      this.settle(this.call("getBoard", "getBoard")),
      this.settle(this.call("watch", "watch", this.pond)),
    ];
    for (const one of begun) this.track(one);
    const [, pond, board] = await Promise.all(begun);
    if (pond && board && session === this.session) {
      this.copies = [pond, board];
      this.ready.open();
    }
  }

  // Calls.

  next(kind, facts = {}) {
    const call = `${this.session}/${++this.number}`;
    this.note("invoke", { call, kind, ordered: true, ...facts });
    return call;
  }

  call(kind, method, ...args) {
    const call = this.next(kind);
    return { kind, call, promise: this.root.callRemote(method, call, ...args) };
  }

  /** Wait for the end of a call and note it; the answer. */
  async settle({ kind, call, promise, check }) {
    const { CancelledError, DeadReferenceError, PBConnectionLost } = this.pbweb;
    try {
      const answer = await promise;
      const problem = await check?.(answer);
      this.note("ok", { call, after: kind === "talk" ? answer : null });
      if (problem) this.note("wrong", { text: `${call} (${kind}): ${problem}` });
      return answer;
    } catch (error) {
      const stopped = error instanceof CancelledError && ["cancel", "deadline"].includes(kind);
      const isTold = kind === "fail" && error.message === call;
      if (error instanceof PBConnectionLost) this.note("info", { call, outcome: error.outcome });
      else if (error instanceof DeadReferenceError) this.note("fail", { call, ran: false });
      else {
        this.note("fail", { call, ran: isTold ? true : null });
        const text = `${call} (${kind}) failed: ${error} ${error.stack}`;
        if (!isTold && !stopped) this.note("wrong", { text });
      }
    }
    return null;
  }

  /** Count `promise` among what is under way. */
  track(promise) {
    this.running.add(promise);
    if (this.running.size >= AT_ONCE) this.room.close();
    promise
      .catch((error) => this.note("wrong", { text: `${this.name}: ${error.stack}` }))
      .then(() => {
        this.running.delete(promise);
        if (this.running.size < AT_ONCE) this.room.open();
      });
    return promise;
  }

  async work() {
    const names = Object.keys(KINDS);
    const total = Object.values(KINDS).reduce((a, b) => a + b);
    while (this.left > 0 || !this.told.isTrue) {
      if (this.left <= 0) await pause(MORE);
      await this.ready.passed();
      await this.room.passed();
      if (!this.ready.isOpen) continue;
      this.left--;
      let at = this.random() * total;
      const kind = names.find((name) => {
        at -= KINDS[name];
        return at < 0;
      });
      const started = this[`do_${kind}`]();
      if (!started) continue;
      const settled = this.track(this.settle(started));
      if (this.random() < 0.1) await settled;
    }
    while (this.running.size) await Promise.all(this.running);
  }

  below(limit) {
    return Math.floor(this.random() * limit);
  }

  expect(started, wanted) {
    const check = (answer) => answer !== wanted && `${answer} is not ${wanted}`;
    return { ...started, check };
  }

  echoed(kind, method, ...args) {
    const started = this.call(kind, method, ...args);
    return this.expect(started, started.call);
  }

  do_note() {
    return this.echoed("note", "note", "é".repeat(this.below(60)));
  }

  do_big() {
    return this.echoed("big", "note", "x".repeat(this.below(20_000)));
  }

  do_slow() {
    return this.echoed("slow", "slow");
  }

  do_fail() {
    return this.call("fail", "fail");
  }

  do_only() {
    try {
      this.root.callRemoteOnly("only", this.next("only", { only: true }));
    } catch (error) {
      if (!(error instanceof this.pbweb.DeadReferenceError)) throw error;
    }
  }

  do_ask() {
    return this.echoed("ask", "ask", this.random() < 0.5 ? this.them : new this.Them(this.note));
  }

  /** A reference: a call on it goes out before it is there. */
  do_make() {
    const { kind, call, promise } = this.call("make", "make");
    const inner = `${this.session}/${++this.number}`;
    this.note("invoke", { call: inner, kind: "number" });
    const number = this.settle({
      kind: "number",
      call: inner,
      promise: promise.callRemote("number", inner),
    });
    const both = async () => {
      try {
        (await promise).release();
      } finally {
        await number;
      }
    };
    return { kind, call, promise: both() };
  }

  do_talk() {
    const kinds = Array.from({ length: 1 + this.below(5) }, () => TALKS[this.below(TALKS.length)]);
    return this.call("talk", "talk", kinds);
  }

  do_change() {
    return this.call("change", "change", this.below(1000));
  }

  do_tell() {
    this.pond.add(this.below(1000));
  }

  do_cancel() {
    const controller = new AbortController();
    const call = this.next("cancel", { may: true });
    const promise = this.root.call("hang", { args: [call], signal: controller.signal });
    if (this.random() < 0.3) controller.abort();
    else setTimeout(() => controller.abort(), this.random() * 50);
    return { kind: "cancel", call, promise };
  }

  do_deadline() {
    const call = this.next("deadline", { may: true });
    const timeout = 0.001 + this.random() / 20;
    return { kind: "deadline", call, promise: this.root.call("hang", { args: [call], timeout }) };
  }

  do_count() {
    const to = 1 + this.below(300);
    const { DeadReferenceError, PBConnectionLost } = this.pbweb;
    const check = async (stream) => {
      let seen = 0;
      try {
        for await (const number of stream) if (number !== seen++) return `${number} came too early`;
      } catch (error) {
        if (error instanceof PBConnectionLost || error instanceof DeadReferenceError) return;
        throw error;
      }
      return seen !== to && `the stream had ${seen} of ${to}`;
    };
    return { ...this.call("count", "count", to), check };
  }

  do_sum() {
    const to = 1 + this.below(200);
    async function* numbers() {
      for (let number = 0; number < to; number++) {
        if (number % 5 === 0) await null;
        yield number;
      }
    }
    return this.expect(this.call("sum", "sum", numbers()), (to * (to - 1)) / 2);
  }

  /** Compare what both sides have, give everything back, and close. */
  async finish() {
    do await this.ready.passed();
    while (!(await this.settle(this.call("quiet", "quiet"))));
    const [pond, board] = this.copies;
    this.note("digest", { of: "pond", value: String(pond.state) });
    const shown = JSON.stringify([board.title, board.cards]).replaceAll(",", ", ");
    this.note("digest", { of: "board", value: shown });
    this.note("digest", { of: `pond of ${this.session}`, value: String(this.pond.state) });
    await this.settle(this.call("letGo", "letGo"));
    const { broker } = this.connection;
    this.closing = true;
    this.note("session", { session: this.session, end: "closed" });
    await this.connection.close();
    const left = Object.entries(broker.statistics()).filter(([, number]) => number);
    this.note("tables", { left: Object.fromEntries(left) });
    if (this.pond.observers.size) {
      this.note("wrong", { text: `${this.session}: the server still observes` });
    }
  }
}

/**
 * Make the calls of a connection to each of `urls`, and more, if only a few, until `told` is true.
 * @returns what compares and closes
 */
export async function work(
  pbweb,
  { urls, name, seed, calls, note, options = {}, told = { isTrue: true } },
) {
  const random = Math.random;
  Math.random = () => random() / 50; // try again soon: how long real clients wait is not looked at
  const clients = urls.map(
    (url, number) =>
      new Client(pbweb, { url, name: `${name}.${number}`, seed, calls, note, options, told }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  await Promise.all(clients.map((client) => client.work()));
  return () => Promise.all(clients.map((client) => client.finish()));
}
