/**
 * What a name from the wire calls on an object, and how that gets control: with its call's signal
 * and deadline at hand.
 *
 * @module
 */

import { RemoteCache } from "./caching.js";
import { NoSuchMethod, PBError, quote } from "./errors.js";
import { Referenceable } from "./flavors.js";
import { RemoteReference } from "./references.js";

/**
 * A call that gets control here.
 * @typedef {object} Invocation
 * @property {number} [id] 0 when no answer is wanted
 * @property {AbortController} [controller]
 * @property {number} [deadline] when it is cancelled, in seconds of the clock
 * @property {boolean} [started]
 */

/**
 * The call that is being started: calls made before its first `await` are made on its behalf and
 * inherit its deadline. After that nothing tells whose they are; pass `callSignal()`.
 * @type {Invocation | undefined}
 */
export let current;

/**
 * While a remote method starts, before its first `await`: the signal that is aborted when the
 * caller no longer wants the answer, when its deadline has passed, or when the session is over.
 *
 * @returns {AbortSignal}
 */
export function callSignal() {
  if (!current) {
    throw new PBError("callSignal() must be called by a method before its first await.");
  }
  current.controller ??= new AbortController();
  return current.controller.signal;
}

/**
 * Call a method of an object of this side's, or relay the call to the owner of a reference.
 * @param {Invocation} call
 * @param {unknown} target
 * @param {string} name
 * @param {any[]} args
 * @param {Record<string, any>} kw keyword arguments are one more argument here
 */
export function invoke(call, target, name, args, kw) {
  const method = target instanceof RemoteReference ? null : findMethod(target, name);
  const outer = current;
  current = call;
  call.started = true;
  try {
    if (!method) return relay(call, /** @type {any} */ (target), name, { args, kw });
    const self = method === target ? undefined : target;
    return method.apply(self, Object.keys(kw).length ? [...args, kw] : args);
  } finally {
    current = outer;
  }
}

/**
 * @param {Invocation} call
 * @param {RemoteReference<any>} target
 * @param {string} name
 * @param {import("./api.js").CallOptions} options
 */
const relay = ({ id }, target, name, options) =>
  target.broker.start(target, name, { ...options, signal: callSignal(), relayed: true }, id === 0);

/**
 * The function behind a method's name. Only functions that a class below Referenceable or
 * RemoteCache declares with the prefix are found, never properties, accessors or what every object has.
 *
 * @param {unknown} object a Referenceable, a RemoteCache, or a function, whose only method is `call`
 * @param {string} name without the prefix
 * @returns {Function}
 */
export function findMethod(object, name) {
  let hint = "data has no methods";
  if (typeof object === "function") {
    if (name === "call") return object;
    hint = 'a function\'s only method is "call"';
  } else if (object instanceof Referenceable || object instanceof RemoteCache) {
    const prefix = object instanceof Referenceable ? "remote_" : "observe_";
    const found = /^[A-Za-z_]\w{0,63}$/.test(name) && declared(object, prefix + name)?.value;
    if (typeof found === "function") return found;
    hint = `its class must declare it as ${prefix}…`;
  }
  throw new NoSuchMethod(`No such method: ${quote(name)}; ${hint}.`);
}

/**
 * @param {object} object
 * @param {string} name
 * @returns {PropertyDescriptor | undefined}
 */
function declared(object, name) {
  const up = Object.getPrototypeOf(object);
  if (!up || up === Referenceable.prototype || up === RemoteCache.prototype) return undefined;
  return Object.getOwnPropertyDescriptor(up, name) ?? declared(up, name);
}
