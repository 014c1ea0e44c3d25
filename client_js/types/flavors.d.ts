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
 * An object that crosses by value: the peer gets a copy, of the class that it registered for the
 * type, which is the static `pbType` or else the class's name. What arrives is made by the static
 * `fromState(state)` of the class that is registered here; one that has none is made without its
 * constructor, and gets the attributes.
 */
export declare class Copyable {
    /** What the peer gets to see, any value that can cross: the attributes, if the class does not say. @returns {any} */
    toState(): any;
}
/** Whether an exception has more than a text to send. @param {any} error */
export declare const hasState: (error: any) => error is Error & Record<"toState", unknown>;
/**
 * What came as the state of an object: a peer may set attributes, and hide nothing of the class's.
 * @param {any} object
 * @param {any} attributes
 */
export declare function setAttributes(object: any, attributes: any): void;
