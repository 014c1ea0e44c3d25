/**
 * The clock and the timers that the shell hands to what is below.
 *
 * @module
 */

/** Seconds of a clock that never goes back. */
export const now = () => performance.now() / 1000;

/**
 * @param {number} seconds
 * @param {() => void} run
 * @param {boolean} [holds] in Node, whether it keeps the process alive, as a transport does
 */
export function startTimer(seconds, run, holds) {
  /** @type {any} */
  const timer = setTimeout(run, Math.min(seconds * 1000, 2 ** 31 - 1));
  if (!holds) timer.unref?.();
  return () => clearTimeout(timer);
}
