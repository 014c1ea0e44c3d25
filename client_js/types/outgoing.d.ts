/**
 * The calls that this side makes: sent, held back for room, cancelled, answered
 * (docs/protocol.md, sections 1 and 6).
 *
 * @module
 */
import { RemotePromise } from "./promises.js";
import { RemoteReference } from "./references.js";
export type Target = RemoteReference<any> | RemotePromise<any>;
/** @typedef {RemoteReference<any> | RemotePromise<any>} Target */
/** One call of this side's. */
declare class Call {
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
    /** When it is cancelled, in seconds of the clock. @type {number | undefined} */
    deadline: number | undefined;
    /** Stops waiting for the signal and the timeout. */
    stop: () => void;
    /**
     * @param {import("./broker.js").Broker} broker
     * @param {Target} target
     * @param {string} name
     * @param {import("./api.js").CallOptions} options
     * @param {boolean} only no answer is wanted
     */
    constructor(broker: import("./broker.js").Broker, target: Target, name: string, { args, kw, path }: import("./api.js").CallOptions, only: boolean);
}
export declare class Outgoing {
    #private;
    broker: import("./broker.js").Broker;
    /** Calls that were sent and are not answered. @type {Map<number, Call>} */
    waiting: Map<number, Call>;
    /** @param {import("./broker.js").Broker} broker */
    constructor(broker: import("./broker.js").Broker);
    get held(): number;
    /** The highest id used. */
    get last(): number;
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
     * Send a call, or release a reference, behind all calls that are held back.
     * @param {Call | (() => void)} step
     */
    afterHeld(step: Call | (() => void)): void;
    /** Send what was held back, as far as there is room. */
    pump(): void;
    /**
     * The call that an answer belongs to; undefined when it is settled already.
     * @param {number} id
     */
    take(id: number): Call | undefined;
    /**
     * @param {Call} call
     * @param {() => any} decode the answer, or throw the failure
     */
    settle(call: Call, decode: () => any): void;
    /**
     * The session is over: every call ends, with what is known of it (section 6).
     * @param {string} text
     * @param {unknown} cause
     */
    end(text: string, cause: unknown): void;
}
export {};
