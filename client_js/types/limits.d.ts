/**
 * Every bound, under the names of docs/protocol.md, section 7, each with what it stops.
 *
 * @module
 */
export type Limits = {
    /**
     * bytes of one message: memory before anything is parsed
     */
    message: number;
    /**
     * levels of a value: the stack
     */
    depth: number;
    /**
     * frames of one message: the time that one message takes
     */
    batch: number;
    /**
     * calls in progress: memory held by calls that never end
     */
    calls: number;
    /**
     * objects handed out on one session: tables that only grow
     */
    references: number;
    /**
     * open streams
     */
    streams: number;
    /**
     * digits of an integer or a decimal: arithmetic that is quadratic
     */
    digits: number;
    /**
     * frames `ping` and `pong` a second
     */
    control: number;
};
/**
 * @typedef {object} Limits what one side accepts from its peer
 * @property {number} message bytes of one message: memory before anything is parsed
 * @property {number} depth levels of a value: the stack
 * @property {number} batch frames of one message: the time that one message takes
 * @property {number} calls calls in progress: memory held by calls that never end
 * @property {number} references objects handed out on one session: tables that only grow
 * @property {number} streams open streams
 * @property {number} digits digits of an integer or a decimal: arithmetic that is quadratic
 * @property {number} control frames `ping` and `pong` a second
 */
/** @type {Readonly<Limits>} */
export declare const LIMITS: Readonly<Limits>;
/** Characters of answers that wait for a slow reader: one more is replaced by an error. */
export declare const ANSWERS = 8388608;
/** Frames and bytes that may be sent and not yet acknowledged (section 6). */
export declare const WINDOW_FRAMES = 4096;
export declare const WINDOW_BYTES = 1048576;
/** An `ack` is owed after so many frames, bytes or seconds (section 6). */
export declare const ACK_FRAMES = 32;
export declare const ACK_BYTES = 65536;
export declare const ACK_SECONDS = 0.25;
/** Seconds: a full window without an acknowledgement, the first frame, a connection made again. */
export declare const STALL_SECONDS = 10;
/**
 * Liveness, in seconds: of silence before `ping` while a call waits (else the peer's `heartbeat`), for
 * an answer to it, and for that of a page that comes back (section 6).
 */
export declare const WAITING_SECONDS = 6;
export declare const ANSWER_SECONDS = 8;
export declare const BACK_SECONDS = 5;
/**
 * Connecting again, in seconds: at the soonest and at the latest, where a server says when, and after
 * it said that it is overloaded; and tries in a minute that resume nothing (section 6).
 */
export declare const SOONEST_TRY = 0.25;
export declare const LONGEST_TRY = 300;
export declare const OVERLOAD_SECONDS = 5;
export declare const MOST_TRIES = 10;
/** Unknown frames that are answered in a minute, and limits broken before the session ends. */
export declare const UNKNOWN_FRAMES = 16;
export declare const VIOLATIONS = 4;
/**
 * Items of a stream that a reader has and has asked for, at most; and how many a producer has drawn
 * and not sent, whatever it is asked for (section 5).
 */
export declare const STREAM_AHEAD = 64;
export declare const STREAM_DRAWN = 1024;
/** About so many bytes of a stream go into one answer; a chunk of a file has so many at most. */
export declare const ANSWER_BYTES = 262144;
export declare const CHUNK_BYTES = 65536;
/** Items and characters of a live copy; and characters of what is compared as a key or a member. */
export declare const COPY_WEIGHT = 4194304;
export declare const KEY_WEIGHT = 65536;
/** Bytes in one value above which they travel outside the JSON (section 8). */
export declare const INLINE_BYTES = 1024;
/**
 * The defaults with what `given` says in their place.
 * @param {Partial<Limits>} [given]
 * @param {new (text: string) => Error} [Refusal]
 * @returns {Limits}
 */
export declare function withDefaults(given?: Partial<Limits>, Refusal?: new (text: string) => Error): Limits;
