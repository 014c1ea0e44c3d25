/**
 * The calls that the peer makes: accepted, started in order, cancelled, answered
 * (docs/protocol.md, section 1).
 *
 * @module
 */

import { breach, CancelledError, checkLimit, LimitExceeded, PBError, quote } from "./errors.js";
import { jellyFailure } from "./failures.js";
import { hasState } from "./flavors.js";
import { postJelly } from "./jelly.js";
import { ANSWERS } from "./limits.js";
import { invoke } from "./methods.js";
import { answerValue, checkDepth, newUnjellier, unjelly } from "./unjelly.js";

/** @typedef {import("./broker.js").Broker} Broker */
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */

/**
 * A call of the peer's; it is kept until its answer is acknowledged, as long as it can be named.
 * @typedef {object} PeerCall
 * @property {Broker} broker
 * @property {number} id
 * @property {Frame} frame
 * @property {import("./unjelly.js").Unjellier | undefined} unjellier none when no value can be tagged
 * @property {boolean} [started]
 * @property {boolean} pending
 * @property {boolean} [settled] whether it has its outcome, which may wait for room
 * @property {boolean} [rejected]
 * @property {unknown} [outcome] the result, or the error
 * @property {unknown} [target] an object
 * @property {PeerCall} [source] the call whose answer the target is, in place of that
 * @property {PeerCall[]} waiters calls that wait for the answer
 * @property {number} waits how many answers it waits for
 * @property {number} weight about how many characters its answer has, while that waits
 * @property {AbortController} [controller]
 * @property {number} [deadline] when it is cancelled, in seconds of the clock
 * @property {() => void} [stopTimer]
 */

/**
 * @param {Broker} broker
 * @param {Frame} frame
 * @param {Message} message that it came in
 */
export function accept(broker, frame, { tagged, deep, attachments }) {
  const [name, id, target] = frame;
  const isUpdate = name === "cachemessage";
  /** @type {PeerCall} */
  const call = {
    broker,
    id,
    frame,
    unjellier: tagged ? newUnjellier(broker, frame, attachments) : undefined,
    pending: true,
    waiters: [],
    waits: 0,
    weight: 0,
  };
  if (id) {
    if (id <= broker.lastAccepted) breach(`Request ${id} does not rise.`);
    broker.lastAccepted = id;
    broker.answers.set(id, call);
  }
  broker.running.add(call);
  try {
    if (!isUpdate) checkCalls(broker);
    checkLimits(call, deep);
    const isOwn = typeof target === "string" || target > 0;
    if (isUpdate) call.target = broker.imports.find(target);
    else if (isOwn) call.target = broker.exports.find(target);
    else call.source = broker.nameable(target.id ?? -target, frame);
    startOrWait(call);
    // The copy would not be what the original is, if it were refused before it has started.
    if (isUpdate && broker.running.has(call)) checkCalls(broker);
  } catch (error) {
    fail(call, error);
  }
}

/** @param {Broker} broker */
function checkCalls({ limits, running, backlog }) {
  checkLimit(limits, "calls", running.size);
  if (backlog > ANSWERS / 2) throw new LimitExceeded("calls: too many answers wait.");
}

/**
 * @param {PeerCall} call
 * @param {boolean} deep
 */
function checkLimits(call, deep) {
  const { broker, frame } = call;
  const { limits, hooks } = broker;
  if (deep) checkDepth(frame.slice(4, 6), 2, limits);
  const seconds = frame[6]?.deadline;
  if (seconds === undefined) return;
  const text = "The call was over its deadline.";
  if (seconds <= 0) throw new CancelledError(text);
  call.deadline = hooks.now() + seconds;
  call.stopTimer = hooks.timer(seconds, () => cancel(call, text));
}

/**
 * Start a call, or let it wait for the answers that it names.
 * @param {PeerCall} call
 */
function startOrWait(call) {
  const { source, unjellier, frame } = call;
  const [, , to, name, args = [], kw = {}] = frame;
  const values = unjellier ? unjelly(unjellier, args, kw) : [args, kw];
  const waits = new Set(unjellier?.waits);
  if (source?.pending) waits.add(source);
  for (const answer of waits) answer.waiters.push(call);
  call.waits = waits.size;
  if (call.waits) return;
  const target = source ? answerValue(source, to.path) : call.target;
  const result = invoke(call, target, name, values[0], values[1]);
  if (typeof result?.then !== "function") return answer(call, result);
  Promise.resolve(result).then(
    (value) => answer(call, value),
    (error) => fail(call, error),
  );
}

/**
 * @param {PeerCall} call
 * @param {unknown} value
 */
const answer = (call, value) => settle(call, value, false);

/**
 * If it has not started, what it brought is given back.
 * @param {PeerCall} call
 * @param {unknown} error
 */
function fail(call, error) {
  const { broker, frame, unjellier, settled } = call;
  if (!broker.running.has(call) || settled) return;
  if (!call.started) broker.giveBack(frame, unjellier?.introduced);
  report(call, error);
  settle(call, error, true);
}

/**
 * @param {PeerCall} call
 * @param {unknown} error
 */
function report({ broker, id, frame }, error) {
  if (!(error instanceof PBError) || !id) {
    broker.hooks.log(error, `the peer's call of ${quote(frame[3])}`);
  }
}

/**
 * The call has its outcome, which goes out in its turn.
 * @param {PeerCall} call
 * @param {unknown} outcome
 * @param {boolean} rejected
 */
function settle(call, outcome, rejected) {
  const { broker, id } = call;
  Object.assign(call, { outcome, rejected, settled: true });
  const { running, limits, line } = broker;
  if (id && !rejected && (line.length || !broker.hasRoom())) {
    const weight = weigh(outcome);
    if (broker.backlog && broker.backlog + weight > ANSWERS) {
      call.outcome = new LimitExceeded("answers: the call was executed, its answer had no room.");
      call.rejected = true;
    } else broker.backlog += call.weight = weight;
  }
  // What is more than may wait does not.
  if (!id || (rejected && running.size > limits.calls)) send(call);
  else line.push(send, call);
}

/** About how many characters a value has. @param {unknown} value */
function weigh(value) {
  let weight = 0;
  const parts = new Set([value]);
  try {
    for (const part of parts) {
      weight += 8;
      if (typeof part === "string") weight += part.length;
      else if (ArrayBuffer.isView(part)) weight += part.byteLength;
      else if (Array.isArray(part) || Object.getPrototypeOf(part ?? 0) === Object.prototype) {
        for (const inner of Object.values(/** @type {object} */ (part))) parts.add(inner);
      }
    }
  } catch {} // what cannot be read is found out when it is sent
  return weight;
}

/**
 * @param {PeerCall} call
 * @returns {false | void} false when there is no room for it
 */
function send(call) {
  const { broker, id, outcome, rejected } = call;
  if (!broker.running.has(call)) return;
  if (id && !rejected) {
    if (!broker.hasRoom()) return false;
    try {
      const isNull = outcome === null || outcome === undefined;
      postJelly(broker, isNull ? ["answer", id] : ["answer", id, outcome], id);
    } catch (error) {
      report(call, error);
      Object.assign(call, { outcome: error, rejected: true });
    }
  }
  if (id && call.rejected) sendError(call, call.outcome);
  end(call);
  if (call.rejected) broker.countViolation(call.outcome);
}

/**
 * What is wrong with an exception's state goes in its place.
 * @param {PeerCall} call
 * @param {unknown} error
 */
function sendError({ broker, id }, error) {
  try {
    if (hasState(error)) return void postJelly(broker, ["error", id, error], id);
  } catch (fault) {
    broker.hooks.log(fault, "the state of an error");
    error = fault;
  }
  broker.postSmall(["error", id, jellyFailure(error)], id);
}

/** @param {PeerCall} call */
function end(call) {
  const { broker } = call;
  if (!broker.running.delete(call)) return;
  broker.backlog -= call.weight;
  call.stopTimer?.();
  call.pending = false;
  call.frame = [];
  call.unjellier = undefined;
  for (const waiter of call.waiters.splice(0)) {
    if (--waiter.waits === 0) broker.ready.push(resume, waiter);
  }
}

/** What the call waited for is there. @param {PeerCall} call */
function resume(call) {
  if (!call.broker.running.has(call)) return;
  try {
    startOrWait(call);
  } catch (error) {
    fail(call, error);
  }
}

/**
 * The caller no longer wants an answer.
 * @param {Broker} broker
 * @param {Frame} frame
 */
export function cancelled(broker, [, id]) {
  if (id > broker.lastAccepted) breach(`Request ${id} was not made.`);
  const call = broker.answers.get(id);
  if (call?.pending) cancel(call, "The caller cancelled the call.");
}

/**
 * Stop the work as far as it can be stopped; what it gives is still the answer.
 * @param {PeerCall} call
 * @param {string} text
 */
function cancel(call, text) {
  const error = new CancelledError(text);
  if (call.started) call.controller?.abort(error);
  else fail(call, error);
}

/**
 * The session is over: what runs is cancelled, and what it gives is dropped.
 * @param {Broker} broker
 */
export function endPeerCalls({ running, answers }) {
  const calls = [...running];
  running.clear();
  answers.clear();
  for (const call of calls) {
    call.stopTimer?.();
    cancel(call, "The session ended.");
  }
}
