/**
 * JSON to values (docs/protocol.md, section 2): only for messages that may hold a tagged value.
 * What came is never changed: what holds a tagged value is copied.
 *
 * @module
 */

import { InsecureJelly, overLimit } from "./errors.js";
import { unjellyFailure } from "./failures.js";
import { eachTagged, isAnswer, isDeeper, isId, isObject } from "./frames.js";
import { isContainer } from "./jelly.js";
import { isReference } from "./references.js";
import { unjellyScalar } from "./scalars.js";

/** @typedef {Record<string, any>} Tagged */

/**
 * A call whose answer can be named.
 * @typedef {{ settled: boolean, failed: boolean, outcome?: unknown }} Answer
 */

/**
 * Refuse a value with too many levels.
 * @param {unknown} value
 * @param {number} outer levels that do not count
 * @param {number} limit
 */
export function checkDepth(value, outer, limit) {
  if (isDeeper(value, limit + outer)) throw overLimit("depth", limit);
}

/** @param {any} raw */
const copyOf = (raw) => (Array.isArray(raw) ? [...raw] : { ...raw });

/** Decodes the values of one frame; of a call that waits for answers, a second time. */
export class Unjellier {
  /** Ids of the peer's objects that the frame holds. @type {number[]} */
  introduced = [];
  /** Answers that are not there yet. @type {Set<any>} */
  waits = new Set();
  /** What a tagged value became when the frame came. @type {Map<Tagged, any>} */
  #kept = new Map();
  /** @type {Map<number, { source: Tagged, value: any }>} */
  #defs = new Map();

  /**
   * @param {import("./broker.js").Broker} broker
   * @param {import("./frames.js").Frame} frame
   * @param {Uint8Array[]} attachments
   */
  constructor(broker, frame, attachments) {
    this.broker = broker;
    this.frame = frame;
    this.attachments = attachments;
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
    return this.#fields(kw, kw);
  }

  /**
   * @param {any} raw
   * @returns {any}
   */
  #value(raw) {
    if (typeof raw !== "object" || raw === null) return raw;
    return Object.hasOwn(raw, "$") ? this.#tagged(raw) : this.#fields(raw, raw);
  }

  /**
   * Arrays and plain objects.
   * @param {any} raw
   * @param {any} out the copy, which has the same keys; `raw` itself while there is no need of one
   */
  #fields(raw, out) {
    for (const key of Object.keys(raw)) {
      const value = this.#field(key, raw[key]);
      if (out === raw && value === raw[key]) continue;
      if (out === raw) out = copyOf(raw);
      out[key] = value;
    }
    return out;
  }

  /**
   * An `await` or JSON.stringify must never call a reference.
   * @param {string} key
   * @param {unknown} raw
   */
  #field(key, raw) {
    const value = this.#value(raw);
    if ((key === "then" || key === "toJSON") && isReference(value)) {
      throw new InsecureJelly(`a reference cannot stand under the key "${key}"`);
    }
    return value;
  }

  /** @param {Tagged} raw */
  #tagged(raw) {
    switch (raw.$) {
      case "remote":
      case "local":
        return this.#once(raw, () => this.#reference(raw));
      case "answer":
        return this.#answer(raw);
      case "failure":
        return unjellyFailure(raw, this.broker.types);
      case "def":
        return this.#def(raw);
      case "use":
        return this.#use(raw);
      case "set":
      case "frozenset":
      case "dict":
        return this.#container(raw, (value) => value);
    }
    const bytes = raw.$ === "bytes" && this.attachments[raw.at];
    return bytes || (unjellyScalar(raw, this.broker.limits) ?? malformed(raw));
  }

  /**
   * What stands for something on this side is looked up when the frame comes, and not again.
   * @param {Tagged} raw
   * @param {() => any} find
   */
  #once(raw, find) {
    if (!this.#kept.has(raw)) this.#kept.set(raw, find());
    return this.#kept.get(raw);
  }

  /** @param {Tagged} raw */
  #reference(raw) {
    const { broker } = this;
    const { id } = raw;
    if (!isId(id) && typeof id !== "string") malformed(raw);
    if (raw.$ === "local") return broker.exports.find(id);
    const reference = broker.unjellyRemote(id);
    if (typeof id === "number") this.introduced.push(id);
    return reference;
  }

  /** @param {Tagged} raw */
  #answer(raw) {
    if (this.frame[0] !== "message" || !isAnswer(raw)) malformed(raw);
    const answer = this.#once(raw, () => this.broker.incoming.find(raw.id));
    if (answer.settled) return answerValue(answer, raw.path);
    this.waits.add(answer);
  }

  /** @param {Tagged} raw */
  #def(raw) {
    const { id, value } = raw;
    if (!isId(id) || typeof value !== "object" || !value) return malformed(raw);
    const known = this.#defs.get(id);
    if (known) return known.source === raw ? known.value : malformed(raw);
    // It is known before its items are read, so that it can stand inside itself.
    const def = { source: raw, value: undefined };
    this.#defs.set(id, def);
    return this.#container(value, (made) => {
      def.value = made;
      return made;
    });
  }

  /**
   * JavaScript puts keys such as "1" first, so a `use` may be met before its `def`.
   * @param {Tagged} raw
   */
  #use(raw) {
    if (!this.#defs.has(raw.id)) {
      eachTagged(this.frame, (tagged) => {
        if (tagged.$ === "def" && tagged.id === raw.id) this.#def(tagged);
      });
    }
    return this.#defs.get(raw.id)?.value ?? malformed(raw);
  }

  /**
   * A list, object, dict or set.
   * @param {any} raw
   * @param {(made: any) => any} keep is told of it before its items are read
   */
  #container(raw, keep) {
    if (!Object.hasOwn(raw, "$")) return this.#fields(raw, keep(copyOf(raw)));
    const { $: tag, items } = raw;
    if (!["dict", "set", "frozenset"].includes(tag) || !Array.isArray(items)) return malformed(raw);
    if (tag !== "dict") return keep(new Set(items.map((item) => this.#hashed(item))));
    if (!items.every((pair) => Array.isArray(pair) && pair.length === 2)) malformed(raw);
    if (items.every(([key]) => typeof key === "string")) {
      const out = keep(Object.fromEntries(items));
      for (const [key, value] of items) out[key] = this.#field(key, value);
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
    if (isObject(raw) && [undefined, "dict", "set", "def", "use"].includes(raw.$)) malformed(raw);
    return this.#value(raw);
  }
}

/**
 * @param {Tagged} raw
 * @returns {never}
 */
function malformed({ $: tag = "object" }) {
  throw new InsecureJelly(
    `the tag ${JSON.stringify(tag).slice(0, 64)} is unknown, incomplete or misplaced`,
  );
}

/**
 * What a settled answer, followed along a path, is (section 1).
 * @param {Answer} answer
 * @param {unknown[]} [path] keys of plain objects and indexes of lists
 */
export function answerValue({ failed, outcome }, path) {
  if (failed) throw outcome;
  return followPath(outcome, path ?? []);
}

/**
 * @param {any} value
 * @param {unknown[]} path
 */
export function followPath(value, path) {
  for (const key of path) {
    const step = stepInto(value, key);
    if (!step || !("value" in step)) throw new InsecureJelly("the path leads nowhere");
    value = step.value;
  }
  return value;
}

/**
 * @param {any} value
 * @param {any} key
 * @returns {PropertyDescriptor | false | undefined}
 */
function stepInto(value, key) {
  if (typeof value !== "object" || !value || !isContainer(value)) return undefined;
  if (value instanceof Map) return value.has(key) && { value: value.get(key) };
  const kind = Array.isArray(value) ? "number" : "string";
  return typeof key === kind ? Object.getOwnPropertyDescriptor(value, key) : undefined;
}
