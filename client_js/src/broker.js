/**
 * The machine: one per session, without I/O. Frames come in with `handle`, and go out through the
 * link, which is the session (docs/protocol.md, sections 1 to 4).
 *
 * @module
 */

import { breach, LimitExceeded } from "./errors.js";
import { registry } from "./failures.js";
import { eachTagged, isId } from "./frames.js";
import { Incoming, invocation } from "./incoming.js";
import { Jellier } from "./jelly.js";
import { VIOLATIONS } from "./limits.js";
import { Outgoing } from "./outgoing.js";
import { Exports, Imports, RemoteReference } from "./references.js";

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
 */

/**
 * The session, as the broker needs it.
 * @typedef {object} Link
 * @property {{ limits: import("./limits.js").Limits, binary: boolean }} peer
 * @property {number} written the number of the last frame that was written
 * @property {number} acknowledged the number of the last frame that the peer has
 * @property {() => boolean} hasRoom whether a frame that can wait may go out
 * @property {(text: string, attachments?: Uint8Array[], answered?: { id: number }) => number} post
 *   gives the frame's number
 * @property {(code: number, reason: string) => void} fail
 */

/** The frame that gives back what a tag brought. */
const GIVES_BACK = new Map([
  ["remote", "decref"],
  ["stream", "decref"],
  ["cache", "decache"],
  ["cached", "decache"],
]);

export class Broker {
  exports = new Exports();
  imports = new Imports(this);
  outgoing = new Outgoing(this);
  incoming = new Incoming(this);
  /** Whether the session is over. */
  over = false;
  /** @type {{ callback: Function, reference: unknown }[]} */
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

  get peer() {
    return this.link.peer;
  }

  // What references, promises and the connection use.

  /**
   * @param {string} name
   * @returns {RemoteReference<any>}
   */
  named(name) {
    return this.imports.receive(name, Infinity);
  }

  /** @param {RemoteReference<any>} reference */
  release(reference) {
    reference.released = true;
    this.outgoing.held.push(() => this.imports.release(reference));
  }

  /**
   * @param {Function} callback
   * @param {unknown} [reference] what it is called with
   */
  notifyOnDisconnect(callback, reference) {
    this.#notifiers.push({ callback, reference });
    if (this.over) Promise.resolve().then(() => this.#notify());
  }

  /**
   * @param {Function} callback
   * @param {unknown} [reference]
   */
  dontNotifyOnDisconnect(callback, reference) {
    this.#notifiers = this.#notifiers.filter(
      (notifier) => notifier.callback !== callback || notifier.reference !== reference,
    );
  }

  #notify() {
    for (const { callback, reference } of this.#notifiers.splice(0)) {
      try {
        callback(...(reference ? [reference] : []));
      } catch (error) {
        this.hooks.log(error, "a callback of notifyOnDisconnect");
      }
    }
  }

  /** How much there is in each table; all 0 at rest. */
  statistics() {
    return {
      exported: this.exports.size,
      imported: this.imports.size,
      waiting: this.outgoing.waiting.size,
      held: this.outgoing.held.length,
      running: this.incoming.running.size,
      nameable: this.incoming.nameable.size,
    };
  }

  // What the session uses.

  /**
   * Handle a frame whose envelope has been checked; false when its name is not known.
   * @param {Frame} frame
   * @param {Message} message that it came in
   */
  handle(frame, message) {
    switch (frame[0]) {
      case "message":
      case "cachemessage":
        this.incoming.accept(frame, message);
        return true;
      case "answer":
      case "error":
        this.outgoing.answered(frame, message);
        return true;
      case "cancel":
        this.incoming.cancelled(frame[1]);
        return true;
      case "decref":
        for (let at = 1; at < frame.length; at += 2) this.exports.decref(frame[at], frame[at + 1]);
        return true;
      case "decache": // nothing is handed out as a cache yet
        breach(`decache of ${frame[1]}: too many.`);
    }
    return /^(uncache|didNotUnderstand)$/.test(frame[0]);
  }

  /** There is more room in the window. */
  pump() {
    this.incoming.held.move();
    this.outgoing.held.move();
  }

  /**
   * The session is over: everything ends, once.
   * @param {string} text
   * @param {unknown} [cause]
   */
  end(text, cause) {
    this.over = true;
    this.outgoing.end(text, cause);
    this.incoming.end();
    this.exports.clear();
    this.imports.clear();
    this.#notify();
  }

  // Frames that go out.

  /**
   * Send the frame that `make` builds. When that fails, no table has changed.
   * @param {(jellier: Jellier) => any[]} make
   * @param {{ id: number }} [answered] the peer's call that it answers
   * @returns {number} the frame's number
   */
  post(make, answered) {
    let jellier = new Jellier(this);
    try {
      let frame = make(jellier);
      if (jellier.shared.size) {
        this.exports.takeBack(jellier.introduced);
        jellier = new Jellier(this, jellier.shared);
        frame = make(jellier);
      }
      return this.link.post(JSON.stringify(frame), jellier.attachments, answered);
    } catch (error) {
      this.exports.takeBack(jellier.introduced);
      throw error;
    }
  }

  /**
   * A frame of plain data that does not wait for room.
   * @param {any[]} frame
   * @param {{ id: number }} [answered]
   */
  postSmall(frame, answered) {
    return this.link.post(JSON.stringify(frame), [], answered);
  }

  /**
   * Give back every reference of a frame that was refused (section 3).
   * @param {Frame} frame
   * @param {number[]} [introduced] those that had been received already
   */
  giveBack(frame, introduced = []) {
    this.imports.takeBack(introduced);
    /** @type {Record<string, Map<number, number>>} */
    const tables = { decref: new Map(), decache: new Map() };
    eachTagged(frame, ({ $: tag, id }) => {
      const counts = tables[GIVES_BACK.get(tag) ?? ""];
      if (isId(id)) counts?.set(id, (counts.get(id) ?? 0) + 1);
    });
    for (const [name, counts] of Object.entries(tables)) {
      if (counts.size) this.postSmall([name, ...[...counts].flat()]);
    }
  }

  /** The fourth time that too many references were handed out ends the session (section 7). @param {unknown} error */
  countViolation(error) {
    if (!(error instanceof LimitExceeded) || !error.message.startsWith("references")) return;
    if (++this.#violations >= VIOLATIONS) this.link.fail(4413, error.message);
  }

  /**
   * A call on an object that is not the peer's.
   * @param {unknown} target
   * @param {{ name: string, args: any[], kw: Record<string, any> }} call
   */
  callHere(target, { name, args, kw }) {
    if (target instanceof RemoteReference) return target.call(name, { args, kw });
    return invocation({}, target, name, args, kw)();
  }

  /** @param {number | string} id */
  unjellyRemote(id) {
    return this.imports.receive(id, this.limits.references);
  }
}
