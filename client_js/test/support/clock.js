// A clock that stands still until a test moves it, in the place of the platform's own.

import { settled } from "./peer.js";

export class Clock {
  time = 1000;
  /** Seconds by which the wall's clock is ahead: a machine that slept. */
  ahead = 1.7e9;
  /** Timers run only when so many seconds are full, as in a hidden tab. */
  throttle = 0;
  timers = new Map();
  #ids = 0;

  /** Until the test `t` has ended. */
  constructor(t) {
    const { setTimeout, clearTimeout } = globalThis;
    // The runner's mocks keep every call, which fills the memory in a long run.
    const [monotonic, wall] = [performance.now, Date.now];
    performance.now = () => this.time * 1000;
    Date.now = () => (this.time + this.ahead) * 1000;
    globalThis.setTimeout = (run, ms) => {
      this.timers.set(++this.#ids, { at: this.time + Math.max(ms, 1) / 1000, run });
      return this.#ids;
    };
    globalThis.clearTimeout = (id) => this.timers.delete(id);
    t.after(() => {
      Object.assign(globalThis, { setTimeout, clearTimeout });
      performance.now = monotonic;
      Date.now = wall;
    });
  }

  #next() {
    const round = ({ at }) => (this.throttle ? Math.ceil(at / this.throttle) * this.throttle : at);
    let first = { at: Infinity };
    for (const [id, timer] of this.timers) {
      if (round(timer) < first.at) first = { id, at: round(timer), run: timer.run };
    }
    return first;
  }

  /** Let so many seconds pass, with all timers and what they cause. */
  async pass(seconds) {
    const end = this.time + seconds;
    for (let next = this.#next(); next.at <= end; next = this.#next()) {
      this.time = Math.max(this.time, next.at);
      this.timers.delete(next.id);
      next.run();
      await settled();
    }
    this.time = end;
    await settled();
  }

  /** The machine or the page is asleep: no timer runs. */
  sleep(seconds) {
    this.time += seconds;
  }
}
