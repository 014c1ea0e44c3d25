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

/**
 * The function behind a method's name. Only functions that a class below Referenceable declares
 * with the prefix are found, never properties, accessors or what every object has.
 *
 * @param {unknown} object a Referenceable, or a function, whose only method is `call`
 * @param {string} name without the prefix
 * @returns {Function}
 */
export function findMethod(object, name) {
  let hint = "data has no methods";
  if (typeof object === "function") {
    if (name === "call") return object;
    hint = 'a function\'s only method is "call"';
  } else if (object instanceof Referenceable) {
    const found = /^[A-Za-z_]\w{0,63}$/.test(name) && declared(object, `remote_${name}`)?.value;
    if (typeof found === "function") return found;
    hint = "its class must declare it as remote_…";
  }
  throw new NoSuchMethod(`No such method: ${JSON.stringify(name.slice(0, 64))}; ${hint}.`);
}

/**
 * @param {object} object
 * @param {string} name
 * @returns {PropertyDescriptor | undefined}
 */
function declared(object, name) {
  const up = Object.getPrototypeOf(object);
  if (!up || up === Referenceable.prototype) return undefined;
  return Object.getOwnPropertyDescriptor(up, name) ?? declared(up, name);
}
