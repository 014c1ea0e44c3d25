/**
 * Caches: an object of one side's, and the copies that the other sides are told every change of
 * (docs/protocol.md, section 3).
 *
 * @module
 */

import { setAttributes } from "./flavors.js";
import { Callable } from "./promises.js";

/** @typedef {import("./broker.js").Broker} Broker */

/**
 * An object of which each peer that gets it holds one copy, a RemoteCache, and is told what changes.
 * The type by which the peer knows it is the static `pbType`, or else the class's name.
 */
export class Cacheable {
  /**
   * The state for a new copy, any value that can cross; and remember `observer`, which is the peer
   * that holds it. From here on tell it every change: `observer.callRemoteOnly("added", …)` calls
   * `observe_added` there.
   *
   * @param {unknown} _perspective whose copy it is; null without a login
   * @param {RemoteCacheObserver} _observer
   * @returns {any}
   */
  getStateToCacheAndObserveFor(_perspective, _observer) {
    throw new TypeError(`${this.constructor.name} has no getStateToCacheAndObserveFor.`);
  }

  /**
   * The peer has let its copy go, or its session is over; called once for each observer.
   * @param {unknown} _perspective
   * @param {RemoteCacheObserver} _observer
   */
  stoppedObserving(_perspective, _observer) {}
}

/**
 * A peer that holds a copy of a Cacheable. Calls on it reach the `observe_` methods of the copy, in
 * order with the answers of this side. A failure that nobody awaits is logged.
 *
 * @extends {Callable<any>}
 */
export class RemoteCacheObserver extends Callable {
  /** The cache's id; 0 until its state was given. @internal */
  id = 0;
  /** Whether the peer has let its copy go. @internal */
  released = false;
}

/**
 * What is behind each copy of a cache.
 * @type {WeakMap<RemoteCache, import("./references.js").Held>}
 */
export const holds = new WeakMap();

/**
 * The copy of a peer's Cacheable. The owner calls what is named `observe_…` on its class. It is kept,
 * and told every change, until it is released or the session is over.
 */
export class RemoteCache {
  /**
   * Take the state that came with the copy: without this, the attributes.
   * @param {any} state
   */
  setCopyableState(state) {
    setAttributes(this, state);
  }

  /** The copy is no longer wanted: the owner stops telling what changes. */
  release() {
    const held = holds.get(this);
    held?.broker.release(held);
  }

  /** It is no plain object: Vue does not put a Proxy in its place. @internal */
  get [Symbol.toStringTag]() {
    return "pbweb";
  }

  /** For `using`. */
  [Symbol.dispose]() {
    this.release();
  }
}
