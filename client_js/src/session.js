/**
 * A session: numbering, acknowledging, the window, and the frames that are not the broker's
 * (docs/protocol.md, sections 6 and 7). No I/O: messages go in with `receive` and come out with
 * `takeMessages`.
 *
 * @module
 */

import { Broker } from "./broker.js";
import { LimitExceeded, ProtocolError } from "./errors.js";
import { byteLength, cutText, decodeMessage, encodeBinary, isObject } from "./frames.js";
import {
  ACK_BYTES,
  ACK_FRAMES,
  ACK_SECONDS,
  STALL_SECONDS,
  UNKNOWN_FRAMES,
  WINDOW_BYTES,
  WINDOW_FRAMES,
  withDefaults,
} from "./limits.js";
import { Queue } from "./queue.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */

/** The bytes that the brackets of a batch and the frame `ack` take at most. */
const BATCH_BYTES = 64;

/**
 * How a session ended.
 * @typedef {object} Ending
 * @property {number} code
 * @property {string} reason
 * @property {boolean | number[]} reconnect whether to connect again, or after how many seconds
 */

export class Session {
  /** What the peer has said of itself. */
  peer = { limits: withDefaults(), binary: false, heartbeat: 15 };
  /** The number of the last frame received, … */
  received = 0;
  /** … of the last one that was given to `takeMessages`, … */
  written = 0;
  /** … and of the last one that the peer has. */
  acknowledged = 0;
  /** Whether the peer's `version` has come. */
  open = false;
  /** @type {Ending | null} */
  ending = null;
  #sent = 0;
  /** Frames that are not written yet, and their bytes. @type {{ frame: string | Uint8Array<ArrayBuffer>, size: number }[]} */
  #outgoing = [];
  /** Frames `ping` and `pong` that are owed. @type {string[]} */
  #probes = [];
  /** The bytes of each frame that is not acknowledged. @type {Queue<number>} */
  #window = new Queue();
  #windowBytes = 0;
  #stopStall = () => {};
  #stalling = false;
  #unacked = { frames: 0, bytes: 0, since: 0, timed: false };
  #ackOwed = false;
  /** @type {Map<string, { since: number, count: number }>} */
  #rates = new Map();

  /**
   * @param {import("./broker.js").Hooks} hooks
   * @param {object} [options]
   * @param {Partial<import("./limits.js").Limits>} [options.limits] of this side
   * @param {string} [options.software] the name in this side's `version`
   * @param {import("./failures.js").Registry} [options.registry]
   */
  constructor(hooks, { limits, software = "pbweb-js/0.1.0", registry } = {}) {
    this.hooks = hooks;
    this.limits = withDefaults(limits);
    this.broker = new Broker(this, hooks, this.limits, registry);
    const options = { software, binary: true, ...(limits && { limits: this.limits }) };
    this.#outgoing.push(sized(JSON.stringify(["version", 1, options])));
  }

  // Sending.

  /** Whether a frame that can wait may go out. */
  hasRoom() {
    return this.#windowBytes < WINDOW_BYTES && this.#window.length < WINDOW_FRAMES;
  }

  /**
   * What can wait does so while there is no room; what cannot may fill the window twice.
   * @param {string} text of one counted frame
   * @param {Uint8Array[]} [attachments]
   * @returns {number} its number; 0 when the session is over
   */
  post(text, attachments = []) {
    const item = sized(attachments.length ? encodeBinary(text, attachments) : text);
    if (this.ending) return 0;
    if (item.size > this.peer.limits.message) {
      const most = this.peer.limits.message;
      throw new LimitExceeded(`message: ${item.size} bytes; the peer takes ${most} in a message.`);
    }
    if (this.#windowBytes >= 2 * WINDOW_BYTES || this.#window.length >= 2 * WINDOW_FRAMES) {
      this.fail(4440, "The peer does not acknowledge what it gets.", true);
      return 0;
    }
    this.#outgoing.push(item);
    this.#window.push(item.size);
    this.#windowBytes += item.size;
    this.#watchWindow();
    this.hooks.wake();
    return ++this.#sent;
  }

  /** A full window must move within 10 seconds. */
  #watchWindow() {
    if (this.#stalling || this.hasRoom()) return;
    this.#stalling = true;
    const stalled = () => this.fail(4440, "The peer acknowledged nothing for 10 s.", true);
    this.#stopStall = this.hooks.timer(STALL_SECONDS, stalled);
  }

  /**
   * The messages to write, in order: all frames that have come together, as few batches as the
   * peer's limits allow.
   * @returns {(string | Uint8Array<ArrayBuffer>)[]}
   */
  takeMessages() {
    const { limits } = this.peer;
    /** @type {(string | Uint8Array<ArrayBuffer>)[]} */
    const messages = [];
    /** @type {string[]} */
    let batch = [];
    let bytes = BATCH_BYTES;
    const finish = () => {
      if (batch.length) messages.push(batch.length === 1 ? String(batch[0]) : `[${batch}]`);
      batch = [];
      bytes = BATCH_BYTES;
    };
    for (const { frame, size } of [...this.#outgoing, ...this.#takeControl()]) {
      if (typeof frame !== "string" || bytes + size + 1 > limits.message) finish();
      if (batch.length >= limits.batch) finish();
      if (typeof frame !== "string") messages.push(frame);
      else batch.push(frame);
      bytes += size + 1;
    }
    finish();
    this.#outgoing = [];
    this.written = this.#sent;
    return messages;
  }

  /** Frames that are not counted stand last, so that their counts are right. */
  #takeControl() {
    const names = this.#probes.splice(0);
    if (this.#ackOwed && !names.length) names.push("ack");
    if (names.length) this.#unacked.frames = this.#unacked.bytes = 0;
    this.#ackOwed = false;
    if (this.ending) return [];
    return names.map((name) => sized(JSON.stringify([name, this.received, this.#sent])));
  }

  /** Ask whether the link is alive. */
  probe() {
    this.#probes.push("ping");
    this.hooks.wake();
  }

  // Receiving.

  /** @param {unknown} data a message */
  receive(data) {
    if (this.ending) return;
    try {
      const message = decodeMessage(data, this.limits);
      this.#checkVersions(message.frames);
      for (const frame of message.frames) {
        if (this.ending) return;
        this.#handle(frame, message);
      }
      this.#oweAck(message.size);
    } catch (error) {
      if (error instanceof ProtocolError) {
        return this.fail(error.code, error.message, error.code === 4429);
      }
      this.hooks.log(error, "a fault in pbweb");
      this.fail(1011, "A fault in the broker.", true);
    }
  }

  /** @param {Frame[]} frames */
  #checkVersions(frames) {
    for (const [at, [name]] of frames.entries()) {
      const first = at === 0 && !this.open;
      // A peer that refuses the session may say so in place of its `version`.
      if (first && name === "close") continue;
      if ((name === "version") === first) continue;
      throw new ProtocolError(first ? "The first frame is no version." : "A second version.");
    }
  }

  /**
   * @param {Frame} frame
   * @param {Message} message
   */
  #handle(frame, message) {
    switch (frame[0]) {
      case "version":
        return this.#version(frame);
      case "ack":
        return this.#acknowledge(frame);
      case "ping":
      case "pong":
        return this.#probed(frame);
      case "close":
        return this.end({ code: frame[1], reason: cutText(frame[2], 123), reconnect: frame[3] });
    }
    this.received++;
    this.#unacked.frames++;
    if (!this.broker.handle(frame, message)) this.#didNotUnderstand(frame[0]);
  }

  /** @param {Frame} frame */
  #probed(frame) {
    this.#limitRate("control", this.limits.control, 1, 4429);
    this.#acknowledge(frame);
    if (frame[0] === "pong") return;
    this.#probes.push("pong");
    this.hooks.wake();
  }

  /** @param {Frame} frame */
  #version([, number, options = {}]) {
    if (number !== 1) throw new ProtocolError("This side speaks version 1.", { code: 4426 });
    const { limits = {}, binary = false, heartbeat = 15 } = options;
    if (!isObject(limits) || typeof binary !== "boolean" || !isSeconds(heartbeat)) {
      throw new ProtocolError("The options of version have wrong types.");
    }
    try {
      this.peer = { limits: withDefaults(limits), binary, heartbeat };
    } catch (error) {
      throw new ProtocolError(/** @type {Error} */ (error).message);
    }
    this.open = true;
  }

  /** @param {Frame} frame */
  #acknowledge([, received, sent]) {
    if (sent !== this.received || received < this.acknowledged || received > this.written) {
      throw new ProtocolError(
        `The peer counts ${sent} sent and ${received} received, here they are ` +
          `${this.received} and ${this.acknowledged} to ${this.written}.`,
      );
    }
    if (received === this.acknowledged) return;
    while (this.acknowledged < received) {
      this.acknowledged++;
      this.#windowBytes -= this.#window.shift() ?? 0;
    }
    this.#stopStall();
    this.#stalling = false;
    this.#watchWindow();
    this.broker.acknowledged(received);
  }

  /**
   * It is owed here, by the code that receives: the timers of a hidden tab hardly run.
   * @param {number} size
   */
  #oweAck(size) {
    const unacked = this.#unacked;
    if (!unacked.frames) return;
    const now = this.hooks.now();
    if (!unacked.bytes) unacked.since = now;
    unacked.bytes += size;
    const late = now - unacked.since >= ACK_SECONDS;
    if (late || unacked.frames >= ACK_FRAMES || unacked.bytes >= ACK_BYTES) this.#ackNow();
    else if (!unacked.timed) {
      unacked.timed = true;
      this.hooks.timer(ACK_SECONDS, () => {
        this.#unacked.timed = false;
        if (this.#unacked.frames) this.#ackNow();
      });
    }
  }

  #ackNow() {
    if (this.ending) return;
    this.#ackOwed = true;
    this.hooks.wake();
  }

  /** @param {string} name */
  #didNotUnderstand(name) {
    this.#limitRate("unknown", UNKNOWN_FRAMES, 60, 4400);
    const shown = [...name.slice(0, 128)].slice(0, 64).join("");
    this.post(JSON.stringify(["didNotUnderstand", shown]));
  }

  /**
   * @param {string} what
   * @param {number} most in so many seconds
   * @param {number} seconds
   * @param {number} code
   */
  #limitRate(what, most, seconds, code) {
    const now = this.hooks.now();
    let rate = this.#rates.get(what);
    if (!rate || now - rate.since >= seconds) rate = { since: now, count: 0 };
    this.#rates.set(what, rate);
    if (++rate.count > most) {
      throw new ProtocolError(`${what}: more than ${most} frames in ${seconds} s.`, { code });
    }
  }

  // Ending.

  /**
   * Say why, and end the session.
   * @param {number} code
   * @param {string} text
   * @param {boolean} [reconnect]
   */
  fail(code, text, reconnect = false) {
    if (this.ending) return;
    const reason = cutText(text, 123);
    this.#outgoing.push(sized(JSON.stringify(["close", code, reason, reconnect])));
    this.end({ code, reason, reconnect });
  }

  /**
   * The session is over: by a `close`, or because its connection is gone.
   * @param {Ending} ending
   */
  end(ending) {
    if (this.ending) return;
    this.ending = ending;
    this.#stopStall();
    this.hooks.close(ending.code, ending.reason);
    const text = `The session is over: ${ending.reason || "the connection was lost"} (${ending.code}).`;
    const { code, reason } = ending;
    this.broker.end(text, code >= 4400 ? new ProtocolError(reason, { code }) : undefined);
  }
}

/** @param {unknown} value */
const isSeconds = (value) => typeof value === "number" && value > 0;

/** @param {string | Uint8Array<ArrayBuffer>} frame */
const sized = (frame) => ({
  frame,
  size: typeof frame === "string" ? byteLength(frame) : frame.length,
});
