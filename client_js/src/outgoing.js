/**
 * The calls that this side makes: sent, held back for room, cancelled, answered
 * (docs/protocol.md, sections 1 and 6).
 *
 * @module
 */

import { breach, CancelledError, deadReference, InsecureJelly, lostCall } from "./errors.js";
import { unjellyFailure } from "./failures.js";
import { isWellFormed } from "./frames.js";
import { RemotePromise } from "./promises.js";
import { Line } from "./queue.js";
import { RemoteReference } from "./references.js";
import { checkDepth, followPath, Unjellier } from "./unjelly.js";

/**
 * The peer's call that is being started: calls made before its first `await` are made on its
 * behalf and inherit its deadline. After that nothing tells whose they are; pass `callSignal()`.
 * @type {{ call?: { controller?: AbortController | undefined, deadline?: number | undefined } | undefined }}
 */
export const handling = {};

/** @typedef {RemoteReference<any> | RemotePromise<any>} Target */

/**
 * One call of this side's.
 * @param {import("./broker.js").Broker} broker
 * @param {Target} target
 * @param {string} name
 * @param {import("./api.js").CallOptions} options
 * @param {boolean} only no answer is wanted
 */
const newCall = (broker, target, name, { args = [], kw = {}, path = [] }, only) => ({
  promise: new RemotePromise(broker),
  target,
  name,
  args,
  kw,
  path,
  only,
  /** The number of its frame; 0 until it is sent. */
  number: 0,
  /** Promises whose answers its frame names. @type {RemotePromise<any>[]} */
  named: [],
  /** When it is cancelled, in seconds of the clock. */
  deadline: Infinity,
  /** Stops waiting for the signal and the timeout. */
  stop() {},
});

/** @typedef {ReturnType<typeof newCall>} Call */

export class Outgoing {
  /** Calls that were sent and are not answered. @type {Map<number, Call>} */
  waiting = new Map();
  /** Calls that wait for room, and releases that must not overtake them. @type {Line<Call | (() => void)>} */
  held = new Line(
    (step) => (typeof step === "function" ? step() : this.#send(step)),
    (step) => typeof step === "function" || this.#mayGo(step),
  );
  /** The highest id used. */
  #last = 0;
  /** What a call that is not sent ends with when the session is over. @type {Error | undefined} */
  #lost;

  /** @param {import("./broker.js").Broker} broker */
  constructor(broker) {
    this.broker = broker;
  }

  /**
   * @param {Target} target
   * @param {string} name
   * @param {import("./api.js").CallOptions} options
   * @param {boolean} [only]
   */
  start(target, name, options, only = false) {
    const call = newCall(this.broker, target, name, options, only);
    if (target instanceof RemotePromise) target.handle();
    if (only) call.promise.handle();
    try {
      if (typeof name !== "string" || !isWellFormed(name)) {
        throw new InsecureJelly("the method's name must be a well-formed string.");
      }
      if (this.broker.over || /** @type {any} */ (target).released) throw deadReference();
      this.#limit(call, options);
      if (call.promise.pending && !this.#isLocal(call)) this.held.push(call);
    } catch (error) {
      this.#finish(call, error, true);
    }
    return call.promise;
  }

  /**
   * @param {Call} call
   * @param {import("./api.js").CallOptions & { deadline?: number | undefined }} options
   */
  #limit(call, { signal, timeout, deadline = handling.call?.deadline ?? Infinity }) {
    call.deadline = deadline;
    const { hooks } = this.broker;
    const abort = () => this.#cancel(call, "The call was cancelled.", signal?.reason);
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort);
    let stopTimer = () => {};
    call.stop = () => {
      signal?.removeEventListener("abort", abort);
      stopTimer();
    };
    if (timeout === undefined) return;
    const expire = () => this.#cancel(call, `The call did not end within ${timeout} seconds.`);
    if (!(timeout > 0)) return expire();
    call.deadline = Math.min(deadline, hooks.now() + timeout);
    stopTimer = hooks.timer(timeout, expire);
  }

  /**
   * The promise is rejected at once; the peer is told, and its answer is still waited for.
   * @param {Call} call
   * @param {string} text
   * @param {unknown} [cause]
   */
  #cancel(call, text, cause) {
    this.#finish(call, new CancelledError(text, { cause }), true);
    const { id } = call.promise;
    if (this.waiting.has(id)) this.broker.postSmall(["cancel", id]);
  }

  /**
   * Pass the cancel of a relayed call on: its answer is still waited for, and passed on as well.
   * @param {RemotePromise<any>} promise
   * @param {Error} error what the call ends with if it was never sent
   */
  passCancel(promise, error) {
    if (this.waiting.has(promise.id)) this.broker.postSmall(["cancel", promise.id]);
    else promise.settle(error, true);
  }

  /**
   * @param {Call} call
   * @param {any} outcome
   * @param {boolean} [rejected]
   */
  #finish({ promise, name, only, stop }, outcome, rejected) {
    stop();
    if (only && rejected && promise.pending) this.broker.hooks.log(outcome, `the call of ${name}`);
    promise.settle(outcome, rejected);
  }

  /**
   * A call on an answer that is there is one on what was answered. If that is an object of this
   * side's, or of another session's, the call does not go to the peer.
   * @param {Call} call
   */
  #isLocal(call) {
    const { target } = call;
    if (!(target instanceof RemotePromise) || target.pending) return false;
    if (target.rejected) throw target.outcome;
    const value = followPath(target.outcome, call.path);
    const isRemote = value instanceof RemoteReference && value.broker === this.broker;
    if (isRemote) call.target = value;
    else this.#callLocal(call, target, value);
    return !isRemote;
  }

  /**
   * It waits for the calls that came before it through the peer, so that order holds.
   * @param {Call} call
   * @param {RemotePromise<any>} target
   * @param {unknown} value
   */
  #callLocal(call, target, value) {
    const run = async () => {
      try {
        if (call.promise.pending) this.#finish(call, await this.broker.callHere(value, call));
      } catch (error) {
        this.#finish(call, error, true);
      }
    };
    if (target.pipelined) target.later.push(run);
    else Promise.resolve().then(run);
  }

  /** @param {Call} call */
  #mayGo({ promise, only }) {
    const { link } = this.broker;
    const hasRoom = link.hasRoom() && (only || this.waiting.size < link.peer.limits.calls);
    return hasRoom || !promise.pending || !!this.#lost;
  }

  /** @param {Call} call */
  #send(call) {
    try {
      if (!call.promise.pending) return;
      if (this.#lost) throw this.#lost;
      if (!this.#isLocal(call)) this.#post(call);
    } catch (error) {
      this.#finish(call, error, true);
    }
  }

  /** @param {Call} call */
  #post(call) {
    const { promise, target, name, only } = call;
    const wireTarget = this.#wireTarget(call);
    let id = 0;
    call.number = this.broker.post((jellier) => {
      const args = jellier.items("args", call.args);
      const kw = jellier.items("kw", call.kw);
      call.named = jellier.named;
      if (!only) id ||= ++this.#last;
      return trimmed(["message", id, wireTarget, name, args, kw, this.#options(call)]);
    });
    // An accessor among the arguments may have ended the session.
    if (this.broker.over) throw deadReference();
    promise.id = id;
    if (!only) this.waiting.set(id, call);
    if (target instanceof RemotePromise) {
      call.named.push(target);
      if (!only) target.pipelined++;
    }
    // The peer has them now; the reference is kept until the answer comes.
    call.args = [];
    call.kw = {};
  }

  /** @param {Call} call */
  #wireTarget({ target, path }) {
    if (target.broker !== this.broker || !target.id) throw deadReference();
    if (target instanceof RemoteReference) return this.broker.imports.idOf(target);
    return path.length ? { $: "answer", id: target.id, path } : -target.id;
  }

  /** @param {Call} call */
  #options({ deadline }) {
    const left = Math.max(0, deadline - this.broker.hooks.now());
    return left < Infinity ? { deadline: Math.round(left * 1000) / 1000 } : {};
  }

  /**
   * An `answer` or `error` of the peer's. With one that is settled already, it is given back.
   * @param {import("./frames.js").Frame} frame
   * @param {import("./frames.js").Message} message that it came in
   */
  answered(frame, { tagged, deep, attachments }) {
    const { broker } = this;
    const [name, id, value = null] = frame;
    if (id > this.#last) breach(`Request ${id} was not made.`);
    const call = this.waiting.get(id);
    const unjellier = new Unjellier(broker, frame, attachments);
    let rejected = name === "error" || !call?.promise.pending;
    let outcome = value;
    /** @type {unknown} */
    let refused;
    this.waiting.delete(id);
    try {
      if (name === "error") outcome = unjellyFailure(value, broker.types);
      else if (!rejected) {
        if (deep) checkDepth(value, 0, broker.limits.depth);
        if (tagged) outcome = unjellier.root(value);
      }
    } catch (error) {
      refused = outcome = error;
      rejected = true;
    }
    if (rejected) broker.giveBack(frame, unjellier.introduced);
    broker.countViolation(refused);
    if (!call) return;
    this.#finish(call, outcome, rejected);
    this.#free(call);
    this.held.move();
  }

  /** Its target need not wait for it any longer. @param {Call} call */
  #free({ target, only }) {
    if (only || !(target instanceof RemotePromise) || --target.pipelined) return;
    for (const run of target.later.splice(0)) run();
  }

  /**
   * The session is over: every call ends, with what is known of it (section 6).
   * @param {string} text
   * @param {unknown} cause
   */
  end(text, cause) {
    this.#lost = lostCall(text, "not_executed", cause);
    const sent = [...this.waiting.values()];
    const outcomes = sent.map((call) => this.#outcome(call));
    this.waiting.clear();
    for (const [at, call] of sent.entries()) {
      this.#finish(call, lostCall(text, outcomes[at] ?? "unknown", cause), true);
      this.#free(call);
    }
    this.held.move();
  }

  /**
   * @param {Call} call
   * @returns {import("./errors.js").Outcome}
   */
  #outcome({ number, named }) {
    const { link } = this.broker;
    if (number > link.written) return "not_executed";
    const open = named.some((promise) => promise.pending);
    return number <= link.acknowledged && !open ? "executed_answer_lost" : "unknown";
  }
}

/**
 * Empty items at the end are left out (section 1).
 * @param {any[]} frame
 */
function trimmed(frame) {
  while (typeof frame.at(-1) === "object" && !Object.keys(frame.at(-1)).length) frame.pop();
  return frame;
}
