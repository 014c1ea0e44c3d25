/**
 * What an object is when it crosses: a flavor. Only flavors, functions and plain data do.
 *
 * @module
 */
/**
 * An object that stays where it is: the peer gets a RemoteReference and can call what is named
 * `remote_…` on its class.
 */
export declare class Referenceable {
}
/** The object that a peer starts from; a connection publishes it under the name "root". */
export declare class Root extends Referenceable {
    /**
     * The object to publish on `connection`; a class may give each its own.
     * @param {unknown} _connection
     * @returns {Referenceable}
     */
    rootObject(_connection: unknown): Referenceable;
}
/**
 * The function behind a method's name. Only functions that a class below Referenceable declares
 * with the prefix are found, never properties, accessors or what every object has.
 *
 * @param {unknown} object a Referenceable, or a function, whose only method is `call`
 * @param {string} name without the prefix
 * @returns {Function}
 */
export declare function findMethod(object: unknown, name: string): Function;
