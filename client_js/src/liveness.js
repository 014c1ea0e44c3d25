/**
 * Whether the link is alive (docs/protocol.md, section 6), also where timers hardly run.
 *
 * @module
 */

import { now, startTimer } from "./clock.js";
import { ANSWER_SECONDS, BACK_SECONDS, WAITING_SECONDS } from "./limits.js";

/** @typedef {ReturnType<typeof newLiveness>} Liveness */

const page = /** @type {any} */ (globalThis);

export const isHidden = () => page.document?.visibilityState === "hidden";

/** How far the clock on the wall is ahead of the one that may stand still while a machine sleeps. */
const wallAhead = () => Date.now() / 1000 - now();

/**
 * @param {() => import("./session.js").Session} current the session that is carried
 * @param {() => number} unsent how many bytes wait to go out
 * @param {(silence: number) => void} timeOut called when nothing has come for too long
 */
export function newLiveness(current, unsent, timeOut) {
  /** @type {(() => void) | undefined} */
  let stopTimer;
  /** When it was looked at last, and when it was to be looked at next. */
  let looked = 0;
  let due = Infinity;
  let drift = wallAhead();
  /** Until when the peer may answer; 0 when it was not asked. */
  let deadline = 0;
  /** What waited to go out when it was looked at last. */
  let ahead = 0;

  function stop() {
    stopTimer?.();
    stopTimer = undefined;
    due = Infinity;
    deadline = 0;
  }

  /** Look at it again after so many seconds. @param {number} seconds */
  function plan(seconds) {
    stopTimer?.();
    looked = now();
    due = looked + seconds;
    drift = wallAhead();
    ahead = unsent();
    stopTimer = startTimer(seconds, look);
  }

  const heard = () => /** @type {number} */ (current().heard);

  function look() {
    const time = now();
    const { waiting, peer } = current().broker;
    const silence = time - heard();
    const heartbeat = Math.max(peer.heartbeat, 1);
    const hidden = isHidden();
    // Timers of a hidden tab are as late as those of a machine that was asleep, or of a page that was frozen.
    const slept = Math.max(time - due, wallAhead() - drift) > BACK_SECONDS;
    // What is large takes long on a slow link, and a question stands behind it.
    const isStuck = unsent() >= ahead;
    // The peer asks as well: so long it is not silent, though this side's question may wait for a minute.
    if (hidden && isStuck && silence >= 2 * heartbeat) return timeOut(silence);
    if (slept && !hidden) return ask(BACK_SECONDS);
    if (time < deadline) return plan(deadline - time);
    if (deadline && isStuck) return timeOut(silence);
    if (deadline) return ask(ANSWER_SECONDS);
    const most = waiting.size ? Math.min(WAITING_SECONDS, heartbeat) : heartbeat;
    if (silence >= most) return ask(ANSWER_SECONDS);
    plan(Math.min(WAITING_SECONDS, most - silence));
  }

  /** Ask whether the link is alive, and take it for lost when nothing has come in time. @param {number} seconds */
  function ask(seconds) {
    const time = now();
    deadline = Math.min(deadline > time ? deadline : Infinity, time + seconds);
    current().probe();
    plan(deadline - time);
  }

  return {
    look,
    ask,
    stop,
    /** Something has come: a timer that this starts, and no other timer, is hardly late in a hidden tab. */
    came() {
      if (stopTimer && !deadline && heard() - looked <= BACK_SECONDS) return;
      deadline = 0;
      look();
    },
  };
}

/**
 * Call `back` whenever the page comes back, and `gone` when it goes for good.
 * @param {AbortSignal} signal
 * @param {() => void} back
 * @param {() => void} gone
 */
export function watchPage(signal, back, gone) {
  const watch = (/** @type {any} */ event) => {
    if (event.type === "pagehide") return event.persisted || gone();
    if (event.type === "online" || !isHidden()) back();
  };
  for (const name of ["visibilitychange", "online", "pageshow", "pagehide"]) {
    page.addEventListener?.(name, watch, { signal });
  }
  page.document?.addEventListener?.("resume", watch, { signal });
}
