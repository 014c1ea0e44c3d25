/**
 * What a name from the wire calls on an object, and how that gets control: with its call's signal
 * and deadline at hand.
 *
 * @module
 */
export type Invocation = {
    /**
     * 0 when no answer is wanted
     */
    id?: number;
    controller?: AbortController;
    /**
     * when it is cancelled, in seconds of the clock
     */
    deadline?: number;
    started?: boolean;
};
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
export declare let current: Invocation | undefined;
/**
 * While a remote method starts, before its first `await`: the signal that is aborted when the
 * caller no longer wants the answer, when its deadline has passed, or when the session is over.
 *
 * @returns {AbortSignal}
 */
export declare function callSignal(): AbortSignal;
/**
 * Call a method of an object of this side's, or relay the call to the owner of a reference.
 * @param {Invocation} call
 * @param {unknown} target
 * @param {string} name
 * @param {any[]} args
 * @param {Record<string, any>} kw keyword arguments are one more argument here
 */
export declare function invoke(call: Invocation, target: unknown, name: string, args: any[], kw: Record<string, any>): any;
/**
 * The function behind a method's name. Only functions that a class below Referenceable or
 * RemoteCache declares with the prefix are found, never properties, accessors or what every object has.
 *
 * @param {unknown} object a Referenceable, a RemoteCache, or a function, whose only method is `call`
 * @param {string} name without the prefix
 * @returns {Function}
 */
export declare function findMethod(object: unknown, name: string): Function;
