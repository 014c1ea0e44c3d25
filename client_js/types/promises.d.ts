/**
 * The promise of a call, which can be called and passed on before the answer is there: promise
 * pipelining (docs/protocol.md, section 1).
 *
 * @module
 */
export type Broker = import("./broker.js").Broker;
export type ApiOf<T> = T extends import("./references.js").RemoteReference<infer Api> ? Api : 0 extends 1 & T ? any : never;
export type Methods<Api> = import("./api.js").Methods<Api>;
export type Arguments<Method> = import("./api.js").Arguments<Method>;
export type Result<Method> = import("./api.js").Result<Method>;
export type CallOptions<Args extends any[] = any[]> = import("./api.js").CallOptions<Args>;
/** @typedef {import("./broker.js").Broker} Broker */
/**
 * @template T
 * @typedef {T extends import("./references.js").RemoteReference<infer Api> ? Api
 *   : 0 extends 1 & T ? any : never} ApiOf
 */
/**
 * @template Api
 * @typedef {import("./api.js").Methods<Api>} Methods
 */
/**
 * @template Method
 * @typedef {import("./api.js").Arguments<Method>} Arguments
 */
/**
 * @template Method
 * @typedef {import("./api.js").Result<Method>} Result
 */
/**
 * @template {any[]} [Args=any[]]
 * @typedef {import("./api.js").CallOptions<Args>} CallOptions
 */
/** What can be called: a reference, and the promise of one. @template Api */
export declare class Callable<Api> {
    /** @internal */
    broker: import("./broker.js").Broker;
    /**
     * Call a method of the object. The promise is rejected with what the method raised, a PBError;
     * calls on the promise, and calls that take it as an argument, need not wait for it.
     *
     * @template {keyof Methods<Api> & string} Name
     * @param {Name} name without the prefix `remote_`
     * @param {Arguments<Methods<Api>[Name]>} args
     * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
     */
    callRemote<Name extends keyof Methods<Api> & string>(name: Name, ...args: Arguments<Methods<Api>[Name]>): RemotePromise<Result<Methods<Api>[Name]>>;
    /**
     * The long form of `callRemote`.
     *
     * @template {keyof Methods<Api> & string} Name
     * @param {Name} name
     * @param {CallOptions<Arguments<Methods<Api>[Name]>>} [options]
     * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
     */
    call<Name extends keyof Methods<Api> & string>(name: Name, options?: CallOptions<Arguments<Methods<Api>[Name]>>): RemotePromise<Result<Methods<Api>[Name]>>;
    /**
     * Call a method and want no answer, not even an error: the peer logs it.
     *
     * @template {keyof Methods<Api> & string} Name
     * @param {Name} name
     * @param {Arguments<Methods<Api>[Name]>} args
     */
    callRemoteOnly<Name extends keyof Methods<Api> & string>(name: Name, ...args: Arguments<Methods<Api>[Name]>): void;
}
/**
 * What a call will give: a promise that can be called, and passed on, before it is settled. One
 * that fails and that nobody awaits, calls or passes on is reported as any rejection is.
 *
 * @template [T=any]
 * @extends {Callable<ApiOf<T>>}
 * @implements {PromiseLike<T>}
 */
export declare class RemotePromise<T = any> extends Callable<ApiOf<T>> implements PromiseLike<T> {
    #private;
    /**
     * The items of the stream that the call gives: `for await` need not await it first.
     * @returns {AsyncGenerator<T extends AsyncIterable<infer Item> ? Item : any>}
     */
    [Symbol.asyncIterator](): AsyncGenerator<T extends AsyncIterable<infer Item> ? Item : any>;
    /**
     * As of any promise; so `await` takes it.
     * @template [A=T]
     * @template [B=never]
     * @param {((value: T) => A | PromiseLike<A>) | null} [fulfilled]
     * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
     * @returns {Promise<A | B>}
     */
    then<A = T, B = never>(fulfilled?: ((value: T) => A | PromiseLike<A>) | null, rejected?: ((error: any) => B | PromiseLike<B>) | null): Promise<A | B>;
    /**
     * As of any promise.
     * @template [B=never]
     * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
     * @returns {Promise<T | B>}
     */
    catch<B = never>(rejected?: ((error: any) => B | PromiseLike<B>) | null): Promise<T | B>;
    /**
     * As of any promise.
     * @param {(() => void) | null} [settled]
     * @returns {Promise<T>}
     */
    finally(settled?: (() => void) | null): Promise<T>;
}
/**
 * The methods of `target` as functions: `remote(ref).three(12)` is `ref.callRemote("three", 12)`.
 *
 * @template {import("./references.js").RemoteReference<any> | RemotePromise<any>} Target
 * @param {Target} target
 * @returns {RemoteMethods<Target extends RemotePromise<infer T> ? ApiOf<T> : ApiOf<Target>>}
 */
export declare function remote<Target extends import("./references.js").RemoteReference<any> | RemotePromise<any>>(target: Target): RemoteMethods<Target extends RemotePromise<infer T> ? ApiOf<T> : ApiOf<Target>>;
export type RemoteMethods<Api> = {
    [Name in keyof Methods<Api>]: (...args: Arguments<Methods<Api>[Name]>) => RemotePromise<Result<Methods<Api>[Name]>>;
};
/**
 * @template Api
 * @typedef {{ [Name in keyof Methods<Api>]:
 *   (...args: Arguments<Methods<Api>[Name]>) => RemotePromise<Result<Methods<Api>[Name]>> }} RemoteMethods
 */
