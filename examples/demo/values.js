/**
 * Values of the wire, to be read: plain data as JavaScript writes it, references as chips.
 *
 * @module
 */

import { make } from "./dom.js";
import { keyOf, LIVE, peerOf } from "./ledger.js";
import { chip, shortName } from "./objects.js";

/** What is cut in a line; the whole stands in the frame's details. */
const MOST = { items: 6, letters: 60 };

/** Tags whose value is short enough to be shown as it is. @type {Record<string, (tagged: any) => string>} */
const SCALARS = {
  bytes: ({ base64, at }) => (base64 === undefined ? `bytes, part ${at}` : `bytes "${base64}"`),
  int: ({ value }) => value,
  float: ({ value }) => value,
  decimal: ({ value }) => `decimal ${value}`,
  datetime: ({ value }) => value,
  date: ({ value }) => value,
  time: ({ value }) => value,
  timedelta: ({ seconds }) => `${seconds} s`,
  failure: ({ type, message }) => `${String(type).split(".").at(-1)}: ${message}`,
  use: ({ id }) => `the same as ${id}`,
};

/** What is handed out or comes home, and what it is. @type {Record<string, (owner: string) => string>} */
const OBJECTS = {
  remote: (owner) => `a reference to an object of the ${owner}'s`,
  local: (owner) => `the ${owner}'s own object, coming home`,
  cache: (owner) => `a copy of an object of the ${owner}'s, which is kept up to date`,
  cached: (owner) => `the copy of the ${owner}'s object that is there already`,
  lcache: (owner) => `the ${owner}'s own object, in place of the copy of it`,
  stream: (owner) => `items that the ${owner} makes as they are asked for`,
};

/** @param {string} text */
const cut = (text) => (text.length > MOST.letters ? `${text.slice(0, MOST.letters)}…` : text);

/**
 * @param {any} value
 * @param {import("./ledger.js").Frame} frame that it stands in
 * @returns {Node}
 */
export function valueNode(value, frame) {
  if (typeof value === "string") return make("span.text", {}, JSON.stringify(cut(value)));
  if (typeof value !== "object" || value === null) return make("span.plain", {}, String(value));
  if (Array.isArray(value)) return group("[", "]", value, (item) => [valueNode(item, frame)]);
  if (typeof value.$ === "string") return taggedNode(value, frame);
  return group("{", "}", Object.entries(value), ([key, item]) => [
    `${cut(key)}: `,
    valueNode(item, frame),
  ]);
}

/**
 * @param {Record<string, any>} tagged
 * @param {import("./ledger.js").Frame} frame
 */
function taggedNode(tagged, frame) {
  const { $: tag, id, items, value } = tagged;
  if (Object.hasOwn(OBJECTS, tag)) return objectNode(tagged, frame);
  if (tag === "answer") return answerNode(id, frame, tagged.path);
  if (tag === "def") return valueNode(value, frame);
  if (tag === "copy") return copyNode(tagged, frame);
  if (tag === "dict" && Array.isArray(items)) {
    return group("dict {", "}", items, ([key, item]) => [
      valueNode(key, frame),
      ": ",
      valueNode(item, frame),
    ]);
  }
  if (Array.isArray(items))
    return group(`${tag} {`, "}", items, (item) => [valueNode(item, frame)]);
  const scalar = SCALARS[tag];
  return make("span.tagged", {}, cut(scalar ? scalar(tagged) : JSON.stringify(tagged)));
}

/** The last part of a type's name. @param {any} type */
const typeName = (type) => cut(String(type).split(".").at(-1) ?? "");

/**
 * A copy, by the last part of its type's name.
 * @param {Record<string, any>} tagged
 * @param {import("./ledger.js").Frame} frame
 */
function copyNode({ type, state }, frame) {
  return make("span.group", {}, `${typeName(type)} `, valueNode(state, frame));
}

/**
 * What is handed out, or comes home: its number; what is sent with it stands behind it.
 * @param {Record<string, any>} tagged
 * @param {import("./ledger.js").Frame} frame
 */
function objectNode({ $: tag, id, type, state }, frame) {
  const { side, message } = frame;
  const home = tag === "local" || tag === "lcache";
  const owner = home ? peerOf(side) : side;
  const key = keyOf(message.session, owner, id);
  const node = chip(key, owner, `${tag} ${shortName(id)}`, OBJECTS[tag]?.(owner) ?? "");
  if (tag !== "cache") return node;
  const isLive = type === LIVE && Array.isArray(state);
  return make(
    "span.group",
    {},
    node,
    ` ${typeName(isLive ? state[0] : type)} `,
    valueNode(isLive ? state[1] : state, frame),
  );
}

/**
 * The answer to an earlier call of the sender's, by the call's number.
 * @param {number} id
 * @param {import("./ledger.js").Frame} frame
 * @param {(string | number)[]} [path]
 */
export function answerNode(id, { side, message }, path = []) {
  const place = path.map((item) => `[${JSON.stringify(item)}]`).join("");
  const title = `whatever the ${side}'s call ${id} is answered with`;
  const key = keyOf(message.session, side, `answer ${id}`);
  return chip(key, peerOf(side), `the answer to ${id}${place}`, title);
}

/**
 * @param {string} open
 * @param {string} close
 * @param {any[]} items
 * @param {(item: any) => (Node | string)[]} show
 */
function group(open, close, items, show) {
  const node = make("span.group", {}, open);
  items.slice(0, MOST.items).forEach((item, at) => {
    node.append(at ? ", " : "", ...show(item));
  });
  if (items.length > MOST.items) node.append(`, … ${items.length - MOST.items} more`);
  node.append(close);
  return node;
}

/**
 * The arguments of a call, as they stand between its brackets.
 * @param {import("./ledger.js").Frame} frame
 */
export function argumentNodes(frame) {
  const [args, kw = {}] = frame.items.slice(4);
  /** @type {(Node | string)[]} */
  const nodes = [];
  for (const value of Array.isArray(args) ? args : []) nodes.push(", ", valueNode(value, frame));
  for (const [name, value] of Object.entries(kw)) nodes.push(`, ${name}=`, valueNode(value, frame));
  if (nodes.length) nodes[0] = String(nodes[0]).slice(2);
  return nodes;
}

/**
 * What was changed in a live object, as a program would do it.
 * @param {import("./ledger.js").Frame} frame
 */
export function changeNodes(frame) {
  const [ops] = frame.items[4] ?? [];
  const shown = Array.isArray(ops) ? ops.filter(Array.isArray) : [];
  const nodes = shown
    .slice(0, MOST.items)
    .flatMap((op, at) => [at ? ", " : "", ...opNodes(op, frame)]);
  if (shown.length > MOST.items) nodes.push(`, … ${shown.length - MOST.items} more`);
  return nodes;
}

/**
 * @param {any[]} op
 * @param {import("./ledger.js").Frame} frame
 * @returns {(Node | string)[]}
 */
function opNodes([path, what, ...given], frame) {
  const place = placeText(Array.isArray(path) ? path : []);
  if (what === "set") return [`${place} = `, valueNode(given[0], frame)];
  if (what === "del") return [`del ${place}`];
  const values = what === "splice" ? [...given.slice(0, 2), ...(given[2] ?? [])] : (given[0] ?? []);
  return [group(`${place}.${what}(`, ")", values, (item) => [valueNode(item, frame)])];
}

/** A path as it is written: `columns[0].title`. @param {any[]} path */
function placeText(path) {
  const text = path.map((key) =>
    /^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `[${cut(JSON.stringify(key))}]`,
  );
  return cut(text.join("").replace(/^\./, "")) || "it";
}
