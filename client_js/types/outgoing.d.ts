/**
 * The calls that this side makes: sent, held back for room, cancelled, answered
 * (docs/protocol.md, sections 1 and 6).
 *
 * @module
 */
import { RemoteCacheObserver } from "./caching.js";
import { RemotePromise } from "./promises.js";
import { RemoteReference } from "./references.js";
export type Broker = import("./broker.js").Broker;
export type Target = RemoteReference<any> | RemotePromise<any> | RemoteCacheObserver;
export type Call = ReturnType<typeof newCall>;
export type Options = import("./api.js").CallOptions & {
    relayed?: boolean;
};
/** @typedef {import("./broker.js").Broker} Broker */
/** @typedef {RemoteReference<any> | RemotePromise<any> | RemoteCacheObserver} Target */
/** @typedef {ReturnType<typeof newCall>} Call */
/**
 * @typedef {import("./api.js").CallOptions & { relayed?: boolean }} Options `relayed`: when it is
 *   cancelled, its answer is still waited for, and passed on
 */
/**
 * One call of this side's.
 * @param {Target} target
 * @param {string} name
 * @param {Options} options
 * @param {boolean} only no answer is wanted
 */
declare const newCall: (target: Target, name: string, { args, kw, path }: Options, only: boolean) => {
    broker: import("./broker.js").Broker;
    promise: RemotePromise<any>;
    target: Target;
    name: string;
    args: any[];
    kw: Record<string, any>;
    path: (string | number)[];
    only: boolean;
    /** Whether it tells an observer of a change. */
    update: boolean;
    /** The number of its frame; 0 until it is sent. */
    number: number;
    /** Promises whose answers its frame names. @type {RemotePromise<any>[]} */
    named: RemotePromise<any>[];
    /** When it is cancelled, in seconds of the clock. */
    deadline: number;
    /** Stops waiting for the signal and the timeout. @type {(() => void) | undefined} */
    stop: (() => void) | undefined;
};
/**
 * @param {Target} target
 * @param {string} name
 * @param {Options} options
 * @param {boolean} [only]
 */
export declare function start(target: Target, name: string, options: Options, only?: boolean): RemotePromise<any>;
/**
 * An `answer` or `error` of the peer's. With one that is settled already, it is given back.
 * @param {Broker} broker
 * @param {import("./frames.js").Frame} frame
 * @param {import("./frames.js").Message} message that it came in
 */
export declare function answered(broker: Broker, frame: import("./frames.js").Frame, { tagged, deep, attachments }: import("./frames.js").Message): void;
/**
 * The session is over: every call ends, with what is known of it (section 6).
 * @param {Broker} broker
 */
export declare function endCalls(broker: Broker): void;
export {};
