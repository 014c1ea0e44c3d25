/**
 * Live copies: an object of the peer's that changes here as it changes there (docs/protocol.md,
 * section 3). The state is a tree that never changes; each update makes a new one, which shares all
 * that it left alone.
 *
 * @module
 */

import { holds, RemoteCache } from "./caching.js";
import { InsecureJelly, LimitExceeded } from "./errors.js";
import { isList, kindsOf } from "./frames.js";
import { copyOf, isContainer, isTrap, mapItems, TRAP } from "./jelly.js";
import { COPY_WEIGHT, KEY_WEIGHT } from "./limits.js";
import { parts } from "./parts.js";
import { isReference } from "./references.js";

/**
 * What an update changed. `path` leads there: keys of objects and Maps, and indexes of arrays; with
 * `set` and `del` its last item is what was set or deleted.
 * @typedef {{ path: any[], op: "set", value: any } | { path: any[], op: "del" }
 *   | { path: any[], op: "splice", index: number, count: number, items: any[] }
 *   | { path: any[], op: "add" | "discard", items: any[] }
 *   | { path: any[], op: "reset", value: any }} Change `splice` is of an array, `add` and `discard` of
 *   a Set; `reset` is all of it at once, when there were too many updates
 */

/**
 * @template State
 * @typedef {LiveCopy<State> & Readonly<State>} Live a live copy with the attributes of its object
 */

/** What stands behind the path and the name of an op. @type {Record<string, string[]>} */
const FIELDS = {
  // @ts-expect-error TypeScript takes it for a key: so no other op is found
  __proto__: null,
  set: ["value"],
  del: [],
  splice: ["index", "count", "items"],
  add: ["items"],
  discard: ["items"],
};

/**
 * What an op does to a node that it may change; gives what stands in its place.
 * @type {Record<string, (node: any, change: any, key: any) => any>}
 */
const EDITS = {
  set(node, { value }, key) {
    if (shapeOf(node) === "{}" && typeof key !== "string") node = new Map(Object.entries(node));
    if (isList(node)) node[itemOf(node, key)] = value;
    else if (node instanceof Map) node.set(equals(node, [key])[0], value);
    else if (shapeOf(node) === "Set") refuse();
    else if (isTrap(key, value)) refuse(TRAP);
    else if (key === "__proto__") define(node, key, { value, writable: true });
    else node[key] = value;
    return node;
  },
  del(node, _, key) {
    key = itemOf(node, key);
    if (isList(node)) refuse();
    if (node instanceof Map) node.delete(key);
    else delete node[key];
    return node;
  },
  splice(node, { index, count, items }) {
    if (!/^a[+0]{2}a$/.test(kindsOf([node, index, count, items]))) refuse();
    if (index + count > node.length) refuse();
    node.splice(index, count, ...items);
    return node;
  },
  add: (node, { items }) => members(node, items, "add"),
  discard: (node, { items }) => members(node, items, "delete"),
};

/**
 * @param {any} object
 * @param {string} key
 * @param {PropertyDescriptor} descriptor
 */
const define = (object, key, descriptor) =>
  Object.defineProperty(object, key, { enumerable: true, configurable: true, ...descriptor });

/** @returns {never} */
function refuse(text = "an update does not fit the state") {
  throw new InsecureJelly(text);
}

/** What a node of the tree is: a list, a Map, a Set, or a plain object; nothing for what is none. @param {any} value */
function shapeOf(value) {
  if (!isContainer(value ?? 0)) return "";
  return isList(value)
    ? "list"
    : value instanceof Map
      ? "Map"
      : value instanceof Set
        ? "Set"
        : "{}";
}

/**
 * What tells a key or a member from others: a tuple, a moment or a copy is what it holds. What holds
 * a reference, or is too long to compare, is itself alone.
 * @param {any} value
 */
function identityOf(value) {
  let left = KEY_WEIGHT;
  /** @param {any} inner @returns {string} */
  const text = (inner) => {
    const isLeaf = typeof inner !== "object" || !inner;
    const own = typeof inner === "string" ? JSON.stringify(inner) : isLeaf ? `${inner}` : "";
    left -= own.length + 1;
    if (left < 0 || inner instanceof Map || isReference(inner) || holds.has(inner)) throw left;
    if (isLeaf) return typeof inner === "bigint" ? `${own}n` : own;
    if (isList(inner)) return `[${inner.map(text)}]`;
    if (inner instanceof Set) return `{${[...inner].map(text).sort()}}`;
    return inner.constructor.name + (inner instanceof Date ? +inner : text(Object.entries(inner)));
  };
  if (typeof value !== "object" || !value) return value;
  try {
    return `\0${text(value)}`;
  } catch {
    return value;
  }
}

/**
 * What was met in a Map or Set that is being changed: no update costs more than it is long.
 * @type {WeakMap<object, Map<any, any>>}
 */
const indexes = new WeakMap();

/**
 * The keys or members of `node` that are equal to `values`; new ones themselves.
 * @param {any} node
 * @param {any[]} values
 */
function equals(node, values) {
  if (values.every((value) => typeof value !== "object")) return values;
  if (values.some((value) => /Map|{}/.test(shapeOf(value)))) refuse();
  const index = indexes.get(node) ?? new Map([...node.keys()].map((key) => [identityOf(key), key]));
  indexes.set(node, index);
  return values.map((value) => {
    const identity = identityOf(value);
    if (!index.has(identity)) index.set(identity, value);
    return index.get(identity);
  });
}

/**
 * @param {any} node
 * @param {any} items
 * @param {"add" | "delete"} action
 */
function members(node, items, action) {
  if (!(node instanceof Set) || !isList(items)) refuse();
  for (const member of equals(node, items)) node[action](member);
  return node;
}

/**
 * The key under which a node has an item: only its own items are found.
 * @param {any} node
 * @param {any} key
 */
function itemOf(node, key) {
  if (isList(node)) {
    if (Number.isInteger(key) && key >= 0 && key < node.length) return key;
  } else if (node instanceof Map) {
    const [own] = equals(node, [key]);
    if (node.has(own)) return own;
  } else if (typeof key === "string" && shapeOf(node) === "{}" && Object.hasOwn(node, key))
    return key;
  refuse();
}

/**
 * The state after some changes; each node of it is copied at most once.
 * @param {any} state
 * @param {Change[]} changes
 */
function changed(state, changes) {
  /** Copies made here. @type {Set<unknown>} */
  const fresh = new Set();

  /** @param {any} node */
  const own = (node) => {
    if (fresh.has(node)) return node;
    const shape = shapeOf(node) || refuse();
    const copy = /^[MS]/.test(shape) ? new node.constructor(node) : copyOf(node);
    fresh.add(copy);
    return copy;
  };

  /**
   * @param {any} node
   * @param {Change} change
   * @param {number} at how far along its path it is
   * @returns {any}
   */
  const edit = (node, change, at) => {
    const { path, op } = change;
    const perform = /** @type {Function} */ (EDITS[op]);
    const mine = own(node);
    // What takes a key takes the last of the path.
    if (path.length - at === perform.length - 2) {
      const made = perform(mine, change, path[at]);
      fresh.add(made);
      return made;
    }
    const key = itemOf(mine, path[at]);
    if (mine instanceof Map) mine.set(key, edit(mine.get(key), change, at + 1));
    else mine[key] = edit(mine[key], change, at + 1);
    return mine;
  };

  /**
   * A dict that lost its last key that is no string is a plain object again.
   * @param {any} node
   * @returns {any}
   */
  const settle = (node) => {
    if (!fresh.delete(node) || node instanceof Set) return node;
    if (!(node instanceof Map)) return mapItems(node, settle, node);
    for (const [key, item] of node) node.set(key, settle(item));
    const entries = [...node];
    if (!entries.every(([key]) => typeof key === "string")) return node;
    if (entries.some(([key, item]) => isTrap(key, item))) refuse(TRAP);
    return Object.fromEntries(entries);
  };

  for (const change of changes) state = edit(state, change, 0);
  if (changes.some(({ op }) => op === "del")) state = settle(state);
  fresh.forEach(Object.freeze);
  return checkState(state);
}

/**
 * The attributes of an object; their names are strings.
 * @param {any} state
 */
function checkState(state) {
  if (shapeOf(state) !== "{}") refuse("the state of a live object must be an object");
  return freeze(state);
}

/**
 * Nothing that the peer changes can be changed here.
 * @param {any} value
 */
function freeze(value) {
  const shape = shapeOf(value);
  if (shape && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of /^[MS]/.test(shape) ? value.values() : Object.values(value)) freeze(inner);
  }
  return value;
}

/**
 * Items and characters of a value; what stands in it twice is weighed once.
 * @param {any} value
 * @param {Set<unknown>} [seen]
 */
function weigh(value, seen = new Set()) {
  if (typeof value === "string") return value.length + 1;
  if (typeof value !== "object" || !value || seen.has(value)) return 1;
  seen.add(value);
  if (isReference(value) || holds.has(value)) return 1;
  if (ArrayBuffer.isView(value)) return value.byteLength + 1;
  let weight = 1;
  const hasOthers = /^[lMS]/.test(shapeOf(value));
  for (const [key, inner] of hasOthers ? value.entries() : Object.entries(value)) {
    weight += weigh(inner, seen);
    if (!isList(value)) weight += weigh(key, seen);
  }
  return weight;
}

/**
 * An op as it stands on the wire.
 * @param {any} raw
 * @param {number} most items of a path
 * @returns {Change}
 */
function changeOf(raw, most) {
  const [path, op, ...values] = isList(raw) ? raw : [];
  const fields = typeof op === "string" && FIELDS[op];
  if (!isList(path) || !fields || fields.length !== values.length) return refuse();
  if (path.length > most) refuse();
  values.forEach(freeze);
  const change = Object.fromEntries(fields.map((field, at) => [field, values[at]]));
  return /** @type {any} */ ({ path, op, ...change });
}

/** What takes the updates; it is kept while the owner may send some, whoever looks at it. */
export class LiveCore extends RemoteCache {
  type = "";
  /** @type {any} */
  state = {};
  /** What the state weighs at most, and when to weigh it anew. */
  #weight = 0;
  #due = COPY_WEIGHT;
  /** @type {Set<{ listener: (changes: Change[]) => void }>} */
  listeners = new Set();
  /** The copy: as long as somebody listens, it is no garbage. @type {LiveCopy | undefined} */
  kept;

  /** @override @param {any} given */
  setCopyableState(given) {
    if (!/^s./.test(kindsOf(isList(given) ? given : []))) refuse("a live object lacks its type");
    this.type = given[0];
    this.state = this.#whole(given[1]);
  }

  /** @param {any} ops */
  observe_update(ops) {
    const { limits } = this.held.broker;
    if (!isList(ops)) refuse();
    const changes = ops.map((op) => changeOf(op, limits.depth));
    if (!changes.length) return;
    const state = changed(this.state, changes);
    this.#bound(state, ops);
    this.#become(state, changes);
  }

  /** @param {any} value */
  observe_reset(value) {
    this.#become(this.#whole(value), [{ path: [], op: "reset", value }]);
  }

  /** @param {any} state all of it, at once */
  #whole(state) {
    this.#weight = 0;
    this.#due = COPY_WEIGHT;
    this.#bound(state, state);
    return checkState(state);
  }

  /**
   * Refuse what makes the copy too large, and all that comes after it, until it is brought whole. It
   * is weighed when enough has come since the last time: no update costs more than it is long.
   * @param {any} state
   * @param {any} given what has come
   */
  #bound(state, given) {
    this.#weight += weigh(given);
    if (this.#weight > this.#due && this.#weight < Infinity) {
      const weight = weigh(state);
      this.#due = Math.max(COPY_WEIGHT, weight + COPY_WEIGHT / 8);
      this.#weight = weight > COPY_WEIGHT ? Infinity : weight;
    }
    if (this.#weight === Infinity) {
      throw new LimitExceeded(`copy_weight: a live copy weighs more than ${COPY_WEIGHT}.`);
    }
  }

  get held() {
    return /** @type {import("./references.js").Held} */ (holds.get(this));
  }

  /**
   * @param {any} state
   * @param {Change[]} changes
   */
  #become(state, changes) {
    const before = this.state;
    this.state = state;
    const copy = /** @type {any} */ (this.held.weak?.deref());
    if (copy && changes.some(({ path }) => path.length < 2)) {
      for (const key in before) {
        if (!Object.hasOwn(state, key) && !isTaken(copy, key)) delete copy[key];
      }
      this.expose(copy, before);
    }
    for (const entry of [...this.listeners]) {
      try {
        if (this.listeners.has(entry)) entry.listener(changes);
      } catch (error) {
        this.held.broker.hooks.log(error, `a listener of ${this.type}`);
      }
    }
  }

  /** What the application gets: of the class registered for the type. */
  newCopy() {
    const known = this.held.broker.types.get(this.type);
    const copy = new (known?.prototype instanceof LiveCopy ? known : LiveCopy)();
    holds.set(copy, this.held);
    this.expose(copy);
    return copy;
  }

  /**
   * Each attribute is one of the copy as well, if its class has none of that name.
   * @param {any} copy
   * @param {any} [before] those that it has
   */
  expose(copy, before = {}) {
    for (const key in this.state) {
      const isNew = !Object.hasOwn(before, key) && !isTaken(copy, key);
      if (isNew) define(copy, key, { get: () => this.state[key] });
    }
  }
}

/**
 * @param {LiveCopy} copy
 * @param {string} key
 */
const isTaken = (copy, key) => key in Object.getPrototypeOf(copy);

/** @param {LiveCopy<any>} copy @returns {LiveCore} */
const coreOf = (copy) => /** @type {any} */ (holds.get(copy)?.cache);

/**
 * A live object of the peer's, which changes here as it changes there. Its attributes are those of
 * the object: `board.title`. To have methods of its own, register a subclass for the object's type.
 * It is given back when it is released, or garbage that nobody listens to.
 *
 * @template [State=any]
 */
export class LiveCopy extends RemoteCache {
  constructor() {
    super();
    for (const method of [this.snapshot, this.subscribe]) {
      define(this, method.name, { value: method.bind(this), enumerable: false });
    }
  }

  /**
   * The state now: a frozen object, the same one as long as nothing has changed. What an update left
   * alone is the same in the next one. It needs no `this`.
   * @returns {State}
   */
  snapshot() {
    return coreOf(this).state;
  }

  /**
   * Call `listener` after each update, with what has changed; gives what stops it. It needs no `this`.
   * @param {(changes: Change[]) => void} listener
   * @returns {() => void}
   */
  subscribe(listener) {
    const core = coreOf(this);
    const entry = { listener };
    core.listeners.add(entry);
    core.kept = this;
    return () => {
      core.listeners.delete(entry);
      if (!core.listeners.size) core.kept = undefined;
    };
  }

  /** The copy is no longer wanted: nothing changes here any more, and no listener is called. @override */
  release() {
    const core = coreOf(this);
    core.listeners.clear();
    core.kept = undefined;
    super.release();
  }
}

parts.LiveCore = LiveCore;
