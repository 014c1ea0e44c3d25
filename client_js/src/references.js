/**
 * What this side handed out, and what it holds of the peer's (docs/protocol.md, section 3).
 *
 * @module
 */

// So that types/ have Symbol.dispose whatever `lib` their reader compiles with.
/// <reference lib="esnext.disposable" preserve="true" />

import { breach, checkLimit, deadReference } from "./errors.js";
import { Referenceable } from "./flavors.js";
import { Callable } from "./promises.js";

/** @typedef {import("./broker.js").Broker} Broker */

/** What has an id of the peer's or of this side's, or a name, which is not counted. @typedef {number | string} Id */

/**
 * The objects that the peer can name: by the ids that it was given, and by published names.
 * @param {Pick<Broker, "limits" | "peer">} broker
 */
export function newExports(broker) {
  /** @type {Map<Id, object>} */
  const published = new Map();
  /** @type {Map<Id, { id: Id, object: object, count: number }>} */
  const numbered = new Map();
  /** What an object is handed out as. @type {Map<unknown, { id: Id, object: object, count: number }>} */
  const given = new Map();
  let next = 1;

  /**
   * Of the times that `id` was handed out, `count` are over.
   * @param {number} id
   * @param {number} count
   */
  const decref = (id, count) => {
    const entry = numbered.get(id);
    if (!entry || entry.count < count) return breach(`decref of ${id}: too many.`);
    entry.count -= count;
    if (entry.count) return;
    numbered.delete(id);
    if (given.get(entry.object) === entry) given.delete(entry.object);
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
     * The id, or name, under which `object` is handed out once more.
     * @param {object} object
     */
    introduce(object) {
      let entry = given.get(object);
      if (!entry) {
        checkLimit(broker.limits, "references", numbered.size + 1);
        checkLimit(broker.peer.limits, "references", numbered.size + 1);
        entry = { id: next++, object, count: 0 };
        numbered.set(entry.id, entry);
        given.set(object, entry);
      }
      entry.count++;
      return entry.id;
    },
    /**
     * Undo what `introduce` did for a frame that does not go out.
     * @param {number[]} ids in the order in which they were given
     */
    takeBack(ids) {
      for (const id of ids.reverse()) {
        decref(id, 1);
        if (id === next - 1 && !numbered.has(id)) next--;
      }
    },
    /**
     * @param {Id} id
     * @returns {object}
     */
    find(id) {
      const object = published.get(id) ?? numbered.get(id)?.object;
      if (!object) throw deadReference();
      return object;
    },
    clear() {
      published.clear();
      numbered.clear();
      given.clear();
    },
  };
}

/**
 * How often an id was received (a name is not counted), and the reference that stands for it.
 * @typedef {object} Held
 * @property {Id} id
 * @property {number} count
 * @property {WeakRef<RemoteReference<any>>} [weak]
 */

/** @type {FinalizationRegistry<() => void>} */
const collected = new FinalizationRegistry((drop) => drop());

/**
 * The RemoteReferences of one session, one for each id and each name.
 * @param {Broker} broker
 */
export function newImports(broker) {
  /** @type {Map<Id, Held>} */
  const numbered = new Map();
  /** @type {Map<Id, Held>} */
  const named = new Map();
  const tableOf = (/** @type {Id} */ id) => (typeof id === "number" ? numbered : named);

  /** Forget a reference, and give back as many as were received. @param {Held} held */
  const drop = (held) => {
    const { id, count } = held;
    const table = tableOf(id);
    if (table.get(id) !== held) return;
    table.delete(id);
    if (table === numbered && count) broker.postSmall(["decref", id, count]);
  };

  return {
    drop,
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
    receive(id, limits = broker.limits) {
      const table = tableOf(id);
      let held = /** @type {Held} */ (table.get(id));
      if (!held) {
        checkLimit(limits, "references", table.size + 1);
        held = { id, count: 0 };
        table.set(id, held);
      }
      let reference = held.weak?.deref();
      if (!reference) {
        reference = new RemoteReference(broker, held);
        held.weak = new WeakRef(reference);
        collected.register(reference, () => held.weak?.deref() || drop(held));
      }
      held.count++;
      return reference;
    },
    /**
     * Forget that a frame that is refused was received: what it held is given back elsewhere.
     * @param {number[]} ids
     */
    takeBack(ids) {
      for (const id of ids) {
        const held = numbered.get(id);
        if (held && --held.count === 0) drop(held);
      }
    },
    /**
     * How a reference stands in a frame to its owner.
     * @param {RemoteReference<any>} reference
     */
    idOf({ held }) {
      if (tableOf(held.id).get(held.id) !== held) throw deadReference();
      return held.id;
    },
    clear() {
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
    this.released = true;
    this.broker.calls.push(this.broker.imports.drop, this.held);
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
