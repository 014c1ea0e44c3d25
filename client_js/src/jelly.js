/**
 * Values to JSON (docs/protocol.md, section 2). One walk finds what JSON would spoil: plain data
 * comes back as it is, and only what needs a tag is rebuilt. Unjellying is in unjelly.js.
 *
 * @module
 */

import { deadReference, InsecureJelly, overLimit } from "./errors.js";
import { jellyFailure } from "./failures.js";
import { isWellFormed } from "./frames.js";
import { INLINE_BYTES } from "./limits.js";
import { RemotePromise } from "./promises.js";
import { isReference, RemoteReference } from "./references.js";
import { jellyScalar, toBase64 } from "./scalars.js";

const LONE = "a string with a lone surrogate cannot cross";

/** Encodes the values of one frame. */
export class Jellier {
  /** Bytes that travel outside the JSON. @type {Uint8Array[]} */
  attachments = [];
  /** Every id that was handed out in this frame. @type {number[]} */
  introduced = [];
  /** Promises whose answers the frame names. @type {RemotePromise<any>[]} */
  named = [];
  /** Containers that stand in the frame more than once. @type {Set<object>} */
  shared;
  /** @type {(string | number)[]} */
  #path = [];
  /** @type {Set<object> | undefined} containers met so far, in the first walk */
  #met;
  /** @type {Map<object, number>} the ids of `def`, in the second */
  #ids = new Map();

  /**
   * @param {import("./broker.js").Broker} broker
   * @param {Set<object>} [shared] what the first walk found, for the second
   */
  constructor(broker, shared) {
    this.broker = broker;
    this.limits = broker.peer.limits;
    this.shared = shared ?? new Set();
    if (!shared) this.#met = new Set();
  }

  /**
   * Encode a result.
   * @param {unknown} value
   */
  result(value) {
    this.#path = ["result"];
    return this.value(value, 0);
  }

  /**
   * Encode `args` or `kw`, which are a frame's own and no values.
   * @template {any[] | Record<string, any>} T
   * @param {string} label
   * @param {T} items
   * @returns {T}
   */
  items(label, items) {
    this.#path = [label];
    if (Array.isArray(items)) return /** @type {any} */ (this.#array([...items], 0));
    if (Object.hasOwn(items, "$")) this.#refuse('an argument called "$" cannot cross');
    return /** @type {any} */ (this.#object({ ...items }, 0));
  }

  /**
   * @param {any} value
   * @param {number} depth how many containers it stands in
   * @param {boolean} [hashed] as a key of a dict or a member of a set
   * @returns {any}
   */
  value(value, depth, hashed) {
    switch (typeof value) {
      case "string":
        if (!isWellFormed(value)) this.#refuse(LONE);
        return value;
      case "number":
        if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER) || Object.is(value, -0)) break;
        return value;
      case "object":
        if (value === null) return null;
        if (isContainer(value)) return this.#container(value, depth, hashed);
        break;
      case "boolean":
      case "undefined":
        return value;
    }
    return this.#special(value, depth);
  }

  /**
   * @param {any} value
   * @param {number} depth
   * @param {boolean} [hashed]
   */
  #container(value, depth, hashed) {
    if (hashed) {
      if (value instanceof Set) return this.#set("frozenset", value, depth);
      if (Array.isArray(value)) return this.#array(value, this.#deeper(depth), true);
      this.#refuse("an object cannot be a key of a Map or a member of a Set");
    }
    if (this.#met?.has(value)) {
      this.shared.add(value);
      return null;
    }
    this.#met?.add(value);
    if (this.#met || !this.shared.has(value)) return this.#body(value, depth);
    const known = this.#ids.get(value);
    if (known) return { $: "use", id: known };
    const id = this.#ids.size + 1;
    this.#ids.set(value, id);
    return { $: "def", id, value: this.#body(value, this.#deeper(depth)) };
  }

  /**
   * @param {any} value
   * @param {number} depth
   */
  #body(value, depth) {
    if (value instanceof Set) return this.#set("set", value, depth);
    if (value instanceof Map) return this.#dict(value, depth);
    const inner = this.#deeper(depth);
    if (Array.isArray(value)) return this.#array(value, inner);
    return Object.hasOwn(value, "$")
      ? this.#dict(Object.entries(value), depth)
      : this.#object(value, inner);
  }

  /** @param {number} depth of a container; gives that of its items */
  #deeper(depth) {
    if (depth < this.limits.depth) return depth + 1;
    throw overLimit("depth", this.limits.depth, this.#where());
  }

  /**
   * @param {any[]} list
   * @param {number} depth
   * @param {boolean} [hashed]
   */
  #array(list, depth, hashed) {
    if (/** @type {any} */ (list).toJSON) this.#refuse("an array with toJSON cannot cross");
    const path = this.#path;
    const level = path.push(0) - 1;
    let out = list;
    for (let at = 0; at < list.length; at++) {
      path[level] = at;
      const item = this.value(list[at], depth, hashed);
      if (item === list[at]) continue;
      if (out === list) out = [...list];
      out[at] = item;
    }
    path.pop();
    return out;
  }

  /**
   * @param {Record<string, any>} object
   * @param {number} depth
   */
  #object(object, depth) {
    const path = this.#path;
    const level = path.push("") - 1;
    let out = object;
    for (const key in object) {
      path[level] = key;
      const given = object[key];
      const value = this.#field(key, given, depth);
      if (value === given) continue;
      if (out === object) out = { ...object };
      out[key] = value;
    }
    path.pop();
    return out;
  }

  /**
   * @param {any} key
   * @param {any} given
   * @param {number} depth
   */
  #field(key, given, depth) {
    if (!isWellFormed(key)) this.#refuse(LONE);
    if ((key === "then" || key === "toJSON") && isReference(given)) {
      this.#refuse(`a reference cannot stand under the key "${key}"`);
    }
    return this.value(given, depth);
  }

  /**
   * @param {Iterable<[any, any]>} entries
   * @param {number} depth
   */
  #dict(entries, depth) {
    const level = this.#path.push("") - 1;
    const inner = this.#deeper(this.#deeper(this.#deeper(depth)));
    const items = [];
    for (const [key, given] of entries) {
      const isText = typeof key === "string";
      this.#path[level] = isText ? key : items.length;
      const name = this.value(key, inner, true);
      const value = isText ? this.#field(key, given, inner) : this.value(given, inner);
      if (value !== undefined) items.push([name, value]);
    }
    this.#path.pop();
    return { $: "dict", items };
  }

  /**
   * @param {string} tag
   * @param {Set<any>} set
   * @param {number} depth
   */
  #set(tag, set, depth) {
    return { $: tag, items: this.#array([...set], this.#deeper(this.#deeper(depth)), true) };
  }

  /**
   * @param {any} value
   * @param {number} depth
   */
  #special(value, depth) {
    if (value instanceof RemotePromise) return this.#promise(value, depth);
    this.#deeper(depth);
    if (value instanceof ArrayBuffer) return this.#bytes(new Uint8Array(value));
    if (value instanceof Uint8Array) return this.#bytes(value);
    if (value instanceof Error) return jellyFailure(value);
    if (isReference(value)) return this.#reference(value);
    return jellyScalar(value, this.limits) ?? this.#refuse(describe(value));
  }

  /** @param {Uint8Array} value */
  #bytes(value) {
    return this.broker.peer.binary && value.length > INLINE_BYTES
      ? { $: "bytes", at: this.attachments.push(value) - 1 }
      : { $: "bytes", base64: toBase64(value) };
  }

  /** @param {any} value */
  #reference(value) {
    const { broker } = this;
    if (value instanceof RemoteReference) {
      if (value.broker === broker) return { $: "local", id: broker.imports.idOf(value) };
      if (value.broker.over || value.released) throw deadReference();
    }
    const limit = Math.min(broker.limits.references, this.limits.references);
    const id = broker.exports.introduce(value, limit);
    if (typeof id === "number") this.introduced.push(id);
    return { $: "remote", id };
  }

  /**
   * @param {RemotePromise<any>} promise
   * @param {number} depth
   */
  #promise(promise, depth) {
    const { pending, rejected, outcome, id } = promise;
    promise.handle();
    if (rejected) throw outcome;
    if (!pending) return this.value(outcome, depth);
    if (this.#path[0] === "result" || promise.broker !== this.broker || !id) {
      this.#refuse("this promise cannot cross; await it first");
    }
    this.#deeper(depth);
    this.named.push(promise);
    return { $: "answer", id };
  }

  /**
   * @param {string} text
   * @returns {never}
   */
  #refuse(text) {
    throw new InsecureJelly(`${this.#where()}: ${text}.`);
  }

  #where() {
    const keys = this.#path.map((key) =>
      /^[A-Za-z_$][\w$]*$/.test(`${key}`) ? `.${key}` : `[${JSON.stringify(key)}]`,
    );
    return keys.join("").slice(1);
  }
}

/**
 * Arrays, Maps, Sets and plain objects; those of another window or worker, too.
 * @param {object} value
 */
export function isContainer(value) {
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) return true;
  const prototype = Object.getPrototypeOf(value);
  return !prototype || !Object.getPrototypeOf(prototype);
}

/** @param {any} value */
function describe(value) {
  let advice = "extend Referenceable or pass plain data";
  if (typeof value.then === "function") advice = "await it first";
  if (ArrayBuffer.isView(value)) advice = "pass a Uint8Array of its bytes";
  if (value instanceof Date) advice = "it is not in the years 1 to 9999";
  const name = typeof value === "symbol" ? "a symbol" : `an instance of ${value.constructor?.name}`;
  return `${name} cannot cross; ${advice}`;
}
