/**
 * Values to JSON (docs/protocol.md, section 2). A frame of plain data goes to JSON.stringify after
 * one look at it; one with anything else is walked, and copied with tags in the places that need
 * them: twice, if something stands in it more than once. Unjellying is in unjelly.js.
 *
 * @module
 */

import { Cacheable, holds, RemoteCache, RemoteCacheObserver } from "./caching.js";
import { checkLimit, deadReference, InsecureJelly, typeName } from "./errors.js";
import { jellyFailure } from "./failures.js";
import { Copyable, hasState } from "./flavors.js";
import { hasLoneSurrogate, isList, isWellFormed } from "./frames.js";
import { INLINE_BYTES } from "./limits.js";
import { isStream, parts } from "./parts.js";
import { RemotePromise } from "./promises.js";
import { isReference, RemoteReference } from "./references.js";
import { jellyScalar, toBase64 } from "./scalars.js";

/** @typedef {string | number} Key */

/**
 * One walk through the values of a frame.
 * @param {import("./broker.js").Broker} broker
 * @param {{ shared?: Set<object>, states?: Map<object, any>, fresh?: number[] }} [first] in the
 *   second walk: the first
 */
const newWalk = (broker, { shared, states = new Map(), fresh = [] } = {}) => ({
  broker,
  limits: broker.peer.limits,
  /** Where it is. @type {Key[]} */
  path: [],
  /** Bytes that travel outside the JSON. @type {Uint8Array[]} */
  attachments: [],
  /** Every id that was handed out in this frame. @type {number[]} */
  introduced: [],
  /** Promises whose answers the frame names. @type {RemotePromise<any>[]} */
  named: [],
  /** Those of the copies and of the fresh caches, each of which is asked for it once. @type {Map<object, any>} */
  states,
  /** The caches that the peer gets first with this frame; held until it is out. @type {number[]} */
  fresh,
  /** Those of them that stand in the frame by now. @type {Set<unknown>} */
  cached: new Set(),
  /** In how many copies it is. */
  copies: 0,
  isFirst: !shared,
  /** What stands in the frame more than once; the first walk finds it. */
  shared,
  /** Containers met so far; in the second walk the shared ones, with the ids of their `def`. @type {Map<object, number>} */
  met: new Map(),
});

/** @typedef {ReturnType<typeof newWalk>} Walk */

const CALL = { 4: "args", 5: "kw" };
/** What errors call the values of a frame, by their places. @type {Record<string, Record<number, string>>} */
const LABELS = {
  message: CALL,
  cachemessage: CALL,
  answer: { 2: "result" },
  error: { 2: "error" },
};

/**
 * Send a `message`, an `answer` or an `error` with its state. When that fails, no table has changed.
 * @param {import("./broker.js").Broker} broker
 * @param {any[]} frame
 * @param {number} [answered] the id of the peer's call that it answers
 * @param {RemotePromise<any>[]} [named] gets the promises whose answers the frame names
 */
export function postJelly(broker, frame, answered, named) {
  const { exports, peer } = broker;
  const plain = plainText(frame, peer.limits.depth);
  if (plain) return broker.link.post(plain, undefined, answered);
  const labels = /** @type {Record<number, string>} */ (LABELS[frame[0]]);
  let walk = newWalk(broker);
  const outer = broker.encoding;
  broker.encoding = true;
  const encoded = () =>
    JSON.stringify(frame.map((item, at) => (labels[at] ? root(walk, labels[at], item) : item)));
  let number = 0;
  try {
    let text = encoded();
    if (walk.shared) {
      exports.takeBack(walk.introduced);
      walk = newWalk(broker, walk);
      text = encoded();
    }
    named?.push(...walk.named);
    number = broker.link.post(text, walk.attachments, answered);
  } catch (error) {
    exports.takeBack(walk.introduced);
    throw error;
  } finally {
    exports.takeBack(walk.fresh);
    broker.encoding = outer;
    broker.pump();
  }
  return number;
}

/** What stands in the frame that plainText looks at. @type {Set<object> | undefined} */
let met;

/**
 * The JSON of a frame whose values are nothing but plain JSON, as nearly all are; else "".
 * @param {any[]} frame
 * @param {number} depth how many levels a value may have; `args` and `kw` are none
 */
function plainText(frame, depth) {
  met = undefined;
  const isCall = frame[0] === "message";
  const isRight = frame.every((item) =>
    isCall && typeof item === "object" ? hasPlainItems(item, depth) : isPlain(item, depth),
  );
  met = undefined;
  const text = isRight ? JSON.stringify(frame) : "";
  return hasLoneSurrogate(text) ? "" : text;
}

/**
 * @param {any} value
 * @param {number} levels how many it may have
 * @returns {boolean}
 */
function isPlain(value, levels) {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Math.abs(value) < 2 ** 53 && !Object.is(value, -0);
    case "object":
      if (!value) return true;
      if (levels < 1 || met?.has(value)) return false;
      met ??= new Set();
      met.add(value);
      return hasPlainItems(value, levels - 1);
  }
  return false;
}

/**
 * @param {any} value
 * @param {number} levels
 */
function hasPlainItems(value, levels) {
  if (isList(value)) {
    return !(/** @type {any} */ (value).toJSON) && value.every((item) => isPlain(item, levels));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype || value[Symbol.asyncIterator])
    return false;
  for (const key in value) if (key === "$" || !isPlain(value[key], levels)) return false;
  return true;
}

/**
 * A result or an error, or `args` or `kw`, which are a frame's own and no values.
 * @param {Walk} walk
 * @param {string} label
 * @param {any} value
 */
function root(walk, label, value) {
  if (label === "result" || label === "error") return item(walk, label, value, 0);
  walk.path = [label];
  if (Object.hasOwn(value, "$")) refuse(walk, 'an argument called "$" cannot cross');
  return items(walk, value, 0);
}

/**
 * @param {Walk} walk
 * @param {Key} key
 * @param {any} value
 * @param {number} depth how many containers it stands in
 * @param {boolean} [hashed] as a key of a dict or a member of a set
 */
function item(walk, key, value, depth, hashed) {
  walk.path.push(key);
  if (typeof key === "string") {
    checkText(walk, key);
    if (isTrap(key, value)) refuse(walk, TRAP);
  }
  const out = encode(walk, value, depth, hashed);
  walk.path.pop();
  return out;
}

/**
 * @param {Walk} walk
 * @param {any} value
 * @param {number} depth
 * @param {boolean} [hashed]
 * @returns {any}
 */
function encode(walk, value, depth, hashed) {
  if (typeof value === "string") checkText(walk, value);
  if (isPlain(value, 0) || value === undefined) return value;
  if (isContainer(value) || value instanceof Copyable) {
    return container(walk, value, depth, hashed);
  }
  if (value instanceof RemotePromise) return promised(walk, value, depth);
  return special(walk, value, deeper(walk, depth, 1));
}

/**
 * @param {Walk} walk
 * @param {string} text
 */
function checkText(walk, text) {
  if (!isWellFormed(text)) refuse(walk, "a string with a lone surrogate cannot cross");
}

/**
 * @param {Walk} walk
 * @param {any} value
 * @param {number} depth
 * @param {boolean} [hashed]
 */
function container(walk, value, depth, hashed) {
  const { met, isFirst } = walk;
  if (hashed && !(value instanceof Copyable)) {
    if (isList(value) || value instanceof Set) return body(walk, value, depth, true);
    refuse(walk, "an object cannot be a key of a Map or a member of a Set");
  }
  const id = met.get(value);
  if (isFirst) {
    // That it is shared is only noted: the second walk writes it once.
    if (id) {
      walk.shared ??= new Set();
      walk.shared.add(value);
      return;
    }
    met.set(value, 1);
  } else if (walk.shared?.has(value)) {
    if (id) return { $: "use", id };
    met.set(value, met.size + 1);
    return { $: "def", id: met.size, value: body(walk, value, deeper(walk, depth, 1)) };
  }
  return body(walk, value, depth);
}

/**
 * @param {Walk} walk
 * @param {any} value
 * @param {number} depth
 * @param {boolean} [hashed]
 */
function body(walk, value, depth, hashed) {
  const isDict = value instanceof Map;
  if (value instanceof Copyable) {
    const type = typeName(value.constructor);
    checkText(walk, type);
    return { $: "copy", type, state: stateOf(walk, value, deeper(walk, depth, 1)) };
  }
  if (value instanceof Set) {
    const members = items(walk, [...value], deeper(walk, depth, 2), true);
    return { $: hashed ? "frozenset" : "set", items: members };
  }
  if (isDict || (!isList(value) && Object.hasOwn(value, "$"))) {
    return dict(walk, isDict ? value : Object.entries(value), deeper(walk, depth, 3));
  }
  return items(walk, value, deeper(walk, depth, 1), hashed);
}

/**
 * The state of a copy or of an exception.
 * @param {Walk} walk
 * @param {any} value
 * @param {number} depth
 */
function stateOf(walk, value, depth) {
  const { states } = walk;
  if (!states.has(value)) states.set(value, value.toState());
  walk.copies++;
  const out = encode(walk, states.get(value), depth);
  walk.copies--;
  return out ?? null;
}

/**
 * @param {Walk} walk
 * @param {number} depth of a container; gives that of its items
 * @param {number} levels
 */
function deeper({ path, limits }, depth, levels) {
  depth += levels;
  if (depth > limits.depth) checkLimit(limits, "depth", depth, where(path));
  return depth;
}

/**
 * The items of an array or object; what else an array has, such as toJSON, stays here.
 * @param {Walk} walk
 * @param {any} raw
 * @param {number} depth
 * @param {boolean} [hashed]
 */
const items = (walk, raw, depth, hashed) =>
  mapItems(raw, (value, key) => item(walk, key, value, depth, hashed));

/**
 * @param {Walk} walk
 * @param {Iterable<[any, any]>} entries
 * @param {number} depth
 */
function dict(walk, entries, depth) {
  /** @type {[any, any][]} */
  const items = [];
  for (const [key, given] of entries) {
    const label = typeof key === "string" ? key : items.length;
    const name = item(walk, label, key, depth, true);
    const value = item(walk, label, given, depth);
    if (value !== undefined) items.push([name, value]);
  }
  return { $: "dict", items };
}

/**
 * @param {Walk} walk
 * @param {any} value
 * @param {number} depth of what stands in it
 */
function special(walk, value, depth) {
  const { broker, limits, attachments, path } = walk;
  if (value instanceof ArrayBuffer) value = new Uint8Array(value);
  if (value instanceof Uint8Array) {
    return broker.peer.binary && value.length > INLINE_BYTES && path[0] !== "error"
      ? { $: "bytes", at: attachments.push(value) - 1 }
      : { $: "bytes", base64: toBase64(value) };
  }
  if (value instanceof Error) {
    const failure = jellyFailure(value);
    return hasState(value) ? { ...failure, state: stateOf(walk, value, depth) } : failure;
  }
  if (isReference(value)) return reference(walk, value);
  if (value instanceof Cacheable) return cache(walk, value, depth);
  if (value instanceof RemoteCache) return ownedCache(walk, value);
  if (isStream(value)) return stream(walk, value);
  return jellyScalar(value, limits) ?? refuse(walk, describe(value));
}

/**
 * @param {Walk} walk
 * @param {any} value
 */
function reference({ broker, introduced }, value) {
  if (value instanceof RemoteReference) {
    if (value.broker === broker) return { $: "local", id: broker.imports.idOf(value.held) };
    if (value.broker.ending || value.released) throw deadReference();
  }
  const { id } = broker.exports.introduce(value);
  if (typeof id === "number") introduced.push(id);
  return { $: "remote", id };
}

/**
 * @param {Walk} walk
 * @param {any} value
 */
function stream(walk, value) {
  const { broker, introduced, limits } = walk;
  const newProducer = parts.newProducer ?? refuse(walk, 'streams need the module "pbweb/streams"');
  // What is no plain data is no number of bytes: it goes alone.
  const sizeOf = (/** @type {any} */ item) =>
    item instanceof Uint8Array ? item.length : plainText([item], limits.depth - 2).length;
  const entry = broker.exports.introduce(value, () => newProducer(broker, value, sizeOf));
  introduced.push(/** @type {number} */ (entry.id));
  return { $: "stream", id: entry.id };
}

/**
 * The state goes with the first frame that brings the cache to the peer.
 * @param {Walk} walk
 * @param {Cacheable} value
 * @param {number} depth
 */
function cache(walk, value, depth) {
  const { broker, introduced, fresh, states, cached } = walk;
  const entry = broker.exports.introduce(value);
  const id = /** @type {number} */ (entry.id);
  introduced.push(id);
  if (!entry.observer) {
    entry.observer = new RemoteCacheObserver(broker);
    entry.count++;
    fresh.push(id);
    states.set(value, value.getStateToCacheAndObserveFor(null, entry.observer));
    entry.observer.id = id;
  }
  if (!states.has(value) || cached.has(value)) return { $: "cached", id };
  cached.add(value);
  const type = typeName(value.constructor);
  checkText(walk, type);
  return { $: "cache", type, id, state: stateOf(walk, value, depth) };
}

/**
 * @param {Walk} walk
 * @param {RemoteCache} value
 */
function ownedCache(walk, value) {
  const held = holds.get(value);
  if (held?.broker !== walk.broker) {
    refuse(walk, "the copy of a cache can cross to its owner alone; make a Cacheable of your own");
  }
  return { $: "lcache", id: walk.broker.imports.idOf(held) };
}

/**
 * @param {Walk} walk
 * @param {RemotePromise<any>} promise
 * @param {number} depth
 */
function promised(walk, promise, depth) {
  const { broker, pending, rejected, outcome, id } = promise;
  promise.handle();
  if (rejected) throw outcome;
  if (!pending) return encode(walk, outcome, depth);
  if (walk.path[0] === "result" || walk.copies || broker !== walk.broker || !id) {
    refuse(walk, "this promise cannot cross; await it first");
  }
  deeper(walk, depth, 1);
  walk.named.push(promise);
  return { $: "answer", id };
}

/**
 * @param {Walk} walk
 * @param {string} text
 * @returns {never}
 */
function refuse({ path }, text) {
  throw new InsecureJelly(`${where(path)}: ${text}.`);
}

/** @param {Key[]} path */
const where = (path) =>
  path
    .map((key) => (/^[a-z_]\w*$/i.test(`${key}`) ? `.${key}` : `[${JSON.stringify(key)}]`))
    .join("")
    .slice(1);

/**
 * A copy of an array or a plain object, with each item converted.
 * @param {any} raw
 * @param {(value: any, key: any) => any} convert
 * @param {any} [out] the copy
 */
export function mapItems(raw, convert, out = copyOf(raw)) {
  for (const key of isList(out) ? out.keys() : Object.keys(out)) out[key] = convert(out[key], key);
  return out;
}

/**
 * What changes later in containers does not change in this.
 * @param {any} value
 * @param {Map<object, any>} [seen]
 * @returns {any}
 */
export function snapshot(value, seen = new Map()) {
  if (!isContainer(value ?? 0)) return value;
  if (seen.has(value)) return seen.get(value);
  const isMap = value instanceof Map;
  const copy = isMap ? new Map(value) : value instanceof Set ? new Set(value) : copyOf(value);
  seen.set(value, copy);
  if (isMap) for (const [key, item] of value) copy.set(key, snapshot(item, seen));
  else if (!(value instanceof Set)) mapItems(copy, (item) => snapshot(item, seen), copy);
  return copy;
}

/** @param {any} raw */
export const copyOf = (raw) => (isList(raw) ? [...raw] : { ...raw });

/**
 * An `await` or JSON.stringify must never call a reference.
 * @param {Key} key
 * @param {unknown} value
 */
export const isTrap = (key, value) => (key === "then" || key === "toJSON") && isReference(value);

export const TRAP = 'a reference cannot stand under the key "then" or "toJSON"';

/**
 * Arrays, Maps, Sets and plain objects; those of another window or worker, too.
 * @param {object} value
 */
export function isContainer(value) {
  if (isList(value) || value instanceof Map || value instanceof Set) return true;
  const prototype = Object.getPrototypeOf(value);
  return (!prototype || !Object.getPrototypeOf(prototype)) && !(Symbol.asyncIterator in value);
}

/** @param {any} value */
function describe(value) {
  let advice = "extend Referenceable or Copyable, or pass plain data";
  if (typeof value.then === "function") advice = "await it first";
  if (ArrayBuffer.isView(value)) advice = "pass a Uint8Array of its bytes";
  if (value instanceof Date) advice = "it is not in the years 1 to 9999";
  const name = typeof value === "symbol" ? "a symbol" : `an instance of ${value.constructor?.name}`;
  return `${name} cannot cross; ${advice}`;
}
