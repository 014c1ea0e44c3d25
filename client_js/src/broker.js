/**
 * The machine: one per session, without I/O. Frames come in with `handle`, and go out through the
 * link, which is the session (docs/protocol.md, sections 1 to 4).
 *
 * @module
 */

import { deadReference, InsecureJelly, LimitExceeded, ProtocolError } from "./errors.js";
import { jellyFailure, registry, unjellyFailure } from "./failures.js";
import { Referenceable } from "./flavors.js";
import { eachTagged, isId } from "./frames.js";
import { Incoming, invoke } from "./incoming.js";
import { Jellier } from "./jelly.js";
import { VIOLATIONS } from "./limits.js";
import { Outgoing } from "./outgoing.js";
import { RemotePromise } from "./promises.js";
import { Exports, Imports, RemoteReference } from "./references.js";
import { checkDepth, Unjellier } from "./unjelly.js";

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
 * @property {(text: string, attachments?: Uint8Array[]) => number} post gives the frame's number
 * @property {(code: number, reason: string) => void} fail
 */

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

  // What references, promises and the connection use.

  /**
   * @param {import("./outgoing.js").Target} target
   * @param {string} name
   * @param {import("./api.js").CallOptions} options
   * @returns {RemotePromise<any>}
   */
  callRemote(target, name, options) {
    return this.outgoing.start(target, name, options);
  }

  /**
   * @param {import("./outgoing.js").Target} target
   * @param {string} name
   * @param {import("./api.js").CallOptions} options
   */
  callRemoteOnly(target, name, options) {
    this.outgoing.start(target, name, options, true);
  }

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
    this.outgoing.afterHeld(() => this.imports.release(reference));
  }

  /**
   * @param {Function} callback
   * @param {unknown} [reference] what it is called with
   */
  notifyOnDisconnect(callback, reference) {
    const notifier = { callback, reference };
    if (this.over) Promise.resolve().then(() => this.#notify(notifier));
    else this.#notifiers.push(notifier);
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

  /** @param {{ callback: Function, reference: unknown }} notifier */
  #notify({ callback, reference }) {
    try {
      callback(...(reference ? [reference] : []));
    } catch (error) {
      this.hooks.log(error, "a callback of notifyOnDisconnect");
    }
  }

  /** How much there is in each table; all 0 at rest. */
  statistics() {
    return {
      exported: this.exports.size,
      imported: this.imports.size,
      waiting: this.outgoing.waiting.size,
      held: this.outgoing.held,
      running: this.incoming.running,
      nameable: this.incoming.nameable,
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
        this.#settle(frame, message);
        return true;
      case "cancel":
        this.incoming.cancelled(frame[1]);
        return true;
      case "decref":
        for (let at = 1; at < frame.length; at += 2) this.exports.decref(frame[at], frame[at + 1]);
        return true;
    }
    return ["decache", "uncache", "didNotUnderstand"].includes(frame[0]);
  }

  /**
   * @param {Frame} frame
   * @param {Message} message
   */
  #settle(frame, message) {
    const id = frame[1];
    if (id > this.outgoing.last) {
      throw new ProtocolError(`An ${frame[0]} to request ${id}, which was not made.`);
    }
    const call = this.outgoing.take(id);
    if (!call?.promise.pending) this.giveBack(frame);
    if (call) this.outgoing.settle(call, () => this.#result(call, frame, message));
  }

  /**
   * @param {{ promise: RemotePromise<any> }} call
   * @param {Frame} frame
   * @param {Message} message
   */
  #result({ promise }, frame, { tagged, attachments }) {
    const [name, , value = null] = frame;
    if (!promise.pending) return null;
    if (name === "error") {
      this.giveBack(frame);
      throw this.unjellyFailure(value);
    }
    const unjellier = new Unjellier(this, frame, attachments, false);
    try {
      checkDepth(value, 0, this.limits.depth);
      return tagged ? unjellier.root(value) : value;
    } catch (error) {
      this.giveBack(frame, unjellier.introduced);
      this.countViolation(error);
      throw error;
    }
  }

  /**
   * The peer has what was sent up to this frame.
   * @param {number} number
   */
  acknowledged(number) {
    this.incoming.acknowledged(number);
    this.incoming.pump();
    this.outgoing.pump();
  }

  /**
   * The session is over: everything ends, once.
   * @param {string} text
   * @param {unknown} [cause]
   */
  end(text, cause) {
    if (this.over) return;
    this.over = true;
    this.outgoing.end(text, cause);
    this.incoming.end();
    this.exports.clear();
    this.imports.clear();
    for (const notifier of this.#notifiers.splice(0)) this.#notify(notifier);
  }

  // Frames that go out.

  /**
   * Send the frame that `make` builds. When that fails, no table has changed.
   * @param {(jellier: Jellier) => any[]} make
   * @returns {number} the frame's number
   */
  post(make) {
    let jellier = new Jellier(this);
    try {
      let frame = make(jellier);
      if (jellier.shared.size) {
        this.exports.takeBack(jellier.introduced);
        jellier = new Jellier(this, jellier.shared);
        frame = make(jellier);
      }
      return this.link.post(JSON.stringify(frame), jellier.attachments);
    } catch (error) {
      this.exports.takeBack(jellier.introduced);
      throw error;
    }
  }

  /**
   * A frame of plain data that does not wait for room.
   * @param {any[]} frame
   */
  postSmall(frame) {
    return this.link.post(JSON.stringify(frame));
  }

  /** @param {number[]} pairs an id, and how often it was received, … */
  sendDecref(pairs) {
    if (pairs.length && !this.over) this.postSmall(["decref", ...pairs]);
  }

  /**
   * Give back every reference of a frame that was refused (section 3).
   * @param {Frame} frame
   * @param {number[]} [introduced] those that had been received already
   */
  giveBack(frame, introduced = []) {
    this.imports.takeBack(introduced);
    /** @type {Map<number, number>[]} */
    const [references, caches] = [new Map(), new Map()];
    eachTagged(frame, ({ $: tag, id }) => {
      const counts = /^(remote|stream)$/.test(tag) ? references : caches;
      if (isId(id) && /^(remote|stream|cached?)$/.test(tag)) {
        counts?.set(id, (counts.get(id) ?? 0) + 1);
      }
    });
    this.sendDecref([...(references ?? [])].flat());
    if (caches?.size && !this.over) this.postSmall(["decache", ...[...caches].flat()]);
  }

  /** The fourth time that too many references were handed out ends the session (section 7). @param {any} error */
  countViolation(error) {
    if (!(error instanceof LimitExceeded) || error.limit !== "references") return;
    if (++this.#violations >= VIOLATIONS) this.link.fail(4413, error.message);
  }

  /**
   * A call on an object that is not the peer's.
   * @param {unknown} target
   * @param {{ name: string, args: any[], kw: Record<string, any> }} call
   */
  invokeHere(target, { name, args, kw }) {
    if (target instanceof RemoteReference) {
      return target.broker.callRemote(target, name, { args, kw });
    }
    return invoke({}, target, name, args, kw)();
  }

  /**
   * How a reference stands in a frame to its owner.
   * @param {RemoteReference<any>} reference
   */
  wireId(reference) {
    if (!this.imports.has(reference)) throw deadReference();
    return reference.id;
  }

  // What jellying and unjellying need: see JellyHost and UnjellyHost.

  get peer() {
    return this.link.peer;
  }

  /**
   * @param {any} value
   * @param {Jellier} jellier
   * @param {number} depth
   * @returns {[any] | undefined}
   */
  jellyReference(value, jellier, depth) {
    if (value instanceof RemotePromise) return [this.#jellyPromise(value, jellier, depth)];
    if (value instanceof Error) return [jellyFailure(value)];
    if (value instanceof RemoteReference) {
      if (value.broker === this) return [{ $: "local", id: this.wireId(value) }];
      if (value.broker.over || value.released) throw deadReference();
    } else if (typeof value !== "function" && !(value instanceof Referenceable)) return undefined;
    const limit = Math.min(this.limits.references, this.peer.limits.references);
    const id = this.exports.introduce(value, limit);
    if (typeof id === "number") jellier.introduced.push(id);
    return [{ $: "remote", id }];
  }

  /**
   * @param {RemotePromise<any>} promise
   * @param {Jellier} jellier
   * @param {number} depth
   */
  #jellyPromise(promise, jellier, depth) {
    promise.handle();
    if (promise.rejected) throw promise.outcome;
    if (!promise.pending) return jellier.value(promise.outcome, depth);
    if (!jellier.named || promise.broker !== this || !promise.id) {
      throw new InsecureJelly(
        "a promise of another session, or in an answer, cannot cross; await it first",
      );
    }
    jellier.named.push(promise);
    return { $: "answer", id: promise.id };
  }

  /** @param {number | string} id */
  unjellyRemote(id) {
    return this.imports.receive(id, this.limits.references);
  }

  /** @param {number | string} id */
  unjellyLocal(id) {
    return this.exports.find(id);
  }

  /** @param {Record<string, any>} tagged */
  unjellyFailure(tagged) {
    return unjellyFailure(/** @type {any} */ (tagged), this.types);
  }

  /** @param {number} id */
  answerTo(id) {
    return this.incoming.find(id);
  }

  /** @param {unknown} value */
  isReference(value) {
    return (
      typeof value === "function" ||
      value instanceof Referenceable ||
      value instanceof RemoteReference
    );
  }
}
