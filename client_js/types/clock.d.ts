/**
 * The clock and the timers that the shell hands to what is below.
 *
 * @module
 */
/** Seconds of a clock that never goes back. */
export declare const now: () => number;
/**
 * @param {number} seconds
 * @param {() => void} run
 * @param {boolean} [holds] in Node, whether it keeps the process alive, as a transport does
 */
export declare function startTimer(seconds: number, run: () => void, holds?: boolean): () => void;
