/**
 * A session: numbering, acknowledging, the window, and the frames that are not the broker's
 * (docs/protocol.md, sections 6 and 7). No I/O: messages go in with `receive` and come out with
 * `takeMessages`.
 *
 * @module
 */

import { Broker } from "./broker.js";
import { breach, overLimit, ProtocolError } from "./errors.js";
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
import { VERSION } from "./version.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */

/** The bytes that the brackets of a batch and the frame `ack` take at most. */
const BATCH_BYTES = 64;

const STALLED = "The peer does not acknowledge what it gets.";

/** @param {any[]} frame */
const json = (frame) => JSON.stringify(frame);

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
  /** Frames that are not written yet. @type {(string | Uint8Array<ArrayBuffer>)[]} */
  #outgoing = [];
  /** Frames `ack`, `ping` and `pong` that are owed. @type {Set<string>} */
  #owed = new Set();
  /** Each frame that is not acknowledged: its bytes, and the call that it answers. @type {{ size: number, answered: { id: number } | undefined }[]} */
  #window = [];
  #windowBytes = 0;
  /** @type {(() => void) | undefined} */
  #stopStall;
  /** What was received and not acknowledged, and since when. */
  #frames = 0;
  #bytes = 0;
  #since = 0;
  #timed = false;
  /** How many frames of a kind have come since when. @type {Record<string, { since: number, count: number }>} */
  #rates = {};

  /**
   * @param {import("./broker.js").Hooks} hooks
   * @param {object} [options]
   * @param {Partial<import("./limits.js").Limits>} [options.limits] of this side
   * @param {string} [options.software] the name in this side's `version`
   * @param {import("./failures.js").Registry} [options.registry]
   */
  constructor(hooks, { limits, software = `pbweb-js/${VERSION}`, registry } = {}) {
    this.hooks = hooks;
    this.limits = withDefaults(limits);
    this.broker = new Broker(this, hooks, this.limits, registry);
    const told = limits && this.limits;
    this.#outgoing.push(json(["version", 1, { software, binary: true, limits: told }]));
  }

  // Sending.

  /** Whether a frame that can wait may go out; what cannot may fill `times` the window. */
  hasRoom(times = 1) {
    return this.#windowBytes < times * WINDOW_BYTES && this.#window.length < times * WINDOW_FRAMES;
  }

  /**
   * @param {string} text of one counted frame
   * @param {Uint8Array[]} [attachments]
   * @param {{ id: number }} [answered] the peer's call that it answers
   * @returns {number} its number; 0 when the session is over
   */
  post(text, attachments = [], answered = undefined) {
    const frame = attachments.length ? encodeBinary(text, attachments) : text;
    const size = sizeOf(frame);
    const most = this.peer.limits.message;
    if (size > most && !this.ending) throw overLimit("message", most, `${size} bytes`);
    if (!this.hasRoom(2)) this.fail(4440, STALLED, true);
    if (this.ending) return 0;
    this.#outgoing.push(frame);
    this.#window.push({ size, answered });
    this.#windowBytes += size;
    this.#watchWindow();
    this.hooks.wake();
    return ++this.#sent;
  }

  /** A full window must move within 10 seconds. */
  #watchWindow() {
    if (this.hasRoom()) return;
    this.#stopStall ??= this.hooks.timer(STALL_SECONDS, () => this.fail(4440, STALLED, true));
  }

  /**
   * The messages to write, in order: all frames that have come together, as few batches as the
   * peer's limits allow. Frames that are not counted stand last, so that their counts are right.
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
      if (batch.length) messages.push(batch.length > 1 ? `[${batch}]` : `${batch}`);
      batch = [];
      bytes = BATCH_BYTES;
    };
    for (const frame of this.#outgoing.splice(0).concat(this.#takeOwed())) {
      const size = sizeOf(frame) + 1;
      const isText = typeof frame === "string";
      if (!isText || bytes + size > limits.message || batch.length >= limits.batch) finish();
      if (isText) batch.push(frame);
      else messages.push(frame);
      bytes += size;
    }
    finish();
    this.written = this.#sent;
    return messages;
  }

  #takeOwed() {
    const names = [...this.#owed];
    if (names.length > 1) names.splice(names.indexOf("ack") >>> 0, 1);
    if (names.length) this.#frames = this.#bytes = 0;
    this.#owed.clear();
    return this.ending ? [] : names.map((name) => json([name, this.received, this.#sent]));
  }

  /** @param {string} name of a frame with both counts */
  #owe(name) {
    this.#owed.add(name);
    this.hooks.wake();
  }

  /** Ask whether the link is alive. */
  probe() {
    this.#owe("ping");
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
      this.#count(message.size);
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
      const isFirst = at === 0 && !this.open;
      // A peer that refuses the session may say so in place of its `version`.
      if ((name === "version") !== isFirst && !(isFirst && name === "close")) {
        breach("The first frame alone must be a version.");
      }
    }
  }

  /**
   * @param {Frame} frame
   * @param {Message} message
   */
  #handle(frame, message) {
    const [name, first, second] = frame;
    switch (name) {
      case "version":
        return this.#version(first, second);
      case "close":
        return this.end({ code: first, reason: cutText(second, 123), reconnect: frame[3] });
      case "ping":
      case "pong":
        this.#limitRate("control", this.limits.control, 1, 4429);
        if (name === "ping") this.#owe("pong");
        return this.#acknowledge(first, second);
      case "ack":
        return this.#acknowledge(first, second);
    }
    this.received++;
    this.#frames++;
    if (this.broker.handle(frame, message)) return;
    this.#limitRate("unknown", UNKNOWN_FRAMES, 60, 4400);
    this.post(json(["didNotUnderstand", [...name].slice(0, 64).join("")]));
  }

  /**
   * @param {number} number
   * @param {Record<string, any>} [options]
   */
  #version(number, { limits = {}, binary = false, heartbeat = 15 } = {}) {
    if (number !== 1) breach("This side speaks version 1.", 4426);
    const right =
      isObject(limits) && typeof binary === "boolean" && Number(heartbeat) === heartbeat;
    try {
      if (!right || heartbeat <= 0) throw new RangeError("The options of version are wrong.");
      this.peer = { limits: withDefaults(limits), binary, heartbeat };
    } catch (error) {
      breach(/** @type {Error} */ (error).message);
    }
    this.open = true;
  }

  /**
   * @param {number} received
   * @param {number} sent
   */
  #acknowledge(received, sent) {
    const { acknowledged, written } = this;
    if (sent !== this.received || received < acknowledged || received > written) {
      breach(
        `The counts ${received} and ${sent} are wrong: ${written} were sent, ${this.received} came.`,
      );
    }
    if (received === acknowledged) return;
    this.acknowledged = received;
    for (const { size, answered } of this.#window.splice(0, received - acknowledged)) {
      this.#windowBytes -= size;
      // From now on the answer cannot be named any more.
      if (answered) this.broker.incoming.nameable.delete(answered.id);
    }
    this.#stopStall?.();
    this.#stopStall = undefined;
    this.#watchWindow();
    this.broker.pump();
  }

  /**
   * An `ack` is owed here, by the code that receives: the timers of a hidden tab hardly run.
   * @param {number} size
   */
  #count(size) {
    if (!this.#frames) return;
    const now = this.hooks.now();
    if (!this.#bytes) this.#since = now;
    this.#bytes += size;
    const isLate = now - this.#since >= ACK_SECONDS;
    if (isLate || this.#frames >= ACK_FRAMES || this.#bytes >= ACK_BYTES) this.#owe("ack");
    else if (!this.#timed) {
      this.#timed = true;
      this.hooks.timer(ACK_SECONDS, () => {
        this.#timed = false;
        if (this.#frames && !this.ending) this.#owe("ack");
      });
    }
  }

  /**
   * @param {string} what
   * @param {number} most in so many seconds
   * @param {number} seconds
   * @param {number} code
   */
  #limitRate(what, most, seconds, code) {
    const now = this.hooks.now();
    let rate = this.#rates[what];
    if (!rate || now - rate.since >= seconds) rate = { since: now, count: 0 };
    this.#rates[what] = rate;
    if (++rate.count > most) breach(`${what}: more than ${most} frames in ${seconds} s.`, code);
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
    this.#outgoing.push(json(["close", code, reason, reconnect]));
    this.end({ code, reason, reconnect });
  }

  /**
   * The session is over: by a `close`, or because its connection is gone.
   * @param {Ending} ending
   */
  end(ending) {
    if (this.ending) return;
    this.ending = ending;
    const { code, reason } = ending;
    this.#stopStall?.();
    this.hooks.close(code, reason);
    const cause = code < 4400 ? undefined : Object.assign(new ProtocolError(reason), { code });
    this.broker.end(
      `The session is over: ${reason || "the connection was lost"} (${code}).`,
      cause,
    );
  }
}

/** In bytes. @param {string | Uint8Array} frame */
const sizeOf = (frame) => (typeof frame === "string" ? byteLength(frame) : frame.length);
