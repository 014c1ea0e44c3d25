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
export type Ending = import("./broker.js").Ending;
export type Session = ReturnType<typeof newSession>;
export type Outgoing = string | Uint8Array<ArrayBuffer>;
/**
 * @param {import("./broker.js").Hooks} hooks
 * @param {object} [options]
 * @param {Partial<import("./limits.js").Limits>} [options.limits] of this side
 * @param {string} [options.software] the name in this side's `version`
 * @param {import("./failures.js").Registry} [options.registry]
 */
export declare function newSession(hooks: import("./broker.js").Hooks, { limits: told, software, registry }?: {
    limits?: Partial<import("./limits.js").Limits>;
    software?: string;
    registry?: import("./failures.js").Registry;
}): {
    broker: Broker;
    takeMessages: () => (Outgoing | undefined)[];
    receive: (data: unknown) => void;
    fail: (code: number, text: string, reconnect?: boolean) => void;
    end: (code: number, reason: string, reconnect?: Ending["reconnect"], stays?: boolean) => void;
    detach: (code: number) => boolean;
    rejoin: () => void;
    /** The version was said already, by the session before. */
    wasGreeted(): void;
    /** Until when it can be resumed, when it is away. */
    readonly until: number;
    readonly away: boolean;
    /** Ask whether the link is alive. */
    probe: () => void;
    readonly heard: number | undefined;
};
