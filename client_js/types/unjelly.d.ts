/**
 * JSON to values (docs/protocol.md, section 2): only for messages that may hold a tagged value.
 * What came is never changed: what holds a tagged value is copied.
 *
 * @module
 */
export type Tagged = Record<string, any>;
export type Unjellier = ReturnType<typeof newUnjellier>;
export type Answer = {
    pending: boolean;
    rejected?: boolean;
    outcome?: unknown;
};
/** @typedef {Record<string, any>} Tagged */
/** @typedef {ReturnType<typeof newUnjellier>} Unjellier */
/**
 * A call whose answer can be named.
 * @typedef {{ pending: boolean, rejected?: boolean, outcome?: unknown }} Answer
 */
/**
 * Refuse values with too many levels.
 * @param {unknown[]} values
 * @param {number} outer their own levels that do not count
 * @param {import("./limits.js").Limits} limits
 */
export declare function checkDepth(values: unknown[], outer: number, limits: import("./limits.js").Limits): void;
/**
 * What decodes the values of one frame; of a call that waits for answers, a second time.
 * @param {import("./broker.js").Broker} broker
 * @param {import("./frames.js").Frame} frame
 * @param {Uint8Array[]} attachments
 */
export declare const newUnjellier: (broker: import("./broker.js").Broker, frame: import("./frames.js").Frame, attachments: Uint8Array[]) => {
    broker: import("./broker.js").Broker;
    frame: import("./frames.js").Frame;
    attachments: Uint8Array<ArrayBufferLike>[];
    /** Ids of the peer's objects that the frame holds. @type {number[]} */
    introduced: number[];
    /** Answers that are not there yet. @type {any[]} */
    waits: any[];
    /** What stands for something on this side is looked up when the frame comes, and not again. @type {Map<Tagged, any>} */
    kept: Map<Tagged, any>;
    /** @type {Map<number, { source: Tagged, value: any }> | undefined} */
    defs: Map<number, {
        source: Tagged;
        value: any;
    }> | undefined;
    /** In how many copies it is. */
    copies: number;
    /** Every `def` and `cache` of the frame, when one was missed. @type {Map<string, Tagged> | undefined} */
    sources: Map<string, Tagged> | undefined;
};
/**
 * An answer, or `args` with `kw`, which are a frame's own and no values.
 * @param {Unjellier} state
 * @param {any} value
 * @param {Record<string, any>} [kw]
 */
export declare function unjelly(state: Unjellier, value: any, kw?: Record<string, any>): any[];
/**
 * What a settled answer, followed along a path, is (section 1).
 * @param {Answer} answer
 * @param {unknown[]} [path] keys of plain objects and indexes of lists
 */
export declare function answerValue({ rejected, outcome }: Answer, path?: unknown[]): any;
