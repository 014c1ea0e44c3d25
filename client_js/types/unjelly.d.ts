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
    outcome: unknown;
};
export type UnjellyHost = {
    limits: import("./limits.js").Limits;
    unjellyRemote: (id: number | string) => unknown;
    unjellyLocal: (id: number | string) => unknown;
    unjellyFailure: (tagged: Tagged) => Error;
    answerTo: (id: number) => Answer;
    isReference: (value: unknown) => boolean;
};
/** @typedef {Record<string, any>} Tagged */
/**
 * A call whose answer can be named.
 * @typedef {{ settled: boolean, failed: boolean, outcome: unknown }} Answer
 */
/**
 * What the broker does for an Unjellier.
 * @typedef {object} UnjellyHost
 * @property {import("./limits.js").Limits} limits
 * @property {(id: number | string) => unknown} unjellyRemote
 * @property {(id: number | string) => unknown} unjellyLocal
 * @property {(tagged: Tagged) => Error} unjellyFailure
 * @property {(id: number) => Answer} answerTo
 * @property {(value: unknown) => boolean} isReference
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
    host: UnjellyHost;
    frame: any[];
    attachments: Uint8Array<ArrayBufferLike>[];
    mayName: boolean;
    /** Ids of the peer's objects that the frame holds. @type {number[]} */
    introduced: number[];
    /** Answers that are not there yet. @type {Set<Answer>} */
    waits: Set<Answer>;
    /**
     * @param {UnjellyHost} host
     * @param {any[]} frame
     * @param {Uint8Array[]} attachments
     * @param {boolean} mayName whether answers may be named in this frame
     */
    constructor(host: UnjellyHost, frame: any[], attachments: Uint8Array[], mayName: boolean);
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
    fields(kw: Record<string, any>): Record<string, any>;
}
/**
 * What a settled answer, followed along a path, is (section 1).
 * @param {Answer} answer
 * @param {unknown[]} path keys of plain objects and indexes of lists
 */
export declare function answerValue(answer: Answer, path: unknown[]): any;
/**
 * @param {any} value
 * @param {unknown[]} path
 */
export declare function followPath(value: any, path: unknown[]): any;
