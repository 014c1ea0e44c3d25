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

/** The name of an exception's type and the class that it is raised as here. @typedef {Map<string, Function>} Registry */

/** @type {Registry} */
const OWN = new Map();
for (const type of [
  PBError,
  NoSuchMethod,
  InsecureJelly,
  DeadReferenceError,
  PBConnectionLost,
  CancelledError,
  LimitExceeded,
  ProtocolError,
]) {
  OWN.set(type.pbType, type);
}

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

/** Bytes of a message that are sent. */
const MESSAGE_BYTES = 1024;

/**
 * What was thrown as a tagged value. It never throws, whatever was thrown.
 * @param {unknown} error
 */
export function jellyFailure(error) {
  const { type, parents } = typesOf(error);
  return { $: "failure", type, message: cutText(messageOf(error), MESSAGE_BYTES), parents };
}

/** @param {unknown} error */
function typesOf(error) {
  try {
    if (error instanceof PBError) {
      const parents = error.parents.map(cutName);
      return { type: cutName(error.type), parents };
    }
    if (error instanceof Error) {
      const parents = typeParents(error.constructor).map(cutName);
      if (parents[0]) return { type: parents[0], parents };
    }
  } catch {}
  return { type: "Error", parents: ["Error"] };
}

/** @param {string} name */
const cutName = (name) => cutText(String(name), 256);

/** @param {any} error */
function messageOf(error) {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "The exception has no text: making it raised another one.";
  }
}

/**
 * The exception behind a failure: of the class registered for its type, else a RemoteError.
 * @param {Record<string, any>} tagged
 * @param {Registry} types
 * @returns {PBError}
 */
export function unjellyFailure({ $, type, message, parents, traceback = null }, types) {
  const texts = [type, message, ...(Array.isArray(parents) ? parents : [null])];
  if (traceback !== null) texts.push(traceback);
  if ($ !== "failure" || !texts.every((text) => typeof text === "string")) {
    throw new InsecureJelly("a failure lacks its type, message or parents, or they are no strings");
  }
  const told = { type, parents, traceback };
  const known = /** @type {any} */ (types.get(type) ?? OWN.get(type) ?? RemoteError);
  try {
    return Object.assign(new known(message), told);
  } catch {
    return Object.assign(new RemoteError(message), told);
  }
}
