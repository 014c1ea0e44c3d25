/**
 * The machine: one per session, without I/O. Frames come in with `handle`, and go out through the
 * link, which is the session (docs/protocol.md, sections 1 to 4).
 *
 * @module
 */
import { Referenceable } from "./flavors.js";
import { Incoming } from "./incoming.js";
import { Jellier } from "./jelly.js";
import { Outgoing } from "./outgoing.js";
import { RemotePromise } from "./promises.js";
import { Exports, Imports, RemoteReference } from "./references.js";
import { Unjellier } from "./unjelly.js";
export type Frame = import("./frames.js").Frame;
export type Message = import("./frames.js").Message;
export type Hooks = {
    /**
     * seconds of a clock that never goes back
     */
    now: () => number;
    /**
     * gives what stops it
     */
    timer: (seconds: number, run: () => void) => () => void;
    log: (error: unknown, where: string) => void;
    /**
     * there is something to send
     */
    wake: () => void;
    /**
     * send what there is, then close
     */
    close: (code: number, reason: string) => void;
};
export type Link = {
    peer: {
        limits: import("./limits.js").Limits;
        binary: boolean;
    };
    /**
     * the number of the last frame that was written
     */
    written: number;
    /**
     * the number of the last frame that the peer has
     */
    acknowledged: number;
    /**
     * whether a frame that can wait may go out
     */
    hasRoom: () => boolean;
    /**
     * gives the frame's number
     */
    post: (text: string, attachments?: Uint8Array[]) => number;
    fail: (code: number, reason: string) => void;
};
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */
/**
 * What the pure half is handed from outside.
 * @typedef {object} Hooks
 * @property {() => number} now seconds of a clock that never goes back
 * @property {(seconds: number, run: () => void) => () => void} timer gives what stops it
 * @property {(error: unknown, where: string) => void} log
 * @property {() => void} wake there is something to send
 * @property {(code: number, reason: string) => void} close send what there is, then close
 */
/**
 * The session, as the broker needs it.
 * @typedef {object} Link
 * @property {{ limits: import("./limits.js").Limits, binary: boolean }} peer
 * @property {number} written the number of the last frame that was written
 * @property {number} acknowledged the number of the last frame that the peer has
 * @property {() => boolean} hasRoom whether a frame that can wait may go out
 * @property {(text: string, attachments?: Uint8Array[]) => number} post gives the frame's number
 * @property {(code: number, reason: string) => void} fail
 */
export declare class Broker {
    #private;
    link: Link;
    hooks: Hooks;
    limits: import("./limits.js").Limits;
    types: import("./failures.js").Registry;
    exports: Exports;
    imports: Imports;
    outgoing: Outgoing;
    incoming: Incoming;
    /** Whether the session is over. */
    over: boolean;
    /**
     * @param {Link} link
     * @param {Hooks} hooks
     * @param {import("./limits.js").Limits} limits of this side
     * @param {import("./failures.js").Registry} [types]
     */
    constructor(link: Link, hooks: Hooks, limits: import("./limits.js").Limits, types?: import("./failures.js").Registry);
    /**
     * @param {import("./outgoing.js").Target} target
     * @param {string} name
     * @param {import("./api.js").CallOptions} options
     * @returns {RemotePromise<any>}
     */
    callRemote(target: import("./outgoing.js").Target, name: string, options: import("./api.js").CallOptions): RemotePromise<any>;
    /**
     * @param {import("./outgoing.js").Target} target
     * @param {string} name
     * @param {import("./api.js").CallOptions} options
     */
    callRemoteOnly(target: import("./outgoing.js").Target, name: string, options: import("./api.js").CallOptions): void;
    /**
     * @param {string} name
     * @returns {RemoteReference<any>}
     */
    named(name: string): RemoteReference<any>;
    /** @param {RemoteReference<any>} reference */
    release(reference: RemoteReference<any>): void;
    /**
     * @param {Function} callback
     * @param {unknown} [reference] what it is called with
     */
    notifyOnDisconnect(callback: Function, reference?: unknown): void;
    /**
     * @param {Function} callback
     * @param {unknown} [reference]
     */
    dontNotifyOnDisconnect(callback: Function, reference?: unknown): void;
    /** How much there is in each table; all 0 at rest. */
    statistics(): {
        exported: number;
        imported: number;
        waiting: number;
        held: number;
        running: number;
        nameable: number;
    };
    /**
     * Handle a frame whose envelope has been checked; false when its name is not known.
     * @param {Frame} frame
     * @param {Message} message that it came in
     */
    handle(frame: Frame, message: Message): boolean;
    /**
     * The peer has what was sent up to this frame.
     * @param {number} number
     */
    acknowledged(number: number): void;
    /**
     * The session is over: everything ends, once.
     * @param {string} text
     * @param {unknown} [cause]
     */
    end(text: string, cause?: unknown): void;
    /**
     * Send the frame that `make` builds. When that fails, no table has changed.
     * @param {(jellier: Jellier) => any[]} make
     * @returns {number} the frame's number
     */
    post(make: (jellier: Jellier) => any[]): number;
    /**
     * A frame of plain data that does not wait for room.
     * @param {any[]} frame
     */
    postSmall(frame: any[]): number;
    /** @param {number[]} pairs an id, and how often it was received, … */
    sendDecref(pairs: number[]): void;
    /**
     * Give back every reference of a frame that was refused (section 3).
     * @param {Frame} frame
     * @param {number[]} [introduced] those that had been received already
     */
    giveBack(frame: Frame, introduced?: number[]): void;
    /** The fourth time that too many references were handed out ends the session (section 7). @param {any} error */
    countViolation(error: any): void;
    /**
     * A call on an object that is not the peer's.
     * @param {unknown} target
     * @param {{ name: string, args: any[], kw: Record<string, any> }} call
     */
    invokeHere(target: unknown, { name, args, kw }: {
        name: string;
        args: any[];
        kw: Record<string, any>;
    }): any;
    /**
     * How a reference stands in a frame to its owner.
     * @param {RemoteReference<any>} reference
     */
    wireId(reference: RemoteReference<any>): string | number;
    get peer(): {
        limits: import("./limits.js").Limits;
        binary: boolean;
    };
    /**
     * @param {any} value
     * @param {Jellier} jellier
     * @param {number} depth
     * @returns {[any] | undefined}
     */
    jellyReference(value: any, jellier: Jellier, depth: number): [any] | undefined;
    /** @param {number | string} id */
    unjellyRemote(id: number | string): RemoteReference<any>;
    /** @param {number | string} id */
    unjellyLocal(id: number | string): object;
    /** @param {Record<string, any>} tagged */
    unjellyFailure(tagged: Record<string, any>): import("./errors.js").PBError;
    /** @param {number} id */
    answerTo(id: number): {
        settled: boolean;
        failed: boolean;
        outcome: unknown;
        number: number;
        started: boolean;
        target: unknown;
        waiters: /*elided*/ any[];
        waits: number;
        controller: AbortController | undefined;
        relayed: import("./promises.js").RemotePromise<any> | undefined;
        deadline: number | undefined;
        stopTimer: () => void;
        id: number;
        frame: import("./frames.js").Frame;
        unjellier: Unjellier | null;
    };
    /** @param {unknown} value */
    isReference(value: unknown): value is Function | Referenceable | RemoteReference<any>;
}
