/**
 * Exceptions to wire failures and back (docs/protocol.md, section 4).
 *
 * @module
 */
import { PBError } from "./errors.js";
export type Registry = Map<string, any>;
export type CopyableClass = abstract new (...args: any) => import("./flavors.js").Copyable;
export type RemoteCacheClass = new () => import("./caching.js").RemoteCache;
/** @type {Registry} */
export declare const registry: Registry;
/**
 * From now on what is of this type at the peer is of the class `type` here: a copy, the copy of a
 * cache, which is made without arguments, or an exception, which is made with the message as its only
 * argument, should extend PBError, and gets the attributes that the peer's had.
 *
 * @param {string | Function} nameOrClass the type as the sender names it
 * @param {(new (message: string) => Error) | CopyableClass | RemoteCacheClass} type
 */
export declare function setUnjellyableForClass(nameOrClass: string | Function, type: (new (message: string) => Error) | CopyableClass | RemoteCacheClass): void;
/**
 * What was thrown as a tagged value. It never throws, whatever was thrown.
 * @param {any} error
 */
export declare function jellyFailure(error: any): {
    $: string;
    type: string | undefined;
    message: string;
    parents: string[];
};
/**
 * The exception behind a failure: of the class registered for its type, else a RemoteError.
 * @param {Record<string, any>} tagged
 * @param {Registry} types
 * @param {(error: Error) => void} [fill] gives one of the very type its state
 * @returns {PBError}
 */
export declare function unjellyFailure(tagged: Record<string, any>, types: Registry, fill?: (error: Error) => void): PBError;
