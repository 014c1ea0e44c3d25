/**
 * The calls that the peer makes: accepted, started in order, cancelled, answered
 * (docs/protocol.md, section 1).
 *
 * @module
 */
import { Line } from "./queue.js";
import { Unjellier } from "./unjelly.js";
export type Frame = import("./frames.js").Frame;
export type Message = import("./frames.js").Message;
export type PeerCall = {
    id: number;
    frame: Frame;
    /**
     * null when no value can be tagged
     */
    unjellier: Unjellier | null;
    started: boolean;
    settled: boolean;
    failed: boolean;
    /**
     * the result, or the error
     */
    outcome?: unknown;
    /**
     * an object
     */
    target?: unknown;
    /**
     * the call whose answer the target is, in place of that
     */
    source?: PeerCall;
    /**
     * calls that wait for the answer
     */
    waiters: PeerCall[];
    /**
     * how many answers it waits for
     */
    waits: number;
    controller?: AbortController;
    /**
     * as which it is relayed
     */
    relayed?: import("./promises.js").RemotePromise<any>;
    /**
     * when it is cancelled, in seconds of the clock
     */
    deadline?: number;
    stopTimer: () => void;
};
/**
 * While a remote method starts, before its first `await`: the signal that is aborted when the
 * caller no longer wants the answer, when its deadline has passed, or when the session is over.
 *
 * @returns {AbortSignal}
 */
export declare function callSignal(): AbortSignal;
/**
 * The call of a method, to be started.
 * @param {{ controller?: AbortController | undefined }} call
 * @param {unknown} target
 * @param {string} name
 * @param {any[]} args
 * @param {Record<string, any>} kw keyword arguments are one more argument here
 */
export declare function invocation(call: {
    controller?: AbortController | undefined;
}, target: unknown, name: string, args: any[], kw: Record<string, any>): () => any;
export declare class Incoming {
    #private;
    broker: import("./broker.js").Broker;
    /** Those that can be named. @type {Map<number, PeerCall>} */
    nameable: Map<number, PeerCall>;
    /** Those in progress. @type {Set<PeerCall>} */
    running: Set<PeerCall>;
    /** Those whose results wait for room. @type {Line<PeerCall>} */
    held: Line<PeerCall>;
    /** @param {import("./broker.js").Broker} broker */
    constructor(broker: import("./broker.js").Broker);
    /**
     * @param {Frame} frame
     * @param {Message} message that it came in
     */
    accept(frame: Frame, message: Message): void;
    /**
     * The call with this id, whose answer is named.
     * @param {number} id
     */
    find(id: number): PeerCall;
    /**
     * The caller no longer wants an answer.
     * @param {number} id
     */
    cancelled(id: number): void;
    /** The session is over: what runs is cancelled, and what it gives is dropped. */
    end(): void;
}
