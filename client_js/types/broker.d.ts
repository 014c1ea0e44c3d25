/**
 * The machine: one per session, without I/O. Frames come in with `handle`, and go out through the
 * link, which is the session (docs/protocol.md, sections 1 to 4).
 *
 * @module
 */
import { Incoming } from "./incoming.js";
import { Jellier } from "./jelly.js";
import { Outgoing } from "./outgoing.js";
import { Exports, Imports, RemoteReference } from "./references.js";
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
     *   gives the frame's number
     */
    post: (text: string, attachments?: Uint8Array[], answered?: {
        id: number;
    }) => number;
    fail: (code: number, reason: string) => void;
};
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
    get peer(): {
        limits: import("./limits.js").Limits;
        binary: boolean;
    };
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
    /** There is more room in the window. */
    pump(): void;
    /**
     * The session is over: everything ends, once.
     * @param {string} text
     * @param {unknown} [cause]
     */
    end(text: string, cause?: unknown): void;
    /**
     * Send the frame that `make` builds. When that fails, no table has changed.
     * @param {(jellier: Jellier) => any[]} make
     * @param {{ id: number }} [answered] the peer's call that it answers
     * @returns {number} the frame's number
     */
    post(make: (jellier: Jellier) => any[], answered?: {
        id: number;
    }): number;
    /**
     * A frame of plain data that does not wait for room.
     * @param {any[]} frame
     * @param {{ id: number }} [answered]
     */
    postSmall(frame: any[], answered?: {
        id: number;
    }): number;
    /**
     * Give back every reference of a frame that was refused (section 3).
     * @param {Frame} frame
     * @param {number[]} [introduced] those that had been received already
     */
    giveBack(frame: Frame, introduced?: number[]): void;
    /** The fourth time that too many references were handed out ends the session (section 7). @param {unknown} error */
    countViolation(error: unknown): void;
    /**
     * A call on an object that is not the peer's.
     * @param {unknown} target
     * @param {{ name: string, args: any[], kw: Record<string, any> }} call
     */
    callHere(target: unknown, { name, args, kw }: {
        name: string;
        args: any[];
        kw: Record<string, any>;
    }): any;
    /** @param {number | string} id */
    unjellyRemote(id: number | string): RemoteReference<any>;
}
