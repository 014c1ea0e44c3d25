/**
 * The calls that this side makes: sent, held back for room, cancelled, answered
 * (docs/protocol.md, sections 1 and 6).
 *
 * @module
 */

import { RemoteCacheObserver } from "./caching.js";
import { breach, CancelledError, deadReference, InsecureJelly, unsentCall } from "./errors.js";
import { unjellyFailure } from "./failures.js";
import { postJelly, snapshot } from "./jelly.js";
import { current, invoke } from "./methods.js";
import { RemotePromise } from "./promises.js";
import { RemoteReference } from "./references.js";
import { answerValue, checkDepth, newUnjellier, unjelly } from "./unjelly.js";

/** @typedef {import("./broker.js").Broker} Broker */
/** @typedef {RemoteReference<any> | RemotePromise<any> | RemoteCacheObserver} Target */
/** @typedef {ReturnType<typeof newCall>} Call */

/**
 * @typedef {import("./api.js").CallOptions & { relayed?: boolean }} Options `relayed`: when it is
 *   cancelled, its answer is still waited for, and passed on
 */

/**
 * One call of this side's.
 * @param {Target} target
 * @param {string} name
 * @param {Options} options
 * @param {boolean} only no answer is wanted
 */
const newCall = (target, name, { args = [], kw = {}, path = [] }, only) => ({
  broker: target.broker,
  promise: new RemotePromise(target.broker),
  target,
  name,
  args,
  kw,
  path,
  only,
  /** Whether it tells an observer of a change. */
  update: target instanceof RemoteCacheObserver,
  /** The number of its frame; 0 until it is sent. */
  number: 0,
  /** Promises whose answers its frame names. @type {RemotePromise<any>[]} */
  named: [],
  /** When it is cancelled, in seconds of the clock. */
  deadline: current?.deadline ?? Infinity,
  /** Stops waiting for the signal and the timeout. @type {(() => void) | undefined} */
  stop: undefined,
});

/**
 * @param {Target} target
 * @param {string} name
 * @param {Options} options
 * @param {boolean} [only]
 */
export function start(target, name, options, only = false) {
  const call = newCall(target, name, options, only);
  const { broker, promise } = call;
  if (target instanceof RemotePromise) target.handle();
  const { update } = call;
  if (update && !(/** @type {any} */ (target).id))
    breach("The peer was not given the state of the cache yet.");
  if (only || update) promise.handle();
  try {
    if (!(/** @type {any} */ (name)?.isWellFormed?.())) {
      throw new InsecureJelly("the method's name must be a string.");
    }
    if (broker.ending || /** @type {any} */ (target).released) throw unsentCall();
    limit(call, options);
    if (!update) broker.calls.push(admit, call);
    else {
      broker.line.push(send, call);
      // What waits is what was told: what is told next may hang on it.
      if (!call.number) [call.args, call.kw] = snapshot([call.args, call.kw]);
    }
  } catch (error) {
    finish(call, error, true);
  }
  return promise;
}

/**
 * Cancel the call when its signal or its timeout says so.
 * @param {Call} call
 * @param {Options} options
 */
function limit(call, { signal, timeout, relayed }) {
  const { hooks } = call.broker;
  const abort = () => cancel(call, "The call was cancelled.", relayed, signal?.reason);
  if (signal?.aborted) return abort();
  if (!signal && timeout === undefined) return;
  signal?.addEventListener("abort", abort);
  /** @type {(() => void) | undefined} */
  let stopTimer;
  call.stop = () => {
    signal?.removeEventListener("abort", abort);
    stopTimer?.();
  };
  if (timeout === undefined) return;
  const expire = () => cancel(call, `The call did not end within ${timeout} seconds.`);
  if (!(timeout > 0)) return expire();
  call.deadline = Math.min(call.deadline, hooks.now() + timeout);
  stopTimer = hooks.timer(timeout, expire);
}

/**
 * The promise is rejected at once; the peer is told, and its answer is still waited for.
 * @param {Call} call
 * @param {string} text
 * @param {boolean} [relayed]
 * @param {unknown} [cause]
 */
function cancel(call, text, relayed, cause) {
  const { broker, promise } = call;
  const isSent = broker.waiting.has(promise.id);
  if (!relayed || !isSent) finish(call, new CancelledError(text, { cause }), true);
  if (isSent) broker.postSmall(["cancel", promise.id]);
}

/**
 * @param {Call} call
 * @param {any} outcome
 * @param {boolean} [rejected]
 */
function finish({ broker, promise, target, name, only, update, stop }, outcome, rejected) {
  stop?.();
  // Nobody minds an update of a copy that is gone.
  const isGone = update && (broker.ending || /** @type {any} */ (target).released);
  if (rejected && promise.pending && (only || update) && !isGone) {
    const { log, timer } = broker.hooks;
    const tell = () => promise.awaited || log(outcome, `the call of ${name}`);
    if (only) tell();
    else timer(0, tell);
  }
  promise.settle(outcome, rejected);
}

/**
 * @param {Call} call
 * @returns {false | void} false when as many as the peer allows are not answered
 */
function admit(call) {
  const { broker, promise, only } = call;
  if (!promise.pending) return;
  const { waiting, admitted, peer } = broker;
  if (!only && !broker.ending && waiting.size + admitted >= peer.limits.calls) return false;
  if (!only) broker.admitted++;
  broker.line.push(send, call);
}

/**
 * @param {Call} call
 * @returns {false | void} false when there is no room for it
 */
function send(call) {
  const { broker, promise, only, update } = call;
  if (promise.pending && !broker.ending && !broker.hasRoom()) return false;
  if (promise.pending) dispatch(call);
  if (only || update) return;
  broker.admitted--;
  broker.calls.move();
}

/** @param {Call} call */
function dispatch(call) {
  const { broker, target, update } = call;
  try {
    if (broker.ending) throw broker.lost("not_executed");
    if (update && /** @type {any} */ (target).released) throw deadReference();
    if (!isLocal(call)) post(call);
  } catch (error) {
    finish(call, error, true);
  }
}

/**
 * A call on an answer that is there is one on what was answered. If that is an object of this
 * side's, or of another session's, the call does not go to the peer.
 * @param {Call} call
 */
function isLocal(call) {
  const { broker, target } = call;
  if (!(target instanceof RemotePromise) || target.pending) return false;
  const value = answerValue(target, call.path);
  const isRemote = value instanceof RemoteReference && value.broker === broker;
  if (isRemote) call.target = value;
  else callLocal(call, target, value);
  return !isRemote;
}

/**
 * It waits for the calls that came before it through the peer, so that order holds.
 * @param {Call} call
 * @param {RemotePromise<any>} target
 * @param {unknown} value
 */
function callLocal(call, target, value) {
  const { promise, name, args, kw } = call;
  const run = async () => {
    try {
      if (promise.pending) finish(call, await invoke({}, value, name, args, kw));
    } catch (error) {
      finish(call, error, true);
    }
  };
  if (!target.pipelined) return void Promise.resolve().then(run);
  target.later ??= [];
  target.later.push(run);
}

/** @param {Call} call */
function post(call) {
  const { broker, promise, target, name, args, kw, only, update, deadline } = call;
  const to = wireTarget(call);
  const id = only ? 0 : ++broker.lastRequest;
  /** @type {any[]} */
  const frame = [update ? "cachemessage" : "message", id, to, name];
  // Empty items at the end are left out (section 1).
  if (deadline < Infinity && !update) {
    const left = Math.max(0, deadline - broker.hooks.now());
    frame.push(args, kw, { deadline: +left.toFixed(3) });
  } else if (Object.keys(kw).length) frame.push(args, kw);
  else if (args.length) frame.push(args);
  call.number = postJelly(broker, frame, 0, call.named);
  // An accessor among the arguments may have ended the session.
  if (broker.ending) throw deadReference();
  promise.id = id;
  if (only) finish(call, undefined);
  else broker.waiting.set(id, call);
  if (target instanceof RemotePromise) {
    call.named.push(target);
    if (!only) target.pipelined++;
  }
  // The peer has them now; the reference is kept until the answer comes.
  call.args = [];
  call.kw = {};
}

/** @param {Call} call */
function wireTarget({ broker, target, path }) {
  if (target instanceof RemoteReference) return broker.imports.idOf(target.held);
  if (!target.id) throw deadReference();
  if (target instanceof RemoteCacheObserver) return target.id;
  return path.length ? { $: "answer", id: target.id, path } : -target.id;
}

/**
 * An `answer` or `error` of the peer's. With one that is settled already, it is given back.
 * @param {Broker} broker
 * @param {import("./frames.js").Frame} frame
 * @param {import("./frames.js").Message} message that it came in
 */
export function answered(broker, frame, { tagged, deep, attachments }) {
  const [name, id, value = null] = frame;
  if (id > broker.lastRequest) breach(`Request ${id} was not made.`);
  const call = broker.waiting.get(id);
  const unjellier = tagged ? newUnjellier(broker, frame, attachments) : undefined;
  let rejected = name === "error" || !call?.promise.pending;
  let outcome = value;
  /** @type {unknown} */
  let refused;
  broker.waiting.delete(id);
  try {
    if (name === "error" && value.$ !== "failure") unjellyFailure(value, broker.types);
    if (name === "error" || !rejected) {
      if (deep) checkDepth([value], 1, broker.limits);
      if (unjellier) [outcome] = unjelly(unjellier, value);
    }
  } catch (error) {
    refused = outcome = error;
    rejected = true;
  }
  // An exception brings references only in a state that was taken.
  const isTaken = !refused && call?.promise.pending && unjellier?.introduced.length;
  if (rejected && !isTaken) broker.giveBack(frame, unjellier?.introduced);
  broker.countViolation(refused);
  if (!call) return;
  finish(call, outcome, rejected);
  free(call);
  broker.calls.move();
}

/** Its target need not wait for it any longer. @param {Call} call */
function free({ target }) {
  if (!(target instanceof RemotePromise) || --target.pipelined) return;
  for (const run of target.later?.splice(0) ?? []) run();
}

/**
 * The session is over: every call ends, with what is known of it (section 6).
 * @param {Broker} broker
 */
export function endCalls(broker) {
  // The last first: what a call names is then as it was.
  const calls = [...broker.waiting.values()].reverse();
  broker.waiting.clear();
  for (const call of calls) {
    const isOpen = call.named.some((promise) => promise.pending);
    finish(call, broker.lost(broker.link.outcomeOf(call.number, isOpen)), true);
    free(call);
  }
  broker.calls.move();
}
