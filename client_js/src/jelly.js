/**
 * Values to JSON (docs/protocol.md, section 2). One walk finds what JSON would spoil: plain data
 * comes back as it is, and only what needs a tag is rebuilt. Unjellying is in unjelly.js.
 *
 * @module
 */

import { InsecureJelly, LimitExceeded } from "./errors.js";
import { isWellFormed } from "./frames.js";
import { INLINE_BYTES } from "./limits.js";
import { jellyNumber, jellyScalar, toBase64 } from "./scalars.js";

/**
 * What the broker does for a Jellier.
 * @typedef {object} JellyHost
 * @property {(value: any, jellier: Jellier, depth: number) => [any] | undefined} jellyReference a
 *   reference, answer or failure as it stands on the wire; undefined for any other value
 * @property {{ limits: import("./limits.js").Limits, binary: boolean }} peer
 */

/** Encodes the values of one frame. */
export class Jellier {
  /** Bytes that travel outside the JSON. @type {Uint8Array[]} */
  attachments = [];
  /** Every id that was handed out in this frame. @type {number[]} */
  introduced = [];
  /** Promises whose answers the frame names; null where none may be named. @type {any[] | null} */
  named = null;
  /** Containers that stand in the frame more than once. @type {Set<object>} */
  shared = new Set();
  /** @type {(string | number)[]} */
  #path = [];
  /** @type {Set<object> | null} containers met so far, in the first walk */
  #met;
  /** @type {Map<object, number>} the ids of `def`, in the second */
  #ids = new Map();

  /**
   * @param {JellyHost} host
   * @param {Set<object>} [shared] what the first walk found, for the second
   */
  constructor(host, shared) {
    this.host = host;
    this.limits = host.peer.limits;
    this.#met = shared ? null : new Set();
    if (shared) this.shared = shared;
  }

  /**
   * Encode one value, called `label` in error messages.
   * @param {string} label
   * @param {unknown} value
   */
  root(label, value) {
    this.#path = [label];
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
  value(value, depth, hashed = false) {
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number":
        if (Number.isSafeInteger(value) ? !Object.is(value, -0) : isFraction(value)) return value;
        return jellyNumber(value, this.limits);
      case "bigint":
        return jellyNumber(value, this.limits);
      case "boolean":
      case "undefined":
        return value;
      case "object":
        if (value === null) return null;
        return isContainer(value)
          ? this.#container(value, depth, hashed)
          : this.#special(value, depth);
    }
    return this.#special(value, depth);
  }

  /** @param {string} text */
  #text(text) {
    if (!isWellFormed(text)) this.#refuse("a string with a lone surrogate cannot cross");
    return text;
  }

  /**
   * @param {object} value
   * @param {number} depth
   * @param {boolean} hashed
   */
  #container(value, depth, hashed) {
    if (hashed) {
      if (value instanceof Set) return { $: "frozenset", items: this.#members(value, depth + 2) };
      if (Array.isArray(value)) return this.#array(value, this.#deeper(depth), true);
      this.#refuse("an object or a Map cannot be a key of a Map or a member of a Set");
    }
    if (this.#met) {
      if (this.#met.has(value)) {
        this.shared.add(value);
        return null;
      }
      this.#met.add(value);
    } else if (this.shared.has(value)) {
      return this.#sharedContainer(value, depth);
    }
    return this.#body(value, depth);
  }

  /**
   * @param {object} value
   * @param {number} depth
   */
  #sharedContainer(value, depth) {
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
    if (Array.isArray(value)) return this.#array(value, this.#deeper(depth));
    if (value instanceof Map) return this.#dict(value.entries(), depth);
    if (value instanceof Set) return { $: "set", items: this.#members(value, depth + 2) };
    if (Object.hasOwn(value, "$")) return this.#dict(Object.entries(value), depth);
    return this.#object(value, this.#deeper(depth));
  }

  /** @param {number} depth of a container; gives that of its items */
  #deeper(depth) {
    if (depth < this.limits.depth) return depth + 1;
    const text = `depth: ${this.#where()} has more than ${this.limits.depth} levels.`;
    throw new LimitExceeded(text);
  }

  /**
   * @param {any[]} list
   * @param {number} depth
   * @param {boolean} [hashed]
   */
  #array(list, depth, hashed) {
    if (typeof (/** @type {any} */ (list).toJSON) === "function")
      this.#refuse("an array with toJSON cannot cross");
    const path = this.#path;
    const level = path.push(0) - 1;
    let out = list;
    for (let at = 0; at < list.length; at++) {
      path[level] = at;
      const item = this.value(list[at], depth, hashed);
      if (item === list[at]) continue;
      if (out === list) out = Array.from(list);
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
   * @param {string} key
   * @param {any} given
   * @param {number} depth
   */
  #field(key, given, depth) {
    this.#text(key);
    const value = this.value(given, depth);
    if ((key === "then" || key === "toJSON") && (value?.$ === "remote" || value?.$ === "local")) {
      this.#refuse(`a reference cannot stand under the key "${key}": JavaScript would call it`);
    }
    return value;
  }

  /**
   * @param {Iterable<[any, any]>} entries
   * @param {number} depth
   */
  #dict(entries, depth) {
    const level = this.#path.push("") - 1;
    const inner = this.#deeper(this.#deeper(this.#deeper(depth)));
    /** @type {[any, any][]} */
    const items = [];
    for (const [key, given] of entries) {
      this.#path[level] = typeof key === "string" ? key : items.length;
      const name = this.value(key, inner, true);
      const value =
        typeof key === "string" ? this.#field(key, given, inner) : this.value(given, inner);
      if (value !== undefined) items.push([name, value]);
    }
    this.#path.pop();
    return { $: "dict", items };
  }

  /**
   * @param {Set<any>} set
   * @param {number} depth
   */
  #members(set, depth) {
    this.#deeper(depth - 1);
    return this.#array([...set], depth, true);
  }

  /**
   * @param {any} value
   * @param {number} depth
   */
  #special(value, depth) {
    try {
      const tagged = this.#bytes(value) ?? jellyScalar(value, this.limits);
      const found = tagged ? [tagged] : this.host.jellyReference(value, this, depth);
      if (found) {
        this.#deeper(depth);
        return found[0];
      }
    } catch (error) {
      if (error instanceof InsecureJelly) this.#refuse(error.message);
      throw error;
    }
    return this.#refuse(`${describe(value)} cannot cross${adviceFor(value)}`);
  }

  /**
   * @param {any} value
   * @returns {object | undefined}
   */
  #bytes(value) {
    if (value instanceof ArrayBuffer) return this.#bytes(new Uint8Array(value));
    if (!(value instanceof Uint8Array)) return undefined;
    if (!this.host.peer.binary || value.length <= INLINE_BYTES) {
      return { $: "bytes", base64: toBase64(value) };
    }
    return { $: "bytes", at: this.attachments.push(value) - 1 };
  }

  /**
   * @param {string} text
   * @returns {never}
   */
  #refuse(text) {
    throw new InsecureJelly(`${this.#where()}: ${text}.`);
  }

  #where() {
    const [label, ...keys] = this.#path;
    return keys.reduce(
      (path, key) =>
        typeof key === "string" && /^[A-Za-z_$][\w$]*$/.test(key)
          ? `${path}.${key}`
          : `${path}[${JSON.stringify(key)}]`,
      String(label),
    );
  }
}

/** @param {number} value */
const isFraction = (value) => Number.isFinite(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER;

/**
 * Arrays, Maps, Sets and plain objects; those of another window or worker, too.
 * @param {object} value
 */
export function isContainer(value) {
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) return true;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** @param {any} value */
function describe(value) {
  if (typeof value === "symbol") return "a symbol";
  const name = value.constructor?.name;
  return typeof name === "string" && name ? `an instance of ${name}` : "this object";
}

/** @param {any} value */
function adviceFor(value) {
  if (typeof value?.then === "function") return "; await it first";
  if (ArrayBuffer.isView(value)) return "; pass a Uint8Array of its bytes";
  if (typeof value === "symbol") return "";
  return "; extend Referenceable to hand out a reference to it, or pass plain data";
}
