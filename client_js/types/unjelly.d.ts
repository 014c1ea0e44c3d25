/**
 * JSON to values (docs/protocol.md, section 2): only for messages that may hold a tagged value.
 * What came is never changed: what holds a tagged value is copied.
 *
 * @module
 */
export type Tagged = Record<string, any>;
export type Answer = {
    settled: boolean;
    failed: boolean;
    outcome?: unknown;
};
/** @typedef {Record<string, any>} Tagged */
/**
 * A call whose answer can be named.
 * @typedef {{ settled: boolean, failed: boolean, outcome?: unknown }} Answer
 */
/**
 * Refuse a value with too many levels.
 * @param {unknown} value
 * @param {number} outer levels that do not count
 * @param {number} limit
 */
export declare function checkDepth(value: unknown, outer: number, limit: number): void;
/** Decodes the values of one frame; of a call that waits for answers, a second time. */
export declare class Unjellier {
    #private;
    broker: import("./broker.js").Broker;
    frame: import("./frames.js").Frame;
    attachments: Uint8Array<ArrayBufferLike>[];
    /** Ids of the peer's objects that the frame holds. @type {number[]} */
    introduced: number[];
    /** Answers that are not there yet. @type {Set<any>} */
    waits: Set<any>;
    /**
     * @param {import("./broker.js").Broker} broker
     * @param {import("./frames.js").Frame} frame
     * @param {Uint8Array[]} attachments
     */
    constructor(broker: import("./broker.js").Broker, frame: import("./frames.js").Frame, attachments: Uint8Array[]);
    /**
     * @template T
     * @param {T} value
     * @returns {T}
     */
    root<T>(value: T): T;
    /**
     * Keyword arguments, which are a frame's own and no value.
     * @param {Record<string, any>} kw
     */
    fields(kw: Record<string, any>): any;
}
/**
 * What a settled answer, followed along a path, is (section 1).
 * @param {Answer} answer
 * @param {unknown[]} [path] keys of plain objects and indexes of lists
 */
export declare function answerValue({ failed, outcome }: Answer, path?: unknown[]): any;
/**
 * @param {any} value
 * @param {unknown[]} path
 */
export declare function followPath(value: any, path: unknown[]): any;
