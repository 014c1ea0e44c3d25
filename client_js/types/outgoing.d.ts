/**
 * The calls that this side makes: sent, held back for room, cancelled, answered
 * (docs/protocol.md, sections 1 and 6).
 *
 * @module
 */
import { RemotePromise } from "./promises.js";
import { Line } from "./queue.js";
import { RemoteReference } from "./references.js";
/**
 * The peer's call that is being started: calls made before its first `await` are made on its
 * behalf and inherit its deadline. After that nothing tells whose they are; pass `callSignal()`.
 * @type {{ call?: { controller?: AbortController | undefined, deadline?: number | undefined } | undefined }}
 */
export declare const handling: {
    call?: {
        controller?: AbortController | undefined;
        deadline?: number | undefined;
    } | undefined;
};
export type Target = RemoteReference<any> | RemotePromise<any>;
/** @typedef {RemoteReference<any> | RemotePromise<any>} Target */
/**
 * One call of this side's.
 * @param {import("./broker.js").Broker} broker
 * @param {Target} target
 * @param {string} name
 * @param {import("./api.js").CallOptions} options
 * @param {boolean} only no answer is wanted
 */
declare const newCall: (broker: import("./broker.js").Broker, target: Target, name: string, { args, kw, path }: import("./api.js").CallOptions, only: boolean) => {
    promise: RemotePromise<any>;
    target: Target;
    name: string;
    args: any[];
    kw: Record<string, any>;
    path: (string | number)[];
    only: boolean;
    /** The number of its frame; 0 until it is sent. */
    number: number;
    /** Promises whose answers its frame names. @type {RemotePromise<any>[]} */
    named: RemotePromise<any>[];
    /** When it is cancelled, in seconds of the clock. */
    deadline: number;
    /** Stops waiting for the signal and the timeout. */
    stop(): void;
};
export type Call = ReturnType<typeof newCall>;
/** @typedef {ReturnType<typeof newCall>} Call */
export declare class Outgoing {
    #private;
    broker: import("./broker.js").Broker;
    /** Calls that were sent and are not answered. @type {Map<number, Call>} */
    waiting: Map<number, Call>;
    /** Calls that wait for room, and releases that must not overtake them. @type {Line<Call | (() => void)>} */
    held: Line<Call | (() => void)>;
    /** @param {import("./broker.js").Broker} broker */
    constructor(broker: import("./broker.js").Broker);
    /**
     * @param {Target} target
     * @param {string} name
     * @param {import("./api.js").CallOptions} options
     * @param {boolean} [only]
     */
    start(target: Target, name: string, options: import("./api.js").CallOptions, only?: boolean): RemotePromise<any>;
    /**
     * Pass the cancel of a relayed call on: its answer is still waited for, and passed on as well.
     * @param {RemotePromise<any>} promise
     * @param {Error} error what the call ends with if it was never sent
     */
    passCancel(promise: RemotePromise<any>, error: Error): void;
    /**
     * An `answer` or `error` of the peer's. With one that is settled already, it is given back.
     * @param {import("./frames.js").Frame} frame
     * @param {import("./frames.js").Message} message that it came in
     */
    answered(frame: import("./frames.js").Frame, { tagged, deep, attachments }: import("./frames.js").Message): void;
    /**
     * The session is over: every call ends, with what is known of it (section 6).
     * @param {string} text
     * @param {unknown} cause
     */
    end(text: string, cause: unknown): void;
}
export {};
