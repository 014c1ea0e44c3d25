/**
 * What this side handed out, and what it holds of the peer's (docs/protocol.md, section 3).
 *
 * @module
 */

import { deadReference, LimitExceeded, ProtocolError } from "./errors.js";

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

/** @param {number} limit */
const tooMany = (limit) =>
  new LimitExceeded(
    `references: more than ${limit} objects are handed out on this session. Release some.`,
    { limit: "references" },
  );

/** The objects that the peer can name: by the ids that it was given, and by published names. */
export class Exports {
  /** @type {Map<number, { object: object, count: number }>} */
  #entries = new Map();
  /** @type {Map<object, number>} */
  #ids = new Map();
  /** @type {Map<string, object>} */
  #published = new Map();
  /** @type {Map<object, string>} */
  #names = new Map();
  #next = 1;

  /** How many objects are handed out. */
  get size() {
    return this.#entries.size;
  }

  /**
   * @param {string} name
   * @param {object} object
   */
  publish(name, object) {
    this.#published.set(name, object);
    this.#names.set(object, name);
  }

  /**
   * The id, or name, under which `object` is handed out once more.
   * @param {object} object
   * @param {number} limit
   * @returns {number | string}
   */
  introduce(object, limit) {
    const name = this.#names.get(object);
    if (name !== undefined) return name;
    let id = this.#ids.get(object);
    if (id === undefined) {
      if (this.#entries.size >= limit) throw tooMany(limit);
      id = this.#next++;
      this.#ids.set(object, id);
      this.#entries.set(id, { object, count: 0 });
    }
    /** @type {any} */ (this.#entries.get(id)).count++;
    return id;
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
    if (!entry || entry.count < count) {
      throw new ProtocolError(`decref of ${id}: more than it was handed out.`);
    }
    entry.count -= count;
    if (entry.count) return;
    this.#entries.delete(id);
    this.#ids.delete(entry.object);
  }

  /**
   * @param {number | string} id
   * @returns {object}
   */
  find(id) {
    const object = typeof id === "string" ? this.#published.get(id) : this.#entries.get(id)?.object;
    if (!object) throw deadReference();
    return object;
  }

  clear() {
    for (const table of [this.#entries, this.#ids, this.#published, this.#names]) table.clear();
  }
}

/**
 * How often an id was received (a name is not counted), and the reference that stands for it.
 * @typedef {object} Held
 * @property {number | string} id
 * @property {number} count
 * @property {WeakRef<RemoteReference<any>>} weak
 * @property {Imports} imports
 */

/** @type {FinalizationRegistry<Held>} */
const collected = new FinalizationRegistry((held) => held.imports.collected(held));

/** The RemoteReferences of one session, one for each id and each name. */
export class Imports {
  /** @type {Map<number | string, Held>} */
  #held = new Map();
  /** How many objects of the peer's are held, those with a name left out. */
  size = 0;

  /** @param {Broker} broker */
  constructor(broker) {
    this.broker = broker;
  }

  /**
   * The reference to what the peer hands out once more, or has published.
   * @param {number | string} id
   * @param {number} limit
   * @returns {RemoteReference<any>}
   */
  receive(id, limit) {
    const counted = typeof id === "number" ? 1 : 0;
    let held = this.#held.get(id);
    const known = held?.weak.deref();
    const reference = known ?? new RemoteReference(this.broker, id);
    if (!held) {
      if ((counted ? this.size : this.#held.size - this.size) >= limit) throw tooMany(limit);
      held = { id, count: 0, weak: new WeakRef(reference), imports: this };
      this.#held.set(id, held);
      this.size += counted;
    }
    if (!known) {
      held.weak = new WeakRef(reference);
      collected.register(reference, held, reference);
    }
    held.count += counted;
    return reference;
  }

  /**
   * Forget that a frame that is refused was received: what it held is given back elsewhere.
   * @param {number[]} ids
   */
  takeBack(ids) {
    for (const id of ids) {
      const held = this.#held.get(id);
      if (held && --held.count === 0) this.#forget(held);
    }
  }

  /** @param {Held} held */
  #forget(held) {
    this.#held.delete(held.id);
    if (typeof held.id === "number") this.size--;
  }

  /** @param {Held} held whose reference was garbage collected */
  collected(held) {
    if (this.#held.get(held.id) === held && !held.weak.deref()) this.#drop(held);
  }

  /** @param {Held} held */
  #drop(held) {
    this.#forget(held);
    if (typeof held.id === "number") this.broker.sendDecref([held.id, held.count]);
  }

  /**
   * Whether `reference` is the one that stands for its id.
   * @param {RemoteReference<any>} reference
   */
  has(reference) {
    return this.#held.get(reference.id)?.weak.deref() === reference;
  }

  /** @param {RemoteReference<any>} reference */
  release(reference) {
    const held = this.#held.get(reference.id);
    if (!held || !this.has(reference)) return;
    collected.unregister(reference);
    this.#drop(held);
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
    return this.broker.callRemote(this, name, { args });
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
    return this.broker.callRemote(this, name, options);
  }

  /**
   * Call a method and want no answer, not even an error: the peer logs it.
   *
   * @template {keyof Methods<Api> & string} Name
   * @param {Name} name
   * @param {Arguments<Methods<Api>[Name]>} args
   */
  callRemoteOnly(name, ...args) {
    this.broker.callRemoteOnly(this, name, { args });
  }

  /** Let the peer forget the object. Calls in progress end; later ones fail. */
  release() {
    this.broker.release(this);
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

// Older browsers have no Symbol.dispose; where it is missing, so is `using`.
if (Symbol.dispose) {
  Object.defineProperty(RemoteReference.prototype, Symbol.dispose, {
    value: RemoteReference.prototype.release,
  });
}
