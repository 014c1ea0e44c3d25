/**
 * The calls that the peer makes: accepted, started in order, cancelled, answered
 * (docs/protocol.md, section 1).
 *
 * @module
 */
import { Unjellier } from "./unjelly.js";
export type Frame = import("./frames.js").Frame;
/** @typedef {import("./frames.js").Frame} Frame */
/** A call of the peer's; it is kept until its answer is acknowledged, as long as it can be named. */
declare class PeerCall {
    id: number;
    frame: import("./frames.js").Frame;
    unjellier: Unjellier | null;
    settled: boolean;
    failed: boolean;
    /** The result, or the error. @type {unknown} */
    outcome: unknown;
    /** The number of the answer's frame. */
    number: number;
    started: boolean;
    /** An object, or the call whose answer it is. @type {unknown} */
    target: unknown;
    /** Calls that wait for the answer. @type {PeerCall[]} */
    waiters: PeerCall[];
    /** How many answers it waits for. */
    waits: number;
    /** @type {AbortController | undefined} */
    controller: AbortController | undefined;
    /** The call that it is relayed as. @type {import("./promises.js").RemotePromise<any> | undefined} */
    relayed: import("./promises.js").RemotePromise<any> | undefined;
    /** When it is cancelled, in seconds of the clock. @type {number | undefined} */
    deadline: number | undefined;
    stopTimer: () => void;
    /**
     * @param {Frame} frame
     * @param {Unjellier | null} unjellier null when no value can be tagged
     */
    constructor(frame: Frame, unjellier: Unjellier | null);
}
/**
 * While a remote method starts, before its first `await`: the signal that is aborted when the
 * caller no longer wants the answer, when its deadline has passed, or when the session is over.
 *
 * @returns {AbortSignal}
 */
export declare function callSignal(): AbortSignal;
/**
 * @param {{ controller?: AbortController | undefined }} call
 * @param {unknown} target
 * @param {string} name
 * @param {any[]} args
 * @param {Record<string, any>} kw keyword arguments are one more argument here
 */
export declare function invoke(call: {
    controller?: AbortController | undefined;
}, target: unknown, name: string, args: any[], kw: Record<string, any>): () => any;
export declare class Incoming {
    #private;
    broker: import("./broker.js").Broker;
    /** @param {import("./broker.js").Broker} broker */
    constructor(broker: import("./broker.js").Broker);
    get running(): number;
    get nameable(): number;
    /**
     * @param {Frame} frame
     * @param {import("./frames.js").Message} message that it came in
     */
    accept(frame: Frame, message: import("./frames.js").Message): void;
    /**
     * The call with this id, whose answer is named.
     * @param {number} id
     */
    find(id: number): PeerCall;
    /** Send the results that were held back, as far as there is room. */
    pump(): void;
    /**
     * The caller no longer wants an answer.
     * @param {number} id
     */
    cancelled(id: number): void;
    /**
     * The peer has what was sent up to this frame: those answers can no longer be named.
     * @param {number} number
     */
    acknowledged(number: number): void;
    /** The session is over: what runs is cancelled, and what it gives is dropped. */
    end(): void;
}
export {};
