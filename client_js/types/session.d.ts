/**
 * A session: numbering, acknowledging, the window, and the frames that are not the broker's
 * (docs/protocol.md, sections 6 and 7). No I/O: messages go in with `receive` and come out with
 * `takeMessages`.
 *
 * @module
 */
import { Broker } from "./broker.js";
export type Frame = import("./frames.js").Frame;
export type Message = import("./frames.js").Message;
export type Ending = {
    code: number;
    reason: string;
    /**
     * whether to connect again, or after how many seconds
     */
    reconnect: boolean | number[];
};
/**
 * How a session ended.
 * @typedef {object} Ending
 * @property {number} code
 * @property {string} reason
 * @property {boolean | number[]} reconnect whether to connect again, or after how many seconds
 */
export declare class Session {
    #private;
    hooks: import("./broker.js").Hooks;
    limits: import("./limits.js").Limits;
    broker: Broker;
    /** What the peer has said of itself. */
    peer: {
        limits: import("./limits.js").Limits;
        binary: boolean;
        heartbeat: number;
    };
    /** The number of the last frame received, … */
    received: number;
    /** … of the last one that was given to `takeMessages`, … */
    written: number;
    /** … and of the last one that the peer has. */
    acknowledged: number;
    /** Whether the peer's `version` has come. */
    open: boolean;
    /** @type {Ending | null} */
    ending: Ending | null;
    /**
     * @param {import("./broker.js").Hooks} hooks
     * @param {object} [options]
     * @param {Partial<import("./limits.js").Limits>} [options.limits] of this side
     * @param {string} [options.software] the name in this side's `version`
     * @param {import("./failures.js").Registry} [options.registry]
     */
    constructor(hooks: import("./broker.js").Hooks, { limits, software, registry }?: {
        limits?: Partial<import("./limits.js").Limits>;
        software?: string;
        registry?: import("./failures.js").Registry;
    });
    /** Whether a frame that can wait may go out; what cannot may fill `times` the window. */
    hasRoom(times?: number): boolean;
    /**
     * @param {string} text of one counted frame
     * @param {Uint8Array[]} [attachments]
     * @param {{ id: number }} [answered] the peer's call that it answers
     * @returns {number} its number; 0 when the session is over
     */
    post(text: string, attachments?: Uint8Array[], answered?: {
        id: number;
    }): number;
    /**
     * The messages to write, in order: all frames that have come together, as few batches as the
     * peer's limits allow. Frames that are not counted stand last, so that their counts are right.
     * @returns {(string | Uint8Array<ArrayBuffer>)[]}
     */
    takeMessages(): (string | Uint8Array<ArrayBuffer>)[];
    /** Ask whether the link is alive. */
    probe(): void;
    /** @param {unknown} data a message */
    receive(data: unknown): void;
    /**
     * Say why, and end the session.
     * @param {number} code
     * @param {string} text
     * @param {boolean} [reconnect]
     */
    fail(code: number, text: string, reconnect?: boolean): void;
    /**
     * The session is over: by a `close`, or because its connection is gone.
     * @param {Ending} ending
     */
    end(ending: Ending): void;
}
