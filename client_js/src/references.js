/**
 * What this side handed out, and what it holds of the peer's (docs/protocol.md, section 3).
 *
 * @module
 */

// So that types/ have Symbol.dispose whatever `lib` their reader compiles with.
/// <reference lib="esnext.disposable" preserve="true" />

import { breach, deadReference, overLimit } from "./errors.js";
import { Referenceable } from "./flavors.js";

/** @typedef {import("./broker.js").Broker} Broker */
/**
 * @template T
 * @typedef {import("./promises.js").RemotePromise<T>} RemotePromise
 */
/**
 * @template Api
 * @typedef {import("./api.js").Methods<Api>} Methods
 */
/**
 * @template Method
 * @typedef {import("./api.js").Arguments<Method>} Arguments
 */
/**
 * @template Method
 * @typedef {import("./api.js").Result<Method>} Result
 */
/**
 * @template {any[]} [Args=any[]]
 * @typedef {import("./api.js").CallOptions<Args>} CallOptions
 */

/** What has an id of the peer's or of this side's, or a name, which is not counted. @typedef {number | string} Id */

/** The objects that the peer can name: by the ids that it was given, and by published names. */
export class Exports {
  /** @type {Map<Id, { id: Id, object: object, count: number }>} */
  #entries = new Map();
  /** The entry under which an object is handed out. @type {Map<unknown, { id: Id, object: object, count: number }>} */
  #given = new Map();
  #next = 1;
  /** How many objects are handed out, published ones left out. */
  size = 0;

  /**
   * @param {Id} id
   * @param {object} object
   * @param {number} count how often it was handed out; a published object, for ever
   */
  #put(id, object, count) {
    const entry = { id, object, count };
    this.#entries.set(id, entry);
    this.#given.set(object, entry);
    return entry;
  }

  /**
   * @param {string} name
   * @param {object} object
   */
  publish(name, object) {
    this.#given.delete(this.#entries.get(name)?.object);
    this.#put(name, object, Infinity);
  }

  /**
   * The id, or name, under which `object` is handed out once more.
   * @param {object} object
   * @param {number} limit
   */
  introduce(object, limit) {
    let entry = this.#given.get(object);
    if (!entry) {
      if (this.size >= limit) throw overLimit("references", limit);
      this.size++;
      entry = this.#put(this.#next++, object, 0);
    }
    entry.count++;
    return entry.id;
  }

  /**
   * Undo what `introduce` did for a frame that does not go out.
   * @param {number[]} ids in the order in which they were given
   */
  takeBack(ids) {
    for (const id of ids.reverse()) {
      this.decref(id, 1);
      if (id === this.#next - 1 && !this.#entries.has(id)) this.#next--;
    }
  }

  /**
   * @param {number} id
   * @param {number} count
   */
  decref(id, count) {
    const entry = this.#entries.get(id);
    if (!entry || entry.count < count) return breach(`decref of ${id}: too many.`);
    entry.count -= count;
    if (entry.count) return;
    this.size--;
    this.#entries.delete(id);
    if (this.#given.get(entry.object) === entry) this.#given.delete(entry.object);
  }

  /**
   * @param {Id} id
   * @returns {object}
   */
  find(id) {
    const entry = this.#entries.get(id);
    if (!entry) throw deadReference();
    return entry.object;
  }

  clear() {
    this.#entries.clear();
    this.#given.clear();
    this.size = 0;
  }
}

/**
 * How often an id was received (a name is not counted), and the reference that stands for it.
 * @typedef {object} Held
 * @property {Id} id
 * @property {number} count
 * @property {WeakRef<RemoteReference<any>>} weak
 * @property {Imports} imports
 */

/** @type {FinalizationRegistry<Held>} */
const collected = new FinalizationRegistry((held) => {
  if (!held.weak.deref()) held.imports.drop(held);
});

/** The RemoteReferences of one session, one for each id and each name. */
export class Imports {
  /** @type {Map<Id, Held>} */
  #held = new Map();
  /** How many objects of the peer's are held, those with a name left out. */
  size = 0;

  /** @param {Broker} broker */
  constructor(broker) {
    this.broker = broker;
  }

  /**
   * The reference to what the peer hands out once more, or has published.
   * @param {Id} id
   * @param {number} limit
   * @returns {RemoteReference<any>}
   */
  receive(id, limit) {
    const counted = typeof id === "number" ? 1 : 0;
    let held = this.#held.get(id);
    let reference = held?.weak.deref();
    if (!held && (counted ? this.size : this.#held.size - this.size) >= limit) {
      throw overLimit("references", limit);
    }
    if (!reference) {
      reference = new RemoteReference(this.broker, id);
      const weak = new WeakRef(reference);
      if (!held) this.size += counted;
      held ??= { id, count: 0, weak, imports: this };
      held.weak = weak;
      this.#held.set(id, held);
      collected.register(reference, held, reference);
    }
    /** @type {Held} */ (held).count += counted;
    return reference;
  }

  /**
   * Forget that a frame that is refused was received: what it held is given back elsewhere.
   * @param {number[]} ids
   */
  takeBack(ids) {
    for (const id of ids) {
      const held = this.#held.get(id);
      if (held && --held.count === 0) this.drop(held);
    }
  }

  /** Forget a reference, and give back as many as were received. @param {Held} held */
  drop(held) {
    const { id, count } = held;
    if (this.#held.get(id) !== held) return;
    this.#held.delete(id);
    if (typeof id !== "number") return;
    this.size--;
    if (count) this.broker.postSmall(["decref", id, count]);
  }

  /**
   * What is held for `reference`, if it is the one that stands for its id.
   * @param {RemoteReference<any>} reference
   */
  #heldFor(reference) {
    const held = this.#held.get(reference.id);
    return held?.weak.deref() === reference ? held : undefined;
  }

  /**
   * How a reference stands in a frame to its owner.
   * @param {RemoteReference<any>} reference
   */
  idOf(reference) {
    if (!this.#heldFor(reference)) throw deadReference();
    return reference.id;
  }

  /** @param {RemoteReference<any>} reference */
  release(reference) {
    const held = this.#heldFor(reference);
    if (held) this.drop(held);
  }

  clear() {
    this.#held.clear();
    this.size = 0;
  }
}

/** An object that lives with the peer. @template [Api=any] */
export class RemoteReference {
  /**
   * @internal
   * @param {Broker} broker
   * @param {number | string} id
   */
  constructor(broker, id) {
    /** @internal */
    this.broker = broker;
    /** @internal */
    this.id = id;
    /** @internal */
    this.released = false;
  }

  /** Always undefined; it tells TypeScript what the peer's object can do. @returns {Api | undefined} */
  get api() {
    return undefined;
  }

  /**
   * Call a method of the object. The promise is rejected with what the method raised, a PBError;
   * calls on the promise, and calls that take it as an argument, need not wait for it.
   *
   * @template {keyof Methods<Api> & string} Name
   * @param {Name} name without the prefix `remote_`
   * @param {Arguments<Methods<Api>[Name]>} args
   * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
   */
  callRemote(name, ...args) {
    return this.broker.outgoing.start(this, name, { args });
  }

  /**
   * The long form of `callRemote`.
   *
   * @template {keyof Methods<Api> & string} Name
   * @param {Name} name
   * @param {CallOptions<Arguments<Methods<Api>[Name]>>} [options]
   * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
   */
  call(name, options = {}) {
    return this.broker.outgoing.start(this, name, options);
  }

  /**
   * Call a method and want no answer, not even an error: the peer logs it.
   *
   * @template {keyof Methods<Api> & string} Name
   * @param {Name} name
   * @param {Arguments<Methods<Api>[Name]>} args
   */
  callRemoteOnly(name, ...args) {
    this.broker.outgoing.start(this, name, { args }, true);
  }

  /** Let the peer forget the object. Calls in progress go on; later ones fail. */
  release() {
    this.broker.release(this);
  }

  /** For `using`. Older browsers have neither that nor the symbol; there this is never called. */
  [Symbol.dispose]() {
    this.release();
  }

  /** Call `callback` with this reference, once, when its session is over. @param {(reference: this) => void} callback */
  notifyOnDisconnect(callback) {
    this.broker.notifyOnDisconnect(callback, this);
  }

  /** @param {(reference: this) => void} callback */
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
