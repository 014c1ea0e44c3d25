/**
 * When a connection that was lost is tried again (docs/protocol.md, section 6).
 *
 * @module
 */

import { now } from "./clock.js";
import { LONGEST_TRY, MOST_TRIES, OVERLOAD_SECONDS, SOONEST_TRY, STALL_SECONDS } from "./limits.js";

/** Seconds before another try, from 0 on: twice as many each time, with full jitter. @param {number} attempt */
const backoff = (attempt) => Math.random() * Math.min(20, 0.5 * 2 ** attempt);

/** Seconds in the range that a server asks for, which is not believed beyond measure. @param {number[]} range */
const within = ([least = 0, most = 0]) => {
  const from = Math.min(Math.max(least, SOONEST_TRY), LONGEST_TRY);
  return from + Math.random() * (Math.min(Math.max(most, from), LONGEST_TRY) - from);
};

export function newTries() {
  /** Tries since the last time that it went well, and since when a connection was there. */
  let attempts = 0;
  let openedAt = Infinity;
  /** Whether the last one was to resume a session, and no connection came about since. */
  let inWindow = false;
  /** When the last ones began, but for those that resumed a session. @type {number[]} */
  const begun = [];
  /** The last ending whose wish was heeded. @type {import("./broker.js").Ending | null} */
  let heeded = null;

  /** Seconds until another try is allowed, whoever wants it. */
  const left = () =>
    begun.length < MOST_TRIES ? 0 : Math.max(0, /** @type {number} */ (begun[0]) + 60 - now());

  return {
    left,
    /**
     * Seconds until the next one.
     *
     * A link that is there again before the session is over is to be found before; and when it is
     * over, the application waits for a new one, so the tries begin anew.
     * @param {import("./broker.js").Ending | null} ending of the last session
     * @param {number} rest of the window of one that has not ended
     */
    next(ending, rest) {
      if (now() - openedAt > STALL_SECONDS || (ending && inWindow)) attempts = 0;
      openedAt = Infinity;
      inWindow = !ending;
      const isFirst = ending !== heeded;
      heeded = ending;
      const range = ending?.reconnect;
      if (isFirst && Array.isArray(range)) return Math.max(within(range), left());
      // Overloaded, or this client was too fast.
      const least =
        isFirst && [1013, 4429].includes(/** @type {any} */ (ending)?.code) ? OVERLOAD_SECONDS : 0;
      let pause = least + backoff(attempts++);
      if (!ending && pause > rest) {
        pause = rest + Math.random() * (rest > 1 ? -rest : 1) * 0.5;
      }
      return Math.max(pause, left());
    },
    begin() {
      begun.push(now());
      if (begun.length > MOST_TRIES) begun.shift();
    },
    opened() {
      openedAt = now();
      inWindow = false;
    },
    resumed() {
      begun.pop();
    },
  };
}
