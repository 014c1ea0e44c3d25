/**
 * The wire's vocabulary: messages to frames and back, and the check of every frame's envelope
 * (docs/protocol.md, sections 1 and 8). Values are not looked into: that is jelly.js.
 *
 * @module
 */
export type Frame = any[];
export type Message = {
    frames: Frame[];
    /**
     * in characters, or in bytes
     */
    size: number;
    /**
     * false when no value in it can be a tagged one
     */
    tagged: boolean;
    /**
     * false when no value in it can have too many levels
     */
    deep: boolean;
    /**
     * of a binary message
     */
    attachments: Uint8Array[];
};
/** The bytes of a message; it costs, and few come near a limit. @param {string | Uint8Array} data */
export declare const byteLength: (data: string | Uint8Array) => number;
/** Whether a string has no lone surrogate. @param {any} text @returns {boolean} */
export declare const isWellFormed: (text: any) => boolean;
export declare const isList: (arg: any) => arg is any[];
/** A request's or an object's id. @param {any} value @returns {value is number} */
export declare const isId: (value: any) => value is number;
/** @param {any} value */
export declare const isAnswer: (value: any) => boolean;
/** @param {any[]} items */
export declare function kindsOf(items: any[]): string;
/**
 * The frames of a message, all checked. Throws what closes the connection: a ProtocolError with
 * its code, or LimitExceeded.
 * @param {any} data what the transport delivered
 * @param {import("./limits.js").Limits} limits of this side
 * @returns {Message}
 */
export declare function decodeMessage(data: any, limits: import("./limits.js").Limits): Message;
/**
 * JSON.stringify escapes lone surrogates, and no others.
 * @param {string} json
 */
export declare const hasLoneSurrogate: (json: string) => boolean;
/**
 * Whether a JSON value has more than `most` levels of arrays and objects.
 * @param {any} value
 * @param {number} most
 * @returns {boolean}
 */
export declare function isDeeper(value: any, most: number): boolean;
/**
 * Call `visit` with every tagged value in `value`, wherever it stands, at any depth.
 * @param {unknown} value
 * @param {(tagged: Record<string, any>) => void} visit
 */
export declare function eachTagged(value: unknown, visit: (tagged: Record<string, any>) => void): void;
/**
 * One frame with its attachments as one binary message (section 8).
 * @param {string} text the frame's JSON
 * @param {Uint8Array[]} attachments
 * @returns {Uint8Array<ArrayBuffer>}
 */
export declare function encodeBinary(text: string, attachments: Uint8Array[]): Uint8Array<ArrayBuffer>;
/**
 * Text of at most `most` bytes, cut between characters, with lone surrogates replaced.
 * @param {string} text
 * @param {number} most
 */
export declare function cutText(text: string, most: number): string;
