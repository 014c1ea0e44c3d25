/**
 * The calls that the peer makes: accepted, started in order, cancelled, answered
 * (docs/protocol.md, section 1).
 *
 * @module
 */

import { breach, CancelledError, deadReference, overLimit, PBError } from "./errors.js";
import { jellyFailure } from "./failures.js";
import { findMethod } from "./flavors.js";
import { handling } from "./outgoing.js";
import { Line } from "./queue.js";
import { RemoteReference } from "./references.js";
import { answerValue, checkDepth, Unjellier } from "./unjelly.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */

/**
 * A call of the peer's; it is kept until its answer is acknowledged, as long as it can be named.
 * @typedef {object} PeerCall
 * @property {number} id
 * @property {Frame} frame
 * @property {Unjellier | null} unjellier null when no value can be tagged
 * @property {boolean} started
 * @property {boolean} settled
 * @property {boolean} failed
 * @property {unknown} [outcome] the result, or the error
 * @property {unknown} [target] an object
 * @property {PeerCall} [source] the call whose answer the target is, in place of that
 * @property {PeerCall[]} waiters calls that wait for the answer
 * @property {number} waits how many answers it waits for
 * @property {AbortController} [controller]
 * @property {import("./promises.js").RemotePromise<any>} [relayed] as which it is relayed
 * @property {number} [deadline] when it is cancelled, in seconds of the clock
 * @property {() => void} stopTimer
 */

/**
 * @param {Frame} frame
 * @param {Unjellier | null} unjellier
 * @returns {PeerCall}
 */
const newCall = (frame, unjellier) => ({
  id: frame[1],
  frame,
  unjellier,
  started: false,
  settled: false,
  failed: false,
  waiters: [],
  waits: 0,
  stopTimer() {},
});

/**
 * While a remote method starts, before its first `await`: the signal that is aborted when the
 * caller no longer wants the answer, when its deadline has passed, or when the session is over.
 *
 * @returns {AbortSignal}
 */
export function callSignal() {
  const call = handling.call;
  if (!call) {
    throw new PBError("callSignal() must be called by a method before its first await.");
  }
  call.controller ??= new AbortController();
  return call.controller.signal;
}

/**
 * The call of a method, to be started.
 * @param {{ controller?: AbortController | undefined }} call
 * @param {unknown} target
 * @param {string} name
 * @param {any[]} args
 * @param {Record<string, any>} kw keyword arguments are one more argument here
 */
export function invocation(call, target, name, args, kw) {
  const method = findMethod(target, name);
  const self = method === target ? undefined : target;
  return () => {
    const outer = handling.call;
    handling.call = call;
    try {
      return method.apply(self, Object.keys(kw).length ? [...args, kw] : args);
    } finally {
      handling.call = outer;
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
  nameable = new Map();
  /** Those in progress. @type {Set<PeerCall>} */
  running = new Set();
  /** Those whose results wait for room. @type {Line<PeerCall>} */
  held = new Line(
    (call) => this.#sendAnswer(call),
    () => this.broker.link.hasRoom(),
  );
  /** Those that waited for answers, which are there now. @type {Line<PeerCall>} */
  #ready = new Line((call) => this.#tryStart(call));
  #last = 0;
  /** The newest call, which cannot name its own answer. */
  #entering = 0;

  /** @param {import("./broker.js").Broker} broker */
  constructor(broker) {
    this.broker = broker;
  }

  /**
   * @param {Frame} frame
   * @param {Message} message that it came in
   */
  accept(frame, message) {
    const [name, id, target] = frame;
    if (id && id <= this.#last) breach(`Request ${id} does not rise.`);
    const { attachments, tagged } = message;
    const call = newCall(frame, tagged ? new Unjellier(this.broker, frame, attachments) : null);
    this.#entering = id;
    if (id) this.nameable.set(id, call);
    this.#last = id || this.#last;
    this.running.add(call);
    try {
      this.#checkLimits(call, message);
      if (name !== "message") throw deadReference();
      const isOwn = typeof target === "string" || target > 0;
      if (isOwn) call.target = this.broker.exports.find(target);
      else call.source = this.find(target.id ?? -target);
      this.#startOrWait(call);
    } catch (error) {
      this.#refuse(call, error);
    }
  }

  /**
   * @param {PeerCall} call
   * @param {Message} message
   */
  #checkLimits(call, { deep }) {
    const { limits, hooks } = this.broker;
    const { frame } = call;
    if (this.running.size > limits.calls) throw overLimit("calls", limits.calls);
    if (deep) checkDepth(frame.slice(4, 6), 2, limits.depth);
    const seconds = frame[6]?.deadline ?? Infinity;
    if (seconds === Infinity) return;
    const text = "The call was over its deadline.";
    if (seconds <= 0) throw new CancelledError(text);
    call.deadline = hooks.now() + seconds;
    call.stopTimer = hooks.timer(seconds, () => this.#cancel(call, text));
  }

  /**
   * The call with this id, whose answer is named.
   * @param {number} id
   */
  find(id) {
    const call = this.nameable.get(id);
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
  #startOrWait(call) {
    const [args, kw] = this.#values(call);
    const { source, unjellier } = call;
    const waits = /** @type {Set<PeerCall>} */ (new Set(unjellier?.waits));
    if (source && !source.settled) waits.add(source);
    for (const answer of waits) answer.waiters.push(call);
    call.waits = waits.size;
    if (!call.waits) this.#start(call, args, kw);
  }

  /** @param {PeerCall} call */
  #tryStart(call) {
    if (!this.running.has(call)) return;
    try {
      this.#startOrWait(call);
    } catch (error) {
      this.#refuse(call, error);
    }
  }

  /**
   * @param {PeerCall} call
   * @param {any[]} args
   * @param {Record<string, any>} kw
   */
  #start(call, args, kw) {
    const [, , { path }, name] = call.frame;
    const target = call.source ? answerValue(call.source, path) : call.target;
    const run =
      target instanceof RemoteReference
        ? () => this.#relay(call, target, args, kw)
        : invocation(call, target, name, args, kw);
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
    const options = { args, kw, deadline: call.deadline };
    const promise = target.broker.outgoing.start(target, call.frame[3], options, !call.id);
    if (!call.id) return undefined;
    call.relayed = promise;
    return promise;
  }

  /**
   * @param {PeerCall} call
   * @param {unknown} value
   */
  #answer(call, value) {
    if (!this.running.has(call)) return;
    call.outcome = value;
    if (call.id) this.held.push(call);
    else this.#done(call);
  }

  /** @param {PeerCall} call */
  #sendAnswer(call) {
    if (!this.running.has(call)) return;
    try {
      this.broker.post((jellier) => {
        const value = jellier.result(call.outcome) ?? null;
        return value === null ? ["answer", call.id] : ["answer", call.id, value];
      }, call);
    } catch (error) {
      return this.#raise(call, error);
    }
    this.#done(call);
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
    if (!this.running.has(call)) return;
    if (!(error instanceof PBError) || !call.id) {
      const name = JSON.stringify(call.frame[3].slice(0, 64));
      this.broker.hooks.log(error, `the peer's call of ${name}`);
    }
    if (call.id) this.broker.postSmall(["error", call.id, jellyFailure(error)], call);
    call.failed = true;
    call.outcome = error;
    this.#done(call);
    this.broker.countViolation(error);
  }

  /** @param {PeerCall} call */
  #done(call) {
    this.running.delete(call);
    call.stopTimer();
    call.settled = true;
    call.frame = [];
    call.unjellier = null;
    for (const waiter of call.waiters.splice(0)) {
      if (--waiter.waits === 0) this.#ready.push(waiter);
    }
  }

  /**
   * The caller no longer wants an answer.
   * @param {number} id
   */
  cancelled(id) {
    if (id > this.#last) breach(`Request ${id} was not made.`);
    const call = this.nameable.get(id);
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

  /** The session is over: what runs is cancelled, and what it gives is dropped. */
  end() {
    const running = [...this.running];
    this.running.clear();
    this.nameable.clear();
    for (const call of running) {
      call.stopTimer();
      stop(call, new CancelledError("The session ended."));
    }
  }
}
