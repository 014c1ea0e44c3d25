/**
 * The values that JSON cannot hold and that contain no others: tags `bytes`, `int`, `float`,
 * `decimal`, `datetime`, `date`, `time`, `timedelta` (docs/protocol.md, section 2).
 *
 * @module
 */
/**
 * A value on the wire, of a kind that JavaScript has no type for: its text, kept exactly. Whether
 * there is such a day, the peer decides.
 */
export declare class Held {
    /** The text, exactly as it stands on the wire. */
    value: string;
    /** @param {string | number} value the text, as Python writes it */
    constructor(value: string | number);
    /** The text. */
    toString(): string;
}
/** Python's `decimal.Decimal`: its digits. */
export declare class Decimal extends Held {
    static tag: string;
    static pattern: string;
}
/** A `datetime` that is no Date: without a time zone, or with parts of a millisecond. */
export declare class DateTime extends Held {
    static tag: string;
    static pattern: string;
}
/** A `date`, such as "2026-02-28". */
export declare class DateOnly extends Held {
    static tag: string;
    static pattern: string;
}
/** A `time`, such as "09:30:00" or "09:30:00+01:00". */
export declare class TimeOnly extends Held {
    static tag: string;
    static pattern: string;
}
/** A `timedelta` in seconds, such as "90.5". */
export declare class TimeDelta extends Held {
    static tag: string;
    static pattern: string;
}
/**
 * A number, bigint, Date or holder as a tagged value; undefined when it is none.
 * @param {any} value
 * @param {import("./limits.js").Limits} limits of the peer
 * @returns {object | undefined}
 */
export declare function jellyScalar(value: any, limits: import("./limits.js").Limits): object | undefined;
/**
 * @param {Uint8Array} bytes
 * @returns {string} standard base64, padded
 */
export declare function toBase64(bytes: Uint8Array): string;
/**
 * The value of a scalar tag; undefined for any other, and when it is wrong.
 * @param {Record<string, any>} tagged
 * @param {import("./limits.js").Limits} limits of this side
 */
export declare function unjellyScalar(tagged: Record<string, any>, limits: import("./limits.js").Limits): unknown;
