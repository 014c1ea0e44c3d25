/**
 * The calls that the peer makes: accepted, started in order, cancelled, answered
 * (docs/protocol.md, section 1).
 *
 * @module
 */

import { CancelledError, deadReference, LimitExceeded, PBError, ProtocolError } from "./errors.js";
import { jellyFailure } from "./failures.js";
import { findMethod } from "./flavors.js";
import { Queue } from "./queue.js";
import { RemoteReference } from "./references.js";
import { answerValue, checkDepth, Unjellier } from "./unjelly.js";

/** @typedef {import("./frames.js").Frame} Frame */

/** A call of the peer's; it is kept until its answer is acknowledged, as long as it can be named. */
class PeerCall {
  settled = false;
  failed = false;
  /** The result, or the error. @type {unknown} */
  outcome = undefined;
  /** The number of the answer's frame. */
  number = 0;
  started = false;
  /** An object, or the call whose answer it is. @type {unknown} */
  target = undefined;
  /** Calls that wait for the answer. @type {PeerCall[]} */
  waiters = [];
  /** How many answers it waits for. */
  waits = 0;
  /** @type {AbortController | undefined} */
  controller = undefined;
  /** The call that it is relayed as. @type {import("./promises.js").RemotePromise<any> | undefined} */
  relayed = undefined;
  /** When it is cancelled, in seconds of the clock. @type {number | undefined} */
  deadline = undefined;
  stopTimer = () => {};

  /**
   * @param {Frame} frame
   * @param {Unjellier | null} unjellier null when no value can be tagged
   */
  constructor(frame, unjellier) {
    this.id = /** @type {number} */ (frame[1]);
    this.frame = frame;
    this.unjellier = unjellier;
  }
}

/** The call that is being started. @type {{ controller?: AbortController | undefined } | undefined} */
let starting;

/**
 * While a remote method starts, before its first `await`: the signal that is aborted when the
 * caller no longer wants the answer, when its deadline has passed, or when the session is over.
 *
 * @returns {AbortSignal}
 */
export function callSignal() {
  if (!starting) {
    throw new PBError("callSignal() must be called by a remote method before its first await.");
  }
  starting.controller ??= new AbortController();
  return starting.controller.signal;
}

/**
 * @param {{ controller?: AbortController | undefined }} call
 * @param {unknown} target
 * @param {string} name
 * @param {any[]} args
 * @param {Record<string, any>} kw keyword arguments are one more argument here
 */
export function invoke(call, target, name, args, kw) {
  const method = findMethod(Object(target), name);
  const self = typeof target === "function" ? undefined : target;
  return () => {
    const outer = starting;
    starting = call;
    try {
      return method.apply(self, Object.keys(kw).length ? [...args, kw] : args);
    } finally {
      starting = outer;
    }
  };
}

/**
 * Stop the work as far as it can be stopped; what it gives is still the answer.
 * @param {PeerCall} call
 * @param {CancelledError} error
 */
function stop(call, error) {
  call.controller?.abort(error);
  call.relayed?.broker.outgoing.passCancel(call.relayed, error);
  call.relayed = undefined;
}

export class Incoming {
  /** Those that can be named. @type {Map<number, PeerCall>} */
  #nameable = new Map();
  /** Those in progress. @type {Set<PeerCall>} */
  #running = new Set();
  /** Answered, and not acknowledged. @type {Queue<PeerCall>} */
  #answered = new Queue();
  /** Results that wait for room. @type {Queue<{ call: PeerCall, value: unknown }>} */
  #held = new Queue();
  /** Waited for answers, which are there now. @type {Queue<PeerCall>} */
  #ready = new Queue();
  #resuming = false;
  #last = 0;
  /** The newest call, which cannot name its own answer. */
  #entering = 0;

  /** @param {import("./broker.js").Broker} broker */
  constructor(broker) {
    this.broker = broker;
  }

  get running() {
    return this.#running.size;
  }

  get nameable() {
    return this.#nameable.size;
  }

  /**
   * @param {Frame} frame
   * @param {import("./frames.js").Message} message that it came in
   */
  accept(frame, message) {
    const call = this.#enter(frame, message);
    try {
      this.#checkLimits(call);
      if (frame[0] !== "message") throw deadReference();
      call.target = this.#findTarget(frame[2]);
      const values = this.#values(call);
      if (!this.#mustWait(call)) this.#start(call, ...values);
    } catch (error) {
      this.#refuse(call, error);
    }
  }

  /**
   * @param {Frame} frame
   * @param {import("./frames.js").Message} message
   */
  #enter(frame, { tagged, attachments }) {
    const id = frame[1];
    this.#entering = id;
    if (id && id <= this.#last) {
      throw new ProtocolError(`The request id ${id} does not rise: ${this.#last} was used.`);
    }
    const unjellier = tagged ? new Unjellier(this.broker, frame, attachments, true) : null;
    const call = new PeerCall(frame, unjellier);
    if (id) {
      this.#last = id;
      this.#nameable.set(id, call);
    }
    this.#running.add(call);
    return call;
  }

  /** @param {PeerCall} call */
  #checkLimits(call) {
    const { limits, hooks } = this.broker;
    const [, , , , args, kw, opts] = call.frame;
    if (this.#running.size > limits.calls) {
      throw new LimitExceeded(`calls: more than ${limits.calls} calls are in progress.`);
    }
    checkDepth(args, 1, limits.depth);
    checkDepth(kw, 1, limits.depth);
    const deadline = opts?.deadline;
    if (deadline === undefined) return;
    const text = "The call was over its deadline.";
    if (deadline <= 0) throw new CancelledError(text);
    call.deadline = hooks.now() + deadline;
    call.stopTimer = hooks.timer(deadline, () => this.#cancel(call, text));
  }

  /** @param {any} target */
  #findTarget(target) {
    if (typeof target === "string" || target > 0) return this.broker.exports.find(target);
    return this.find(target.id ?? -target);
  }

  /**
   * The call with this id, whose answer is named.
   * @param {number} id
   */
  find(id) {
    const call = this.#nameable.get(id);
    if (!call || id === this.#entering) throw deadReference();
    return call;
  }

  /**
   * The arguments; those that wait for answers are undefined as long as these are not there.
   * @param {PeerCall} call
   * @returns {[any[], Record<string, any>]}
   */
  #values({ frame, unjellier }) {
    const [, , , , args = [], kw = {}] = frame;
    return unjellier ? [unjellier.root(args), unjellier.fields(kw)] : [args, kw];
  }

  /** @param {PeerCall} call */
  #mustWait(call) {
    const waits = /** @type {Set<PeerCall>} */ (new Set(call.unjellier?.waits));
    if (call.target instanceof PeerCall && !call.target.settled) waits.add(call.target);
    for (const answer of waits) answer.waiters.push(call);
    call.waits = waits.size;
    return call.waits > 0;
  }

  /**
   * @param {PeerCall} call
   * @param {any[]} args
   * @param {Record<string, any>} kw
   */
  #start(call, args, kw) {
    const [, , path, name] = call.frame;
    const { target: given } = call;
    const target = given instanceof PeerCall ? answerValue(given, path.path ?? []) : given;
    const run =
      target instanceof RemoteReference
        ? () => this.#relay(call, target, args, kw)
        : invoke(call, target, name, args, kw);
    call.started = true;
    try {
      const result = run();
      if (typeof result?.then !== "function") return this.#answer(call, result);
      Promise.resolve(result).then(
        (value) => this.#answer(call, value),
        (error) => this.#raise(call, error),
      );
    } catch (error) {
      this.#raise(call, error);
    }
  }

  /**
   * The target is an object of the peer's, or of another session's (section 3).
   * @param {PeerCall} call
   * @param {RemoteReference<any>} target
   * @param {any[]} args
   * @param {Record<string, any>} kw
   */
  #relay(call, target, args, kw) {
    const name = call.frame[3];
    if (!call.id) return target.broker.callRemoteOnly(target, name, { args, kw });
    const options = { args, kw, deadline: call.deadline };
    call.relayed = target.broker.callRemote(target, name, options);
    return call.relayed;
  }

  /**
   * @param {PeerCall} call
   * @param {unknown} value
   */
  #answer(call, value) {
    if (!this.#running.has(call)) return;
    if (!call.id) this.#done(call);
    else if (this.#held.length || !this.broker.link.hasRoom()) this.#held.push({ call, value });
    else this.#sendAnswer(call, value);
  }

  /**
   * @param {PeerCall} call
   * @param {unknown} value
   */
  #sendAnswer(call, value) {
    try {
      call.number = this.broker.post((jellier) => {
        const result = jellier.root("result", value) ?? null;
        return result === null ? ["answer", call.id] : ["answer", call.id, result];
      });
      call.outcome = value;
    } catch (error) {
      return this.#raise(call, error);
    }
    this.#done(call);
  }

  /** Send the results that were held back, as far as there is room. */
  pump() {
    while (this.#held.length && this.broker.link.hasRoom()) {
      const { call, value } = /** @type {any} */ (this.#held.shift());
      if (this.#running.has(call)) this.#sendAnswer(call, value);
    }
  }

  /**
   * The call does not start: what it brought is given back.
   * @param {PeerCall} call
   * @param {unknown} error
   */
  #refuse(call, error) {
    this.broker.giveBack(call.frame, call.unjellier?.introduced);
    this.#raise(call, error);
  }

  /**
   * @param {PeerCall} call
   * @param {unknown} error
   */
  #raise(call, error) {
    if (!this.#running.has(call)) return;
    if (!(error instanceof PBError) || !call.id) {
      const name = JSON.stringify(String(call.frame[3]).slice(0, 64));
      this.broker.hooks.log(error, `the peer's call of ${name}`);
    }
    if (call.id) {
      call.number = this.broker.postSmall(["error", call.id, jellyFailure(error)]);
    }
    call.failed = true;
    call.outcome = error;
    this.#done(call);
    this.broker.countViolation(error);
  }

  /** @param {PeerCall} call */
  #done(call) {
    this.#running.delete(call);
    call.stopTimer();
    call.settled = true;
    call.frame = [];
    call.unjellier = null;
    if (call.id) this.#answered.push(call);
    for (const waiter of call.waiters.splice(0)) {
      if (--waiter.waits === 0) this.#ready.push(waiter);
    }
    this.#resume();
  }

  /** Start what waited; a loop and no recursion, however long the chain of calls is. */
  #resume() {
    if (this.#resuming) return;
    this.#resuming = true;
    for (let call = this.#ready.shift(); call; call = this.#ready.shift()) {
      if (!this.#running.has(call)) continue;
      try {
        this.#start(call, ...this.#values(call));
      } catch (error) {
        this.#refuse(call, error);
      }
    }
    this.#resuming = false;
  }

  /**
   * The caller no longer wants an answer.
   * @param {number} id
   */
  cancelled(id) {
    if (id > this.#last) throw new ProtocolError(`A cancel of request ${id}, which was not made.`);
    const call = this.#nameable.get(id);
    if (call && !call.settled) this.#cancel(call, "The caller cancelled the call.");
  }

  /**
   * @param {PeerCall} call
   * @param {string} text
   */
  #cancel(call, text) {
    if (!call.started) this.#refuse(call, new CancelledError(text));
    else stop(call, new CancelledError(text));
  }

  /**
   * The peer has what was sent up to this frame: those answers can no longer be named.
   * @param {number} number
   */
  acknowledged(number) {
    for (let call = this.#answered.peek(); call && call.number <= number; ) {
      this.#nameable.delete(call.id);
      this.#answered.shift();
      call = this.#answered.peek();
    }
  }

  /** The session is over: what runs is cancelled, and what it gives is dropped. */
  end() {
    const running = [...this.#running];
    this.#running.clear();
    this.#nameable.clear();
    for (const call of running) {
      call.stopTimer();
      stop(call, new CancelledError("The session is over."));
    }
  }
}
