/**
 * What an object is when it crosses: a flavor. Only flavors, functions and plain data do.
 *
 * @module
 */

import { NoSuchMethod } from "./errors.js";

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

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/**
 * The function behind a method's name. Only functions that a class below Referenceable declares
 * with the prefix are found, never properties, accessors or what every object has.
 *
 * @param {object} object a Referenceable, or a function, whose only method is `call`
 * @param {string} name without the prefix
 * @returns {Function}
 */
export function findMethod(object, name) {
  if (typeof object === "function") {
    if (name === "call") return object;
  } else if (NAME.test(name) && object instanceof Referenceable) {
    let up = Object.getPrototypeOf(object);
    for (; up && up !== Referenceable.prototype; up = Object.getPrototypeOf(up)) {
      const found = Object.getOwnPropertyDescriptor(up, `remote_${name}`);
      if (typeof found?.value === "function") return found.value;
      if (found) break;
    }
  }
  throw noSuchMethod(name, object);
}

/**
 * @param {string} name
 * @param {unknown} object
 */
function noSuchMethod(name, object) {
  const shown = JSON.stringify(name.slice(0, 64));
  if (typeof object === "function") {
    return new NoSuchMethod(`No such method: ${shown}; a function's only method is "call".`);
  }
  if (!(object instanceof Referenceable)) {
    return new NoSuchMethod(`No such method: ${shown}; the value is data and has no methods.`);
  }
  return new NoSuchMethod(`No such method: remote_${name.slice(0, 64)}`);
}
