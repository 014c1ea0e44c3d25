/**
 * Exceptions to wire failures and back (docs/protocol.md, section 4).
 *
 * @module
 */
import { PBError } from "./errors.js";
export type Registry = Map<string, Function>;
/** @type {Registry} */
export declare const registry: Registry;
/**
 * From now on an exception of the peer's with this type is raised as `type` here.
 * `type` is made with the message as its only argument, and should extend PBError.
 *
 * @param {string | Function} nameOrClass the type as the sender names it
 * @param {new (message: string) => Error} type
 */
export declare function setUnjellyableForClass(nameOrClass: string | Function, type: new (message: string) => Error): void;
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
 * @returns {PBError}
 */
export declare function unjellyFailure({ $, type, message, parents, traceback }: Record<string, any>, types: Registry): PBError;
