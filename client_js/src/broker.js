/**
 * The machine: one per session, without I/O. Frames come in with `handle`, and go out through the
 * link, which is the session (docs/protocol.md, sections 1 to 4). What it does with calls and
 * values is in the modules below; this is the state that they share.
 *
 * @module
 */

import { deadReference, LimitExceeded, lostCall, protocolError } from "./errors.js";
import { registry } from "./failures.js";
import { eachTagged, isId } from "./frames.js";
import { accept, cancelled, endPeerCalls } from "./incoming.js";
import { VIOLATIONS, withDefaults } from "./limits.js";
import { answered, endCalls, start } from "./outgoing.js";
import { newLine } from "./queue.js";
import { newExports, newImports } from "./references.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */

/**
 * What the pure half is handed from outside.
 * @typedef {object} Hooks
 * @property {() => number} now seconds of a clock that never goes back
 * @property {(seconds: number, run: () => void) => () => void} timer gives what stops it
 * @property {(error: unknown, where: string) => void} log
 * @property {() => void} wake there is something to send
 * @property {(code: number, reason: string) => void} close send what there is, then close
 * @property {() => void} resumed the session goes on on a new connection
 * @property {(data: unknown) => void} refused it cannot; another takes the message that said so
 */

/**
 * The session, as the broker needs it.
 * @typedef {object} Link
 * @property {() => boolean} hasRoom whether a frame that can wait may go out
 * @property {(text: string, attachments?: Uint8Array[], answered?: number) => number} post
 *   gives the frame's number; `answered` is the peer's call that it answers
 * @property {(number: number, isOpen: boolean) => import("./errors.js").Outcome} outcomeOf what is
 *   known of a lost frame, which may name an answer that is open
 * @property {(code: number, reason: string) => void} fail
 */

/**
 * @typedef {object} Ending how a session ended
 * @property {number} code
 * @property {string} reason
 * @property {boolean | number[]} reconnect whether to connect again, or after how many seconds
 */

/** The frame that gives back what a tag brought. @type {Record<string, string>} */
const GIVES_BACK = { remote: "decref", stream: "decref", cache: "decache", cached: "decache" };

/** What is done with a frame. @type {Record<string, (broker: Broker, frame: Frame, message: Message) => void>} */
const HANDLERS = {
  // @ts-expect-error TypeScript takes it for a key: so no name of a frame is found anywhere else
  __proto__: null,
  message: accept,
  cachemessage: accept,
  answer: answered,
  error: answered,
  cancel: cancelled,
  decref({ exports }, frame) {
    for (let at = 1; at < frame.length; at += 2) exports.decref(frame[at], frame[at + 1]);
  },
  decache(broker, frame) {
    for (let at = 1; at < frame.length; at += 2) {
      const isOver = broker.exports.decref(frame[at], frame[at + 1], true);
      if (isOver) broker.postSmall(["uncache", frame[at]]);
    }
  },
  uncache({ imports }, frame) {
    imports.uncache(frame[1]);
  },
  didNotUnderstand() {},
};

export class Broker {
  /** What the peer has said of itself. */
  peer = { limits: withDefaults(), message: 0, calls: 0, binary: false, heartbeat: 15 };
  /** @type {Ending | null} */
  ending = null;
  exports = newExports(this);
  imports = newImports(this);

  /** This side's calls that were sent and are not answered. @type {Map<number, import("./outgoing.js").Call>} */
  waiting = new Map();
  /** Those that wait for the end of others, and releases that must not overtake them. */
  calls = newLine();
  /** How many of those that want an answer wait for room. */
  admitted = 0;
  /** The highest id used. */
  lastRequest = 0;

  /** The peer's calls whose answers can be named. @type {Map<number, import("./incoming.js").PeerCall>} */
  answers = new Map();
  /** Those in progress. @type {Set<import("./incoming.js").PeerCall>} */
  running = new Set();
  /** About how many characters those have whose answers wait for room. */
  backlog = 0;
  /** What waits for room in the window, of calls, answers and updates. */
  line = newLine();
  /** Whether a frame is being encoded that may hand out a cache: nothing that waits overtakes it. */
  encoding = false;
  /** Those that waited for answers, which are there now. */
  ready = newLine();
  /** The highest id accepted. */
  lastAccepted = 0;

  /** @type {[Function, unknown][]} */
  #notifiers = [];
  #violations = 0;

  /**
   * @param {Link} link
   * @param {Hooks} hooks
   * @param {import("./limits.js").Limits} limits of this side
   * @param {import("./failures.js").Registry} [types]
   */
  constructor(link, hooks, limits, types = registry) {
    this.link = link;
    this.hooks = hooks;
    this.limits = limits;
    this.types = types;
  }

  // What references, promises and the connection use.

  start = start;

  /** Give a reference or a cache back, behind the calls that name it. @param {import("./references.js").Held} held */
  release(held) {
    held.leaving = held.count;
    this.calls.push(() => this.line.push(this.imports.leave, held), held);
  }

  /**
   * @param {Function} callback
   * @param {unknown} [reference] what it is called with
   */
  notifyOnDisconnect(callback, reference) {
    this.#notifiers.push([callback, reference]);
    if (this.ending) Promise.resolve().then(() => this.#notify());
  }

  /**
   * @param {Function} callback
   * @param {unknown} [reference]
   */
  dontNotifyOnDisconnect(callback, reference) {
    this.#notifiers = this.#notifiers.filter((one) => one[0] !== callback || one[1] !== reference);
  }

  #notify() {
    for (const [callback, reference] of this.#notifiers.splice(0)) {
      try {
        callback(reference);
      } catch (error) {
        this.hooks.log(error, "notifyOnDisconnect");
      }
    }
  }

  /** How much there is in each table; all 0 at rest. */
  statistics() {
    return {
      exported: this.exports.size,
      imported: this.imports.size,
      waiting: this.waiting.size,
      held: this.calls.length + this.admitted,
      running: this.running.size,
      nameable: this.answers.size,
    };
  }

  // What the session uses.

  /**
   * Handle a frame whose envelope has been checked; false when its name is not known.
   * @param {Frame} frame
   * @param {Message} message that it came in
   */
  handle(frame, message) {
    const handler = HANDLERS[frame[0]];
    handler?.(this, frame, message);
    return !!handler;
  }

  /** Whether something that can wait may go out. */
  hasRoom() {
    return !this.encoding && this.link.hasRoom();
  }

  /** There is more room in the window. */
  pump() {
    this.line.move();
  }

  /** The session is over: everything ends, once. */
  end() {
    endCalls(this);
    endPeerCalls(this);
    this.line.move();
    this.exports.clear();
    this.imports.clear();
    this.#notify();
  }

  // What the modules of calls and values use.

  /**
   * What a call ends with that the session's end cuts off.
   * @param {import("./errors.js").Outcome} outcome
   */
  lost(outcome) {
    const { code, reason } = /** @type {Ending} */ (this.ending);
    const text = `The session is over: ${reason || "the connection was lost"} (${code}).`;
    const cause = code < 4400 ? undefined : protocolError(reason, code);
    return lostCall(text, outcome, cause);
  }

  /**
   * A frame of plain data that does not wait for room. A peer that takes none so small is none.
   * @param {any[]} frame
   * @param {number} [answered] the peer's call that it answers
   */
  postSmall(frame, answered) {
    try {
      this.link.post(JSON.stringify(frame), [], answered);
    } catch (/** @type {any} */ error) {
      this.link.fail(4413, error.message);
    }
  }

  /**
   * The call of the peer's with this id, whose answer is named in `frame`.
   * @param {number} id
   * @param {Frame} frame
   */
  nameable(id, frame) {
    const call = this.answers.get(id);
    if (!call || id === frame[1]) throw deadReference();
    return call;
  }

  /**
   * Give back every reference of a frame that was refused (section 3).
   * @param {Frame} frame
   * @param {number[]} [introduced] those that had been received already
   */
  giveBack(frame, introduced = []) {
    this.imports.takeBack(introduced);
    for (const name of ["decref", "decache"]) {
      /** @type {Map<number, number>} */
      const counts = new Map();
      eachTagged(frame, ({ $: tag, id }) => {
        if (GIVES_BACK[tag] === name && isId(id)) counts.set(id, (counts.get(id) ?? 0) + 1);
      });
      if (counts.size) this.postSmall([name, ...[...counts].flat()]);
    }
  }

  /** The fourth time that too many references were handed out ends the session (section 7). @param {unknown} error */
  countViolation(error) {
    if (!(error instanceof LimitExceeded) || !error.message.startsWith("references")) return;
    if (++this.#violations >= VIOLATIONS) this.link.fail(4413, error.message);
  }
}
