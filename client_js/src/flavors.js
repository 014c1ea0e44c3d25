/**
 * What an object is when it crosses: a flavor. Only flavors, functions and plain data do.
 *
 * @module
 */

import { InsecureJelly } from "./errors.js";

/**
 * An object that stays where it is: the peer gets a RemoteReference and can call what is named
 * `remote_…` on its class.
 */
export class Referenceable {}

/** The object that a peer starts from; a connection publishes it under the name "root". */
export class Root extends Referenceable {
  /**
   * The object to publish on `connection`; a class may give each its own.
   * @param {unknown} _connection
   * @returns {Referenceable}
   */
  rootObject(_connection) {
    return this;
  }
}

/**
 * An object that crosses by value: the peer gets a copy, of the class that it registered for the
 * type, which is the static `pbType` or else the class's name. What arrives is made by the static
 * `fromState(state)` of the class that is registered here; one that has none is made without its
 * constructor, and gets the attributes.
 */
export class Copyable {
  /** What the peer gets to see, any value that can cross: the attributes, if the class does not say. @returns {any} */
  toState() {
    return { ...this };
  }
}

/** Whether an exception has more than a text to send. @param {any} error */
export const hasState = (error) => error instanceof Error && "toState" in error;

/**
 * What came as the state of an object: a peer may set attributes, and hide nothing of the class's.
 * @param {any} object
 * @param {any} attributes
 */
export function setAttributes(object, attributes) {
  if (Object.getPrototypeOf(attributes ?? 0) !== Object.prototype) {
    throw new InsecureJelly("the state of a copy must be an object");
  }
  const inherited = Object.getPrototypeOf(object);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in inherited && typeof inherited[key] !== "string") {
      throw new InsecureJelly(
        `the state of a copy cannot have ${JSON.stringify(key.slice(0, 64))}`,
      );
    }
    object[key] = value;
  }
}
