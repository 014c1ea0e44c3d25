/**
 * JSON to values (docs/protocol.md, section 2): only for messages that may hold a tagged value.
 * What came is never changed: what holds a tagged value is copied.
 *
 * @module
 */

import { InsecureJelly, LimitExceeded } from "./errors.js";
import { eachTagged, isCount, isId, isObject, nesting } from "./frames.js";
import { isContainer } from "./jelly.js";
import { unjellyScalar } from "./scalars.js";

/** @typedef {Record<string, any>} Tagged */

/**
 * A call whose answer can be named.
 * @typedef {{ settled: boolean, failed: boolean, outcome: unknown }} Answer
 */

/**
 * What the broker does for an Unjellier.
 * @typedef {object} UnjellyHost
 * @property {import("./limits.js").Limits} limits
 * @property {(id: number | string) => unknown} unjellyRemote
 * @property {(id: number | string) => unknown} unjellyLocal
 * @property {(tagged: Tagged) => Error} unjellyFailure
 * @property {(id: number) => Answer} answerTo
 * @property {(value: unknown) => boolean} isReference
 */

/**
 * Refuse a value with too many levels.
 * @param {unknown} value
 * @param {number} outer levels that do not count
 * @param {number} limit
 */
export function checkDepth(value, outer, limit) {
  if (nesting(value, limit + outer) <= limit + outer) return;
  throw new LimitExceeded(`depth: a value has more than ${limit} levels.`);
}

/** Decodes the values of one frame; of a call that waits for answers, a second time. */
export class Unjellier {
  /** Ids of the peer's objects that the frame holds. @type {number[]} */
  introduced = [];
  /** Answers that are not there yet. @type {Set<Answer>} */
  waits = new Set();
  /** What a tagged value became when the frame came. @type {Map<Tagged, any>} */
  #kept = new Map();
  /** @type {Map<number, { source: Tagged, value: any }>} */
  #defs = new Map();

  /**
   * @param {UnjellyHost} host
   * @param {any[]} frame
   * @param {Uint8Array[]} attachments
   * @param {boolean} mayName whether answers may be named in this frame
   */
  constructor(host, frame, attachments, mayName) {
    this.host = host;
    this.frame = frame;
    this.attachments = attachments;
    this.mayName = mayName;
  }

  /**
   * @template T
   * @param {T} value
   * @returns {T}
   */
  root(value) {
    this.#defs.clear();
    this.waits.clear();
    return this.#value(value);
  }

  /**
   * Keyword arguments, which are a frame's own and no value.
   * @param {Record<string, any>} kw
   */
  fields(kw) {
    return this.#object(kw);
  }

  /**
   * @param {any} raw
   * @returns {any}
   */
  #value(raw) {
    if (typeof raw !== "object" || raw === null) return raw;
    if (Array.isArray(raw)) return this.#array(raw);
    return Object.hasOwn(raw, "$") ? this.#tagged(raw) : this.#object(raw);
  }

  /**
   * @param {any[]} raw
   * @param {any[]} [out]
   */
  #array(raw, out = raw) {
    for (let at = 0; at < raw.length; at++) {
      const value = this.#value(raw[at]);
      if (out === raw && value === raw[at]) continue;
      if (out === raw) out = raw.slice();
      out[at] = value;
    }
    return out;
  }

  /**
   * @param {Record<string, any>} raw
   * @param {Record<string, any>} [out]
   */
  #object(raw, out = raw) {
    for (const key of Object.keys(raw)) {
      const value = this.#value(raw[key]);
      if (out === raw && value === raw[key]) continue;
      if (out === raw) out = { ...raw };
      this.#put(out, key, value);
    }
    return out;
  }

  /**
   * Keys such as `__proto__` are data, and an `await` must never call a reference.
   * @param {object} out
   * @param {string} key
   * @param {unknown} value
   */
  #put(out, key, value) {
    if ((key === "then" || key === "toJSON") && this.host.isReference(value)) {
      throw new InsecureJelly(`a reference under the key "${key}" is refused`);
    }
    Object.defineProperty(out, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }

  /** @param {Tagged} raw */
  #tagged(raw) {
    switch (raw.$) {
      case "remote":
      case "local":
        return this.#reference(raw);
      case "answer":
        return this.#answer(raw);
      case "failure":
        return this.host.unjellyFailure(raw);
      case "def":
        return this.#def(raw);
      case "use":
        return this.#use(raw);
      case "set":
      case "frozenset":
      case "dict":
        return this.#container(raw);
      case "bytes":
        if ("at" in raw && isCount(raw.at)) return this.attachments[raw.at] ?? malformed(raw);
    }
    return unjellyScalar(raw, this.host.limits);
  }

  /** @param {Tagged} raw */
  #reference(raw) {
    if (this.#kept.has(raw)) return this.#kept.get(raw);
    const { id } = raw;
    if (!isId(id) && typeof id !== "string") malformed(raw);
    let value;
    if (raw.$ === "local") value = this.host.unjellyLocal(id);
    else {
      value = this.host.unjellyRemote(id);
      if (typeof id === "number") this.introduced.push(id);
    }
    this.#kept.set(raw, value);
    return value;
  }

  /** @param {Tagged} raw */
  #answer(raw) {
    const { id, path = [] } = raw;
    if (!this.mayName || !isId(id) || !Array.isArray(path)) malformed(raw);
    if (!this.#kept.has(raw)) this.#kept.set(raw, this.host.answerTo(id));
    /** @type {Answer} */
    const answer = this.#kept.get(raw);
    if (!answer.settled) {
      this.waits.add(answer);
      return undefined;
    }
    return answerValue(answer, path);
  }

  /** @param {Tagged} raw */
  #def(raw) {
    const { id, value } = raw;
    if (!isCount(id) || (!isObject(value) && !Array.isArray(value))) malformed(raw);
    const known = this.#defs.get(id);
    if (known && known.source !== raw) malformed(raw);
    return known ? known.value : this.#container(value, { source: raw, value: undefined }, id);
  }

  /**
   * JavaScript puts keys such as "1" first, so a `use` may be met before its `def`.
   * @param {Tagged} raw
   */
  #use(raw) {
    if (!isCount(raw.id)) malformed(raw);
    if (!this.#defs.has(raw.id)) {
      eachTagged(this.frame, (tagged) => {
        if (tagged.$ === "def" && tagged.id === raw.id && !this.#defs.has(raw.id))
          this.#def(tagged);
      });
    }
    const known = this.#defs.get(raw.id);
    return known?.value ?? malformed(raw);
  }

  /**
   * A list, object, dict or set; with `def`, it is known under its id before its items are read,
   * so that it can stand inside itself.
   * @param {any} raw
   * @param {{ source: Tagged, value: any }} [def]
   * @param {number} [id]
   */
  #container(raw, def, id = 0) {
    if (def) this.#defs.set(id, def);
    const keep = (/** @type {any} */ value) => {
      if (def) def.value = value;
      return value;
    };
    if (Array.isArray(raw)) return this.#array(raw, keep([]));
    if (!Object.hasOwn(raw, "$")) return this.#object(raw, keep({}));
    if (!/^(dict|set|frozenset)$/.test(raw.$) || !Array.isArray(raw.items)) malformed(raw);
    if (raw.$ === "dict") return this.#dict(raw, keep);
    return keep(new Set(raw.items.map((/** @type {any} */ item) => this.#hashed(item))));
  }

  /**
   * @param {Tagged} raw
   * @param {(value: any) => any} keep
   */
  #dict(raw, keep) {
    /** @type {any[]} */
    const items = raw.items;
    if (!items.every((pair) => Array.isArray(pair) && pair.length === 2)) malformed(raw);
    if (items.every((pair) => typeof pair[0] === "string")) {
      const out = keep({});
      for (const [key, value] of items) this.#put(out, key, this.#value(value));
      return out;
    }
    const out = keep(new Map());
    for (const [key, value] of items) out.set(this.#hashed(key), this.#value(value));
    return out;
  }

  /**
   * A key of a dict or a member of a set, which Python must be able to hash.
   * @param {any} raw
   */
  #hashed(raw) {
    if (isObject(raw) && (!("$" in raw) || /^(dict|set|def|use)$/.test(raw.$))) {
      throw new InsecureJelly("a key of a dict or a member of a set cannot be hashed");
    }
    return this.#value(raw);
  }
}

/**
 * @param {Tagged} raw
 * @returns {never}
 */
function malformed(raw) {
  throw new InsecureJelly(
    `the tag "${raw.$}" has wrong or missing keys, or stands in a wrong place`,
  );
}

/**
 * What a settled answer, followed along a path, is (section 1).
 * @param {Answer} answer
 * @param {unknown[]} path keys of plain objects and indexes of lists
 */
export function answerValue(answer, path) {
  if (answer.failed) throw answer.outcome;
  return followPath(answer.outcome, path);
}

/**
 * @param {any} value
 * @param {unknown[]} path
 */
export function followPath(value, path) {
  for (const key of path) {
    const step = stepInto(value, key);
    if (!step)
      throw new InsecureJelly(`the path ${JSON.stringify(path).slice(0, 200)} leads nowhere`);
    value = step.value;
  }
  return value;
}

/**
 * @param {any} value
 * @param {unknown} key
 * @returns {PropertyDescriptor | undefined | false}
 */
function stepInto(value, key) {
  if (typeof value !== "object" || value === null || !isContainer(value)) return undefined;
  if (Array.isArray(value) ? !isCount(key) : typeof key !== "string") return undefined;
  if (value instanceof Map) return value.has(key) && { value: value.get(key) };
  const found = Object.getOwnPropertyDescriptor(value, /** @type {string | number} */ (key));
  return found && "value" in found && found;
}
