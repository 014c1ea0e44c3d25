/**
 * Every bound, under the names of docs/protocol.md, section 7, each with what it stops.
 *
 * @module
 */

import { isId } from "./frames.js";

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
export const LIMITS = {
  message: 1048576,
  depth: 100,
  batch: 4096,
  calls: 256,
  references: 1024,
  streams: 64,
  digits: 1024,
  control: 20,
};

/** Characters of answers that wait for a slow reader: one more is replaced by an error. */
export const ANSWERS = 8388608;

/** Frames and bytes that may be sent and not yet acknowledged (section 6). */
export const WINDOW_FRAMES = 4096;
export const WINDOW_BYTES = 1048576;

/** An `ack` is owed after so many frames, bytes or seconds (section 6). */
export const ACK_FRAMES = 32;
export const ACK_BYTES = 65536;
export const ACK_SECONDS = 0.25;

/** Seconds: a full window without an acknowledgement, the first frame, a connection made again. */
export const STALL_SECONDS = 10;

/**
 * Liveness, in seconds: of silence before `ping` while a call waits (else the peer's `heartbeat`), for
 * an answer to it, and for that of a page that comes back (section 6).
 */
export const WAITING_SECONDS = 6;
export const ANSWER_SECONDS = 8;
export const BACK_SECONDS = 5;

/**
 * Connecting again, in seconds: at the soonest and at the latest, where a server says when, and after
 * it said that it is overloaded; and tries in a minute that resume nothing (section 6).
 */
export const SOONEST_TRY = 0.25;
export const LONGEST_TRY = 300;
export const OVERLOAD_SECONDS = 5;
export const MOST_TRIES = 10;

/** Unknown frames that are answered in a minute, and limits broken before the session ends. */
export const UNKNOWN_FRAMES = 16;
export const VIOLATIONS = 4;

/**
 * Items of a stream that a reader has and has asked for, at most; and how many a producer has drawn
 * and not sent, whatever it is asked for (section 5).
 */
export const STREAM_AHEAD = 64;
export const STREAM_DRAWN = 1024;

/** About so many bytes of a stream go into one answer; a chunk of a file has so many at most. */
export const ANSWER_BYTES = 262144;
export const CHUNK_BYTES = 65536;

/** Items and characters of a live copy; and characters of what is compared as a key or a member. */
export const COPY_WEIGHT = 4194304;
export const KEY_WEIGHT = 65536;

/** Bytes in one value above which they travel outside the JSON (section 8). */
export const INLINE_BYTES = 1024;

/**
 * The defaults with what `given` says in their place.
 * @param {Partial<Limits>} [given]
 * @param {new (text: string) => Error} [Refusal]
 * @returns {Limits}
 */
export function withDefaults(given = {}, Refusal = RangeError) {
  const limits = { ...LIMITS };
  for (const name of /** @type {(keyof Limits)[]} */ (Object.keys(limits))) {
    const limit = given[name] ?? limits[name];
    if (!isId(limit)) throw new Refusal(`The limit ${name} must be a whole number from 1 on.`);
    limits[name] = limit;
  }
  return limits;
}
