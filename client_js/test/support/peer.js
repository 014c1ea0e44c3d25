// A session without I/O, with a clock that stands still until a test moves it.

import { newSession } from "../../src/session.js";

/** Everything that can happen by itself has happened. */
export async function settled() {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export class Peer {
  /** What was logged. */
  logged = [];
  /** Messages that were sent, as they are. */
  messages = [];
  closed = null;
  /** How often the session went on, and the messages that said that it cannot. */
  resumed = 0;
  refusals = [];
  /** Whether the connection is gone: nothing can be written any more. */
  lost = false;
  time = 0;
  timers = new Set();
  /** Another Peer that gets each message. */
  other = null;

  constructor({ names = {}, ...options } = {}) {
    this.session = newSession(
      {
        now: () => this.time,
        timer: (seconds, run) => {
          const timer = { at: this.time + seconds, run };
          this.timers.add(timer);
          return () => this.timers.delete(timer);
        },
        log: (error, where) => this.logged.push({ error, where }),
        wake: () => queueMicrotask(() => this.flush()),
        close: (code, reason) => {
          if (!this.lost) this.flush();
          this.closed = { code, reason };
        },
        resumed: () => this.resumed++,
        refused: (data) => this.refusals.push(data),
      },
      options,
    );
    this.broker = this.session.broker;
    for (const [name, object] of Object.entries(names)) this.broker.exports.publish(name, object);
  }

  get root() {
    return this.broker.imports.receive("root");
  }

  flush() {
    for (const message of this.session.takeMessages()) {
      this.messages.push(message);
      const { other } = this;
      if (other) queueMicrotask(() => other.session.receive(message));
    }
  }

  /** Frames sent since the last time, without `version` and `ack`. */
  frames() {
    this.flush();
    return this.messages
      .splice(0)
      .flatMap((message) => framesOf(message))
      .filter(([name]) => name !== "version" && name !== "ack");
  }

  /** Feed frames as one message. */
  async feed(...frames) {
    this.session.receive(JSON.stringify(frames.length === 1 ? frames[0] : frames));
    await settled();
  }

  /** Shake hands with a peer that has these options. */
  async open(options) {
    await this.feed(options ? ["version", 1, options] : ["version", 1]);
    this.frames();
    return this;
  }

  /** Let time pass. */
  async pass(seconds) {
    this.time += seconds;
    for (const timer of [...this.timers]) {
      if (timer.at > this.time || !this.timers.delete(timer)) continue;
      timer.run();
    }
    await settled();
  }

  statistics() {
    return this.broker.statistics();
  }
}

export function framesOf(message) {
  if (typeof message !== "string") {
    const length = new DataView(message.buffer).getUint32(0, true);
    return [JSON.parse(new TextDecoder().decode(message.subarray(4, 4 + length)))];
  }
  const value = JSON.parse(message);
  return Array.isArray(value[0]) ? value : [value];
}

/** Two peers whose messages reach each other. */
export async function pair(left = {}, right = {}) {
  const [a, b] = [new Peer(left), new Peer(right)];
  a.other = b;
  b.other = a;
  a.flush();
  b.flush();
  await settled();
  return [a, b];
}
