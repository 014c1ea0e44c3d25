/**
 * What this side handed out, and what it holds of the peer's (docs/protocol.md, section 3).
 *
 * @module
 */

// So that types/ have Symbol.dispose whatever `lib` their reader compiles with.
/// <reference lib="esnext.disposable" preserve="true" />

import { holds } from "./caching.js";
import { breach, checkLimit, deadReference } from "./errors.js";
import { Referenceable } from "./flavors.js";
import { Callable } from "./promises.js";

/** @typedef {import("./broker.js").Broker} Broker */

/** What has an id of the peer's or of this side's, or a name, which is not counted. @typedef {number | string} Id */

/**
 * What was handed out, and how often; `observer` is there when it is a Cacheable.
 * @typedef {object} Export
 * @property {Id} id
 * @property {any} object
 * @property {number} count
 * @property {import("./caching.js").RemoteCacheObserver} [observer]
 * @property {import("./streams.js").Producer} [producer] what the peer calls, when it is a stream
 */

/**
 * The objects that the peer can name: by the ids that it was given, and by published names.
 * @param {Pick<Broker, "limits" | "peer" | "hooks">} broker
 */
export function newExports(broker) {
  /** @type {Map<Id, object>} */
  const published = new Map();
  /** @type {Map<Id, Export>} */
  const numbered = new Map();
  /** What an object is handed out as. @type {Map<unknown, Export>} */
  const given = new Map();
  let next = 1;

  /**
   * Of the times that `id` was handed out, `count` are over; true when those were all.
   * @param {number} id
   * @param {number} count
   * @param {boolean} [isCache]
   */
  const decref = (id, count, isCache = false) => {
    const entry = numbered.get(id);
    if (!entry || !entry.observer === isCache || entry.count < count) {
      return breach(`Object ${id} was not handed out so often.`);
    }
    return lower(entry, count);
  };

  /**
   * @param {Export} entry
   * @param {number} count
   */
  const lower = (entry, count) => {
    entry.count -= count;
    if (entry.count) return false;
    numbered.delete(entry.id);
    if (given.get(entry.object) === entry) given.delete(entry.object);
    stop(entry);
    return true;
  };

  /** The peer no longer has what may be a Cacheable or a stream. @param {Export} entry */
  const stop = ({ object, observer, producer }) => {
    producer?.stop();
    // One that has no id was not given the state.
    if (!observer?.id) return;
    observer.released = true;
    try {
      object.stoppedObserving(null, observer);
    } catch (error) {
      broker.hooks.log(error, "stoppedObserving");
    }
  };

  return {
    decref,
    get size() {
      return numbered.size;
    },
    /**
     * @param {string} name
     * @param {object} object
     */
    publish(name, object) {
      given.delete(published.get(name));
      published.set(name, object);
      given.set(object, { id: name, object, count: 0 });
    },
    /**
     * What `object` is handed out as once more.
     * @param {object} object
     * @param {() => import("./streams.js").Producer} [produce] for a stream
     * @returns {Export}
     */
    introduce(object, produce) {
      let entry = given.get(object);
      if (!entry) {
        if (produce) {
          const open = countStreams(numbered) + 1;
          checkLimit(broker.limits, "streams", open);
          checkLimit(broker.peer.limits, "streams", open);
        }
        checkLimit(broker.limits, "references", numbered.size + 1);
        checkLimit(broker.peer.limits, "references", numbered.size + 1);
        entry = { id: next++, object, count: 0, producer: produce?.() };
        numbered.set(entry.id, entry);
        given.set(object, entry);
      }
      entry.count++;
      return entry;
    },
    /**
     * Undo what `introduce` did for a frame that does not go out.
     * @param {number[]} ids in the order in which they were given
     */
    takeBack(ids) {
      for (const id of ids.reverse()) {
        const entry = numbered.get(id);
        // The peer has not seen it, and it can go out with another frame.
        if (entry?.count === 1) entry.producer = undefined;
        if (entry) lower(entry, 1);
        if (id === next - 1 && !numbered.has(id)) next--;
      }
    },
    /**
     * @param {Id} id
     * @param {boolean} [isCache]
     * @returns {object}
     */
    find(id, isCache = false) {
      const entry = numbered.get(id);
      const object =
        !entry?.observer !== isCache && (published.get(id) ?? entry?.producer ?? entry?.object);
      if (!object) throw deadReference();
      return object;
    },
    clear() {
      const entries = [...numbered.values()];
      published.clear();
      numbered.clear();
      given.clear();
      entries.forEach(stop);
    },
  };
}

/** @param {Map<Id, { producer?: unknown, Kind?: unknown }>} table */
const countStreams = (table) =>
  [...table.values()].filter(({ producer, Kind }) => producer || Kind).length;

/**
 * How often an id was received (a name is not counted), and what stands for it: a reference, or the
 * copy of a cache, which is kept until the owner says `uncache`.
 * @typedef {object} Held
 * @property {Broker} broker
 * @property {Id} id
 * @property {number} count
 * @property {number} [leaving] how many of them are to be given back when the calls that name it are out
 * @property {WeakRef<any>} [weak] the reference, or the live copy
 * @property {import("./caching.js").RemoteCache} [cache] what takes the updates
 * @property {new (broker: Broker, held: Held) => object} [Kind] the class, if that is no RemoteReference
 * @property {() => object} [newCopy] what makes a live copy of it, for the application
 */

/** @type {FinalizationRegistry<() => void>} */
const collected = new FinalizationRegistry((drop) => drop());

/** What is over is no concern any more: it would keep a live copy that somebody listens to. @param {Held} held */
const forget = (held) => collected.unregister(held);

/**
 * The RemoteReferences and RemoteCaches of one session, one for each id and each name.
 * @param {Broker} broker
 */
export function newImports(broker) {
  /** @type {Map<Id, Held>} */
  const numbered = new Map();
  /** @type {Map<Id, Held>} */
  const named = new Map();
  const tableOf = (/** @type {Id} */ id) => (typeof id === "number" ? numbered : named);

  /**
   * Give back as many as were received. A reference is forgotten, a cache may come back.
   * @param {Held} held
   * @param {number} [count]
   */
  const drop = (held, count = held.count) => {
    const { id, cache } = held;
    const table = tableOf(id);
    held.leaving = 0;
    if (table.get(id) !== held) return;
    held.count -= count;
    if (!cache && !held.count) table.delete(id);
    if (table === numbered && count) broker.postSmall([cache ? "decache" : "decref", id, count]);
  };

  /**
   * What stands for an id: it is made when there is none.
   * @param {Id} id
   * @param {{ references?: number }} [limits]
   */
  const hold = (id, limits = broker.limits) => {
    const table = tableOf(id);
    let held = table.get(id);
    if (!held) {
      checkLimit(limits, "references", table.size + 1);
      held = { broker, id, count: 0 };
      table.set(id, held);
    }
    return held;
  };

  /**
   * What stands for an id, as long as it is no garbage; else a new one.
   * @param {Held} held
   * @param {() => object} make
   */
  const standIn = (held, make) => {
    let object = held.weak?.deref();
    if (!object || (object.released && held.leaving !== held.count)) {
      object = make();
      held.weak = new WeakRef(object);
      collected.register(object, () => held.weak?.deref() || drop(held), held);
    }
    return object;
  };

  /** @param {Held} held @returns {any} */
  const copyFor = (held) => (held.newCopy ? standIn(held, held.newCopy) : held.cache);

  return {
    /** Give back what was there at `release`: more may have come since. @param {Held} held */
    leave: (held) => drop(held, held.leaving),
    /** @param {Id} id */
    has: (id) => numbered.has(id),
    /** How many objects of the peer's are held, those with a name left out. */
    get size() {
      return numbered.size;
    },
    /**
     * The reference to what the peer hands out once more, or has published.
     * @param {Id} id
     * @param {{ references?: number }} [limits]
     * @returns {RemoteReference<any>}
     */
    receive(id, limits) {
      const held = hold(id, limits);
      if (held.cache || held.Kind) throw deadReference();
      held.count++;
      return standIn(held, () => new RemoteReference(broker, held));
    },
    /**
     * The stream that the peer hands out once more.
     * @param {number} id
     * @param {new (broker: Broker, held: Held) => object} Kind
     */
    receiveStream(id, Kind) {
      let held = numbered.get(id);
      if (!held) {
        checkLimit(broker.limits, "streams", countStreams(numbered) + 1);
        held = Object.assign(hold(id), { Kind });
      }
      if (!held.Kind) throw deadReference();
      held.count++;
      return standIn(held, () => new Kind(broker, held));
    },
    /**
     * The copy of a cache that the peer hands out once more.
     * @param {number} id
     */
    receiveCache(id) {
      const held = numbered.get(id);
      if (!held?.cache) throw deadReference();
      held.count++;
      return copyFor(held);
    },
    /**
     * The peer hands out a cache; gives what then gives the copy for the application.
     * @param {number} id
     * @param {import("./caching.js").RemoteCache} cache
     * @param {() => object} [newCopy]
     */
    addCache(id, cache, newCopy) {
      const held = Object.assign(hold(id), { cache, newCopy });
      holds.set(cache, held);
      held.count++;
      return () => copyFor(held);
    },
    /** What takes the updates of a cache. @param {number} id */
    find(id) {
      const cache = numbered.get(id)?.cache;
      if (!cache) throw deadReference();
      return cache;
    },
    /** The owner is done with a copy that was given back. @param {number} id */
    uncache(id) {
      const held = numbered.get(id);
      if (held?.count) breach(`Cache ${id} is not given back.`);
      if (held) forget(held);
      numbered.delete(id);
    },
    /**
     * Forget that a frame that is refused was received: what it held is given back elsewhere.
     * @param {number[]} ids
     */
    takeBack(ids) {
      for (const id of ids) {
        const held = numbered.get(id);
        if (held && --held.count === 0) numbered.delete(id);
      }
    },
    /**
     * How a reference or a cache stands in a frame to its owner.
     * @param {Held} held
     */
    idOf(held) {
      if (tableOf(held.id).get(held.id) !== held || (held.cache && !held.count)) {
        throw deadReference();
      }
      return held.id;
    },
    clear() {
      numbered.forEach(forget);
      numbered.clear();
      named.clear();
    },
  };
}

/** An object that lives with the peer. @template [Api=any] @extends {Callable<Api>} */
export class RemoteReference extends Callable {
  /** @internal */
  released = false;

  /**
   * @internal
   * @param {Broker} broker
   * @param {Held} held
   */
  constructor(broker, held) {
    super(broker);
    /** @internal */
    this.held = held;
  }

  /** Always undefined; it tells TypeScript what the peer's object can do. @returns {Api | undefined} */
  get api() {
    return undefined;
  }

  /** Let the peer forget the object. Calls in progress go on; later ones fail. */
  release() {
    if (this.released) return;
    this.released = true;
    this.broker.release(this.held);
  }

  /** For `using`. Older browsers have neither that nor the symbol; there this is never called. */
  [Symbol.dispose]() {
    this.release();
  }

  /** Call `callback` with this reference, once, when its session is over. @param {(reference: this) => void} callback */
  notifyOnDisconnect(callback) {
    this.broker.notifyOnDisconnect(callback, this);
  }

  /** Undo `notifyOnDisconnect`. @param {(reference: this) => void} callback */
  dontNotifyOnDisconnect(callback) {
    this.broker.dontNotifyOnDisconnect(callback, this);
  }
}

/**
 * Whether a value crosses as a reference.
 * @param {unknown} value
 * @returns {value is Function | Referenceable | RemoteReference<any>}
 */
export const isReference = (value) =>
  typeof value === "function" || value instanceof Referenceable || value instanceof RemoteReference;
