/**
 * JSON to values (docs/protocol.md, section 2): only for messages that may hold a tagged value.
 * What came is never changed: what holds a tagged value is copied.
 *
 * @module
 */

import { RemoteCache } from "./caching.js";
import { checkLimit, InsecureJelly, quote } from "./errors.js";
import { unjellyFailure } from "./failures.js";
import { Copyable, setAttributes } from "./flavors.js";
import { eachTagged, isAnswer, isDeeper, isId, isList, kindsOf } from "./frames.js";
import { copyOf, isContainer, isTrap, mapItems, TRAP } from "./jelly.js";
import { isStream, parts } from "./parts.js";
import { unjellyScalar } from "./scalars.js";

/** @typedef {Record<string, any>} Tagged */
/** @typedef {ReturnType<typeof newUnjellier>} Unjellier */

/**
 * A call whose answer can be named.
 * @typedef {{ pending: boolean, rejected?: boolean, outcome?: unknown }} Answer
 */

/**
 * Refuse values with too many levels.
 * @param {unknown[]} values
 * @param {number} outer their own levels that do not count
 * @param {import("./limits.js").Limits} limits
 */
export function checkDepth(values, outer, limits) {
  if (isDeeper(values, limits.depth + outer)) checkLimit(limits, "depth", Infinity, "this");
}

/**
 * What decodes the values of one frame; of a call that waits for answers, a second time.
 * @param {import("./broker.js").Broker} broker
 * @param {import("./frames.js").Frame} frame
 * @param {Uint8Array[]} attachments
 */
export const newUnjellier = (broker, frame, attachments) => ({
  broker,
  frame,
  attachments,
  /** Ids of the peer's objects that the frame holds. @type {number[]} */
  introduced: [],
  /** Answers that are not there yet. @type {any[]} */
  waits: [],
  /** What stands for something on this side is looked up when the frame comes, and not again. @type {Map<Tagged, any>} */
  kept: new Map(),
  /** @type {Map<number, { source: Tagged, value: any }> | undefined} */
  defs: undefined,
  /** In how many copies it is. */
  copies: 0,
  /** Every `def` and `cache` of the frame, when one was missed. @type {Map<string, Tagged> | undefined} */
  sources: undefined,
});

/**
 * An answer, or `args` with `kw`, which are a frame's own and no values.
 * @param {Unjellier} state
 * @param {any} value
 * @param {Record<string, any>} [kw]
 */
export function unjelly(state, value, kw = {}) {
  state.defs = undefined;
  state.waits = [];
  state.copies = 0;
  return [decode(state, value), items(state, kw)];
}

/**
 * @param {Unjellier} state
 * @param {any} raw
 * @returns {any}
 */
function decode(state, raw) {
  if (typeof raw !== "object" || !raw) return raw;
  return Object.hasOwn(raw, "$") ? tagged(state, raw) : items(state, raw);
}

/**
 * The items of a list or object.
 * @param {Unjellier} state
 * @param {any} raw
 * @param {any} [out] the copy, if there is one
 */
const items = (state, raw, out) => mapItems(raw, (value, key) => item(state, value, key), out);

/**
 * @param {Unjellier} state
 * @param {any} raw
 * @param {string | number} key
 */
function item(state, raw, key) {
  const value = decode(state, raw);
  if (isTrap(key, value)) refuse(TRAP);
  return value;
}

/**
 * @param {Unjellier} state
 * @param {Tagged} raw
 */
function tagged(state, raw) {
  const { broker, attachments, kept } = state;
  switch (raw.$) {
    case "remote":
    case "stream":
    case "local":
    case "cached":
    case "lcache":
    case "answer":
      return resolved(state, raw, kept.get(raw) ?? find(state, raw));
    case "cache":
      return kept.get(raw) ?? newCache(state, raw);
    case "failure":
      return unjellyFailure(raw, broker.types, (error) => {
        if ("state" in raw) setAttributes(error, stateOf(state, raw));
      });
    case "def":
      return def(state, raw);
    case "use":
      return use(state, raw);
  }
  // Only a number: an array has more than its items.
  const bytes = raw.$ === "bytes" && Number.isInteger(raw.at) && attachments[raw.at];
  return bytes || (unjellyScalar(raw, broker.limits) ?? container(state, raw, {}));
}

/**
 * @param {Unjellier} state
 * @param {Tagged} raw
 * @param {any} found what stands for it here: an object, or a call whose answer it is
 */
function resolved({ kept, waits }, raw, found) {
  kept.set(raw, found);
  if (raw.$ !== "answer") return found;
  if (found.pending) return void waits.push(found);
  const value = answerValue(found, raw.path);
  if (value && isStream(value)) refuse("a stream cannot be passed on by name; await it first");
  return value;
}

/**
 * @param {Unjellier} state
 * @param {Tagged} raw
 */
function find(state, raw) {
  const { broker, frame, introduced, copies } = state;
  const { $: tag, id } = raw;
  if (tag === "answer") {
    return frame[0] === "message" && isAnswer(raw) && !copies
      ? broker.nameable(id, frame)
      : malformed(raw);
  }
  if (!isId(id) && typeof id !== "string") malformed(raw);
  if (tag === "local") {
    const own = broker.exports.find(id);
    return parts.Producer && own instanceof parts.Producer ? malformed(raw) : own;
  }
  if (tag === "lcache") return broker.exports.find(id, true);
  if (tag === "cached") return sameCache(state, id);
  const isNumber = isId(id);
  const { RemoteStream } = parts;
  if (tag === "stream" && !(isNumber && RemoteStream)) malformed(raw);
  const found =
    tag === "stream"
      ? broker.imports.receiveStream(id, /** @type {any} */ (RemoteStream))
      : broker.imports.receive(id);
  if (isNumber) introduced.push(id);
  return found;
}

/**
 * JavaScript puts keys such as "1" first, so a `cached` may be met before its `cache`, and a `use`
 * before its `def`. The frame is looked through once for all of them.
 * @param {Unjellier} state
 * @param {"def" | "cache"} tag
 * @param {unknown} id
 */
function sourceOf(state, tag, id) {
  if (!state.sources) {
    /** @type {Map<string, Tagged>} */
    const sources = new Map();
    eachTagged(state.frame, (raw) => {
      if (isId(raw.id)) sources.set(raw.$ + raw.id, raw);
    });
    state.sources = sources;
  }
  return state.sources.get(tag + id);
}

/**
 * @param {Unjellier} state
 * @param {number} id
 */
function sameCache(state, id) {
  const { broker, introduced, kept } = state;
  const source = broker.imports.has(id) ? undefined : sourceOf(state, "cache", id);
  if (source && !kept.has(source)) newCache(state, source);
  const cache = broker.imports.receiveCache(id);
  introduced.push(id);
  return cache;
}

/**
 * @param {Unjellier} state
 * @param {Tagged} raw
 */
function newCache(state, raw) {
  const { broker, introduced, kept } = state;
  const { id, type } = raw;
  if (!isId(id) || !("state" in raw) || broker.imports.has(id)) malformed(raw);
  const live = type === "pb.live" && parts.LiveCore ? new parts.LiveCore() : undefined;
  const cache = live ?? new (registered(state, type, RemoteCache))();
  const copyOfIt = broker.imports.addCache(id, cache, live && (() => live.newCopy()));
  introduced.push(id);
  cache.setCopyableState(stateOf(state, raw));
  const copy = copyOfIt();
  kept.set(raw, copy);
  return copy;
}

/**
 * @param {Unjellier} state
 * @param {Tagged} raw
 */
function def(state, raw) {
  const { id, value } = raw;
  if (!isId(id) || typeof value !== "object" || !value) return malformed(raw);
  state.defs ??= new Map();
  const known = state.defs.get(id);
  if (known) return known.source === raw ? known.value : malformed(raw);
  const made = { source: raw, value: undefined };
  state.defs.set(id, made);
  return container(state, value, made);
}

/**
 * @param {Unjellier} state
 * @param {Tagged} raw
 */
function use(state, raw) {
  if (state.copies && state.waits.length) malformed(raw); // it may stand in what is to come
  const source = state.defs?.has(raw.id) ? undefined : sourceOf(state, "def", raw.id);
  if (source) def(state, source);
  return state.defs?.get(raw.id)?.value ?? malformed(raw);
}

/**
 * A list, object, dict, set or copy.
 * @param {Unjellier} state
 * @param {any} raw
 * @param {{ value?: any }} made gets it before its items are read, so that it can stand inside itself
 * @returns {any}
 */
function container(state, raw, made) {
  if (!Object.hasOwn(raw, "$")) {
    made.value = copyOf(raw);
    return items(state, raw, made.value);
  }
  if (raw.$ === "copy") return copy(state, raw, made);
  const { $: tag, items: given } = raw;
  if (!["dict", "set", "frozenset"].includes(tag) || !isList(given)) return malformed(raw);
  if (tag !== "dict") {
    made.value = new Set(given.map((member) => hashed(state, member)));
    return made.value;
  }
  if (!given.every((pair) => isList(pair) && pair.length === 2)) malformed(raw);
  const isPlain = given.every(([key]) => typeof key === "string");
  /** @type {any} */
  const out = isPlain ? Object.fromEntries(given) : new Map();
  made.value = out;
  for (const [key, value] of given) {
    if (isPlain) out[key] = item(state, value, key);
    else out.set(hashed(state, key), decode(state, value));
  }
  return out;
}

/**
 * A copy is made of a class that was registered for its type, and of no other.
 * @param {Unjellier} state
 * @param {any} raw
 * @param {{ value?: any }} made
 */
function copy(state, raw, made) {
  if (!("state" in raw)) malformed(raw);
  const known = registered(state, raw.type, Copyable);
  if (!known.fromState) {
    made.value = Object.create(known.prototype);
    setAttributes(made.value, stateOf(state, raw));
  } else made.value = known.fromState(stateOf(state, raw));
  return made.value;
}

/**
 * The class, below `kind`, that was registered for a type.
 * @param {Unjellier} state
 * @param {unknown} type
 * @param {typeof Copyable | typeof RemoteCache} kind
 */
function registered({ broker }, type, kind) {
  const known = broker.types.get(/** @type {any} */ (type));
  if (known?.prototype instanceof kind) return known;
  const what = kind === Copyable ? "copies" : "caches";
  const name = JSON.stringify(type)?.slice(0, 64);
  refuse(
    `no class is registered here for ${what} of the type ${name}: setUnjellyableForClass(${name}, …)`,
  );
}

/**
 * @param {Unjellier} state
 * @param {Tagged} raw
 */
function stateOf(state, raw) {
  state.copies++;
  const value = decode(state, raw.state);
  state.copies--;
  return value;
}

/**
 * A key of a dict or a member of a set, which Python must be able to hash.
 * @param {Unjellier} state
 * @param {any} raw
 */
function hashed(state, raw) {
  const value = decode(state, raw);
  const isPlain = kindsOf([raw]) === "o";
  const isOpen = isPlain && [undefined, "dict", "set", "def", "use"].includes(raw.$);
  return isOpen && !(value instanceof Copyable) ? malformed(raw) : value;
}

/**
 * @param {string} text
 * @returns {never}
 */
function refuse(text) {
  throw new InsecureJelly(text);
}

/** @param {Tagged} raw */
const malformed = ({ $: tag = "object" }) =>
  refuse(`the tag ${quote(tag)} is unknown, incomplete or misplaced`);

/**
 * What a settled answer, followed along a path, is (section 1).
 * @param {Answer} answer
 * @param {unknown[]} [path] keys of plain objects and indexes of lists
 */
export function answerValue({ rejected, outcome }, path = []) {
  if (rejected) throw outcome;
  /** @type {any} */
  let value = outcome;
  for (const key of /** @type {any[]} */ (path)) {
    const isMap = value instanceof Map;
    if (isMap ? !value.has(key) : !hasKey(value, key)) refuse("the path leads nowhere");
    value = isMap ? value.get(key) : value[key];
  }
  return value;
}

/**
 * @param {any} value
 * @param {string | number} key
 */
const hasKey = (value, key) =>
  typeof key === (isList(value) ? "number" : "string") &&
  isContainer(value ?? 0) &&
  Object.hasOwn(value, key);
