/**
 * The calls that this side makes: sent, held back for room, cancelled, answered
 * (docs/protocol.md, sections 1 and 6).
 *
 * @module
 */

import { CancelledError, deadReference, InsecureJelly, PBConnectionLost } from "./errors.js";
import { isWellFormed } from "./frames.js";
import { RemotePromise } from "./promises.js";
import { Queue } from "./queue.js";
import { RemoteReference } from "./references.js";
import { followPath } from "./unjelly.js";

/** @typedef {RemoteReference<any> | RemotePromise<any>} Target */

/** One call of this side's. */
class Call {
  /** The number of its frame; 0 until it is sent. */
  number = 0;
  /** Promises whose answers its frame names. @type {RemotePromise<any>[]} */
  named = [];
  /** When it is cancelled, in seconds of the clock. @type {number | undefined} */
  deadline = undefined;
  /** Stops waiting for the signal and the timeout. */
  stop = () => {};

  /**
   * @param {import("./broker.js").Broker} broker
   * @param {Target} target
   * @param {string} name
   * @param {import("./api.js").CallOptions} options
   * @param {boolean} only no answer is wanted
   */
  constructor(broker, target, name, { args = [], kw = {}, path = [] }, only) {
    this.promise = new RemotePromise(broker);
    this.target = target;
    this.name = name;
    this.args = args;
    this.kw = kw;
    this.path = path;
    this.only = only;
  }
}

export class Outgoing {
  /** Calls that were sent and are not answered. @type {Map<number, Call>} */
  waiting = new Map();
  /** Calls that wait for room, and releases that must not overtake them. @type {Queue<Call | (() => void)>} */
  #held = new Queue();
  #last = 0;
  #encoding = false;

  /** @param {import("./broker.js").Broker} broker */
  constructor(broker) {
    this.broker = broker;
  }

  get held() {
    return this.#held.length;
  }

  /** The highest id used. */
  get last() {
    return this.#last;
  }

  /**
   * @param {Target} target
   * @param {string} name
   * @param {import("./api.js").CallOptions} options
   * @param {boolean} [only]
   */
  start(target, name, options, only = false) {
    const call = new Call(this.broker, target, name, options, only);
    if (target instanceof RemotePromise) target.handle();
    if (only) call.promise.handle();
    try {
      this.#check(call);
      this.#limit(call, options);
      if (call.promise.pending && !this.#isLocal(call)) this.afterHeld(call);
    } catch (error) {
      this.#fail(call, error);
    }
    return call.promise;
  }

  /** @param {Call} call */
  #check({ target, name }) {
    if (this.broker.over || (target instanceof RemoteReference && target.released)) {
      throw deadReference();
    }
    if (typeof name !== "string" || !isWellFormed(name)) {
      throw new InsecureJelly("the method's name must be a string without lone surrogates.");
    }
  }

  /**
   * @param {Call} call
   * @param {import("./api.js").CallOptions & { deadline?: number | undefined }} options
   */
  #limit(call, { signal, timeout, deadline }) {
    call.deadline = deadline;
    const { hooks } = this.broker;
    const abort = () => this.#cancel(call, "The call was cancelled.", signal?.reason);
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { once: true });
    let stopTimer = () => {};
    if (timeout !== undefined) {
      call.deadline = hooks.now() + timeout;
      const expire = () => this.#cancel(call, `The call did not end within ${timeout} seconds.`);
      if (!(timeout > 0)) return expire();
      stopTimer = hooks.timer(timeout, expire);
    }
    call.stop = () => {
      signal?.removeEventListener("abort", abort);
      stopTimer();
    };
  }

  /**
   * The promise is rejected at once; the peer is told, and its answer is still waited for.
   * @param {Call} call
   * @param {string} text
   * @param {unknown} [cause]
   */
  #cancel(call, text, cause) {
    this.#fail(call, new CancelledError(text, { cause }));
    if (this.waiting.has(call.promise.id)) this.broker.postSmall(["cancel", call.promise.id]);
  }

  /**
   * Pass the cancel of a relayed call on: its answer is still waited for, and passed on as well.
   * @param {RemotePromise<any>} promise
   * @param {Error} error what the call ends with if it was never sent
   */
  passCancel(promise, error) {
    if (this.waiting.has(promise.id)) this.broker.postSmall(["cancel", promise.id]);
    else promise.fail(error);
  }

  /**
   * @param {Call} call
   * @param {unknown} error
   */
  #fail(call, error) {
    call.stop();
    if (call.only && call.promise.pending) this.broker.hooks.log(error, `the call of ${call.name}`);
    call.promise.fail(error);
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
    if (value instanceof RemoteReference && value.broker === this.broker) {
      call.target = value;
      this.#check(call);
      return false;
    }
    this.#callLocal(call, target, value);
    return true;
  }

  /**
   * It waits for the calls that came before it through the peer, so that order holds.
   * @param {Call} call
   * @param {RemotePromise<any>} target
   * @param {unknown} value
   */
  #callLocal(call, target, value) {
    const run = () => {
      if (!call.promise.pending) return;
      new Promise((resolve) => resolve(this.broker.invokeHere(value, call))).then(
        (result) => {
          call.stop();
          call.promise.fulfill(result);
        },
        (error) => this.#fail(call, error),
      );
    };
    if (target.pipelined) target.later.push(run);
    else Promise.resolve().then(run);
  }

  /**
   * Send a call, or release a reference, behind all calls that are held back.
   * @param {Call | (() => void)} step
   */
  afterHeld(step) {
    this.#held.push(step);
    this.pump();
  }

  /** Send what was held back, as far as there is room. */
  pump() {
    for (let next = this.#held.peek(); next && !this.#encoding; next = this.#held.peek()) {
      if (typeof next !== "function" && next.promise.pending && !this.#hasRoom(next)) break;
      this.#held.shift();
      if (typeof next === "function") next();
      else if (next.promise.pending) this.#send(next);
    }
  }

  /** @param {Call} call */
  #hasRoom(call) {
    const { link } = this.broker;
    return link.hasRoom() && (call.only || this.waiting.size < link.peer.limits.calls);
  }

  /** @param {Call} call */
  #send(call) {
    this.#encoding = true;
    try {
      if (!this.#isLocal(call)) this.#post(call);
    } catch (error) {
      this.#fail(call, error);
    } finally {
      this.#encoding = false;
    }
  }

  /** @param {Call} call */
  #post(call) {
    const target = this.#wireTarget(call);
    let id = 0;
    call.number = this.broker.post((jellier) => {
      jellier.named = call.named;
      const args = jellier.items("args", call.args);
      const kw = jellier.items("kw", call.kw);
      id ||= call.only ? 0 : ++this.#last;
      return messageFrame(id, target, call.name, args, kw, this.#options(call));
    });
    // An accessor among the arguments may have ended the session.
    if (this.broker.over) throw deadReference();
    call.promise.id = id;
    if (!call.only) this.waiting.set(id, call);
    if (call.target instanceof RemotePromise) {
      call.named.push(call.target);
      if (!call.only) call.target.pipelined++;
    }
    // The peer has them now; the reference is kept until the answer comes.
    call.args = [];
    call.kw = {};
  }

  /** @param {Call} call */
  #wireTarget({ target, path }) {
    if (target.broker !== this.broker) throw deadReference();
    if (target instanceof RemoteReference) return this.broker.wireId(target);
    if (!target.id) throw deadReference();
    return path.length ? { $: "answer", id: target.id, path } : -target.id;
  }

  /** @param {Call} call */
  #options({ deadline }) {
    if (deadline === undefined) return {};
    const left = Math.max(0, deadline - this.broker.hooks.now());
    return { deadline: Math.round(left * 1000) / 1000 };
  }

  /**
   * The call that an answer belongs to; undefined when it is settled already.
   * @param {number} id
   */
  take(id) {
    const call = this.waiting.get(id);
    this.waiting.delete(id);
    return call;
  }

  /**
   * @param {Call} call
   * @param {() => any} decode the answer, or throw the failure
   */
  settle(call, decode) {
    call.stop();
    try {
      call.promise.fulfill(decode());
    } catch (error) {
      call.promise.fail(error);
    }
    this.#answered(call);
    this.pump();
  }

  /** @param {Call} call */
  #answered({ target, only }) {
    if (only || !(target instanceof RemotePromise) || --target.pipelined) return;
    for (const run of target.later.splice(0)) run();
  }

  /**
   * The session is over: every call ends, with what is known of it (section 6).
   * @param {string} text
   * @param {unknown} cause
   */
  end(text, cause) {
    const sent = [...this.waiting.values()].map((call) => ({ call, outcome: this.#outcome(call) }));
    this.waiting.clear();
    for (const { call, outcome } of sent) {
      this.#fail(call, new PBConnectionLost(text, { cause, outcome }));
      this.#answered(call);
    }
    for (let next = this.#held.shift(); next; next = this.#held.shift()) {
      if (typeof next === "function") continue;
      this.#fail(next, new PBConnectionLost(text, { cause, outcome: "not_executed" }));
    }
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
 * @param {number} id
 * @param {unknown} target
 * @param {string} name
 * @param {any[]} args
 * @param {object} kw
 * @param {object} opts
 */
function messageFrame(id, target, name, args, kw, opts) {
  const frame = ["message", id, target, name];
  const hasOpts = Object.keys(opts).length > 0;
  const hasKw = hasOpts || Object.keys(kw).length > 0;
  if (hasKw || args.length) frame.push(args);
  if (hasKw) frame.push(kw);
  if (hasOpts) frame.push(opts);
  return frame;
}
