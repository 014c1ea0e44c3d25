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
} from "./errors.js";
import { cutText } from "./frames.js";

/** @typedef {Map<string, Function>} Registry names of exceptions' types, and the classes that they are raised as here */

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
    ProtocolError,
  ].map((type) => [type.pbType, type]),
);

/** @type {Registry} */
export const registry = new Map();

/**
 * From now on an exception of the peer's with this type is raised as `type` here.
 * `type` is made with the message as its only argument, and should extend PBError.
 *
 * @param {string | Function} nameOrClass the type as the sender names it
 * @param {new (message: string) => Error} type
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
    if (isError) parents = names.map((name) => cutText(name, 256));
  } catch {}
  if (!parents[0]) parents = ["Error"];
  return { $: "failure", type: parents[0], message: cutText(message, 1024), parents };
}

/**
 * The exception behind a failure: of the class registered for its type, else a RemoteError.
 * @param {Record<string, any>} tagged
 * @param {Registry} types
 * @returns {PBError}
 */
export function unjellyFailure({ $, type, message, parents, traceback = null }, types) {
  const texts = [type, message, traceback ?? ""].concat(parents);
  const isRight = $ === "failure" && Array.isArray(parents);
  if (!isRight || !texts.every((text) => typeof text === "string")) {
    throw new InsecureJelly("a failure lacks its type, message or parents");
  }
  const told = { type, parents, traceback };
  const known = /** @type {any} */ (types.get(type) ?? OWN.get(type) ?? RemoteError);
  try {
    return Object.assign(new known(message), told);
  } catch {
    return Object.assign(new RemoteError(message), told);
  }
}
