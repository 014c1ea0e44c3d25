/**
 * What an object is when it crosses: a flavor. Only flavors, functions and plain data do.
 *
 * @module
 */

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
