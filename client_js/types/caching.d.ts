/**
 * Caches: an object of one side's, and the copies that the other sides are told every change of
 * (docs/protocol.md, section 3).
 *
 * @module
 */
import { Callable } from "./promises.js";
export type Broker = import("./broker.js").Broker;
/** @typedef {import("./broker.js").Broker} Broker */
/**
 * An object of which each peer that gets it holds one copy, a RemoteCache, and is told what changes.
 * The type by which the peer knows it is the static `pbType`, or else the class's name.
 */
export declare class Cacheable {
    /**
     * The state for a new copy, any value that can cross; and remember `observer`, which is the peer
     * that holds it. From here on tell it every change: `observer.callRemoteOnly("added", …)` calls
     * `observe_added` there.
     *
     * @param {unknown} _perspective whose copy it is; null without a login
     * @param {RemoteCacheObserver} _observer
     * @returns {any}
     */
    getStateToCacheAndObserveFor(_perspective: unknown, _observer: RemoteCacheObserver): any;
    /**
     * The peer has let its copy go, or its session is over; called once for each observer.
     * @param {unknown} _perspective
     * @param {RemoteCacheObserver} _observer
     */
    stoppedObserving(_perspective: unknown, _observer: RemoteCacheObserver): void;
}
/**
 * A peer that holds a copy of a Cacheable. Calls on it reach the `observe_` methods of the copy, in
 * order with the answers of this side. A failure that nobody awaits is logged.
 *
 * @extends {Callable<any>}
 */
export declare class RemoteCacheObserver extends Callable<any> {
}
/**
 * What is behind each copy of a cache.
 * @type {WeakMap<RemoteCache, import("./references.js").Held>}
 */
export declare const holds: WeakMap<RemoteCache, import("./references.js").Held>;
/**
 * The copy of a peer's Cacheable. The owner calls what is named `observe_…` on its class. It is kept,
 * and told every change, until it is released or the session is over.
 */
export declare class RemoteCache {
    /**
     * Take the state that came with the copy: without this, the attributes.
     * @param {any} state
     */
    setCopyableState(state: any): void;
    /** The copy is no longer wanted: the owner stops telling what changes. */
    release(): void;
    /** For `using`. */
    [Symbol.dispose](): void;
}
