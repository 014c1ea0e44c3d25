/**
 * Exceptions to wire failures and back (docs/protocol.md, section 4).
 *
 * @module
 */

import {
  CancelledError,
  DeadReferenceError,
  InsecureJelly,
  LimitExceeded,
  NoSuchMethod,
  PBConnectionLost,
  PBError,
  ProtocolError,
  RemoteError,
  typeName,
  typeParents,
  UnauthorizedLogin,
} from "./errors.js";
import { cutText } from "./frames.js";

/** @typedef {Map<string, any>} Registry names of types, and the classes that stand for them here */

/** @typedef {abstract new (...args: any) => import("./flavors.js").Copyable} CopyableClass a class whose copies arrive */

/** @typedef {new () => import("./caching.js").RemoteCache} RemoteCacheClass a class of copies of caches */

/** @type {Registry} */
const OWN = new Map(
  [
    PBError,
    NoSuchMethod,
    InsecureJelly,
    DeadReferenceError,
    PBConnectionLost,
    CancelledError,
    LimitExceeded,
    UnauthorizedLogin,
    ProtocolError,
  ].map((type) => [type.pbType, type]),
);

/** @type {Registry} */
export const registry = new Map();

/**
 * From now on what is of this type at the peer is of the class `type` here: a copy, the copy of a
 * cache, which is made without arguments, or an exception, which is made with the message as its only
 * argument, should extend PBError, and gets the attributes that the peer's had.
 *
 * @param {string | Function} nameOrClass the type as the sender names it
 * @param {(new (message: string) => Error) | CopyableClass | RemoteCacheClass} type
 */
export function setUnjellyableForClass(nameOrClass, type) {
  registry.set(typeName(nameOrClass), type);
}

/**
 * What was thrown as a tagged value. It never throws, whatever was thrown.
 * @param {any} error
 */
export function jellyFailure(error) {
  let message = "The exception has no text.";
  /** @type {string[]} */
  let parents = [];
  try {
    const isError = error instanceof Error;
    message = String(isError ? error.message : error);
    /** @type {string[]} */
    const names = /** @type {any} */ (error).parents ?? typeParents(error.constructor);
    if (isError) parents = names.slice(0, 64).map((name) => cutText(name, 256));
  } catch {}
  if (!parents[0]) parents = ["Error"];
  return { $: "failure", type: parents[0], message: cutText(message, 1024), parents };
}

/**
 * The exception behind a failure: of the class registered for its type, else a RemoteError.
 * @param {Record<string, any>} tagged
 * @param {Registry} types
 * @param {(error: Error) => void} [fill] gives one of the very type its state
 * @returns {PBError}
 */
export function unjellyFailure(tagged, types, fill) {
  const { $, type, message, parents, traceback = null, outcome } = tagged;
  const texts = [type, message, traceback ?? ""].concat(parents);
  const isRight = $ === "failure" && Array.isArray(parents);
  if (!isRight || !texts.every((text) => typeof text === "string")) {
    throw new InsecureJelly("a failure lacks its type, message or parents");
  }
  const own = types.get(type);
  const known = own?.prototype instanceof Error ? own : (OWN.get(type) ?? RemoteError);
  const error = made(known, message);
  if (error.constructor === own) fill?.(error);
  if (error instanceof PBConnectionLost && outcome === "not_executed") error.outcome = outcome;
  return Object.assign(error, { message, type, parents, traceback });
}

/**
 * @param {any} known
 * @param {string} message
 */
function made(known, message) {
  try {
    return new known(message);
  } catch {
    return new RemoteError(message);
  }
}
