/**
 * The promise of a call, which can be called and passed on before the answer is there: promise
 * pipelining (docs/protocol.md, section 1).
 *
 * @module
 */
export type ApiOf<T> = T extends import("./references.js").RemoteReference<infer Api> ? Api : 0 extends 1 & T ? any : never;
export type Methods<Api> = import("./api.js").Methods<Api>;
export type Arguments<Method> = import("./api.js").Arguments<Method>;
export type Result<Method> = import("./api.js").Result<Method>;
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
 * What a call will give: a promise that can be called, and passed on, before it is settled. One
 * that fails and that nobody awaits, calls or passes on is reported as any rejection is.
 *
 * @template [T=any]
 * @implements {PromiseLike<T>}
 */
export declare class RemotePromise<T = any> implements PromiseLike<T> {
    #private;
    /** @internal */
    broker: import("./broker.js").Broker;
    /**
     * @template [A=T]
     * @template [B=never]
     * @param {((value: T) => A | PromiseLike<A>) | null} [fulfilled]
     * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
     * @returns {Promise<A | B>}
     */
    then<A = T, B = never>(fulfilled?: ((value: T) => A | PromiseLike<A>) | null, rejected?: ((error: any) => B | PromiseLike<B>) | null): Promise<A | B>;
    /**
     * @template [B=never]
     * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
     * @returns {Promise<T | B>}
     */
    catch<B = never>(rejected?: ((error: any) => B | PromiseLike<B>) | null): Promise<T | B>;
    /**
     * @param {(() => void) | null} [settled]
     * @returns {Promise<T>}
     */
    finally(settled?: (() => void) | null): Promise<T>;
    /**
     * Call a method of what the answer will be, without waiting for it.
     *
     * @template {keyof Methods<ApiOf<T>> & string} Name
     * @param {Name} name
     * @param {Arguments<Methods<ApiOf<T>>[Name]>} args
     * @returns {RemotePromise<Result<Methods<ApiOf<T>>[Name]>>}
     */
    callRemote<Name extends keyof Methods<ApiOf<T>> & string>(name: Name, ...args: Arguments<Methods<ApiOf<T>>[Name]>): RemotePromise<Result<Methods<ApiOf<T>>[Name]>>;
    /**
     * The long form; `path` calls a method of an object that stands inside the answer.
     *
     * @param {string} name
     * @param {import("./api.js").CallOptions} [options]
     * @returns {RemotePromise<any>}
     */
    call(name: string, options?: import("./api.js").CallOptions): RemotePromise<any>;
    /**
     * @template {keyof Methods<ApiOf<T>> & string} Name
     * @param {Name} name
     * @param {Arguments<Methods<ApiOf<T>>[Name]>} args
     */
    callRemoteOnly<Name extends keyof Methods<ApiOf<T>> & string>(name: Name, ...args: Arguments<Methods<ApiOf<T>>[Name]>): void;
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
