/**
 * The list of frames as they went over the wire: a message that holds several is one group, a call
 * shows its answer, and lines at the side show which calls are in progress.
 *
 * @module
 */

import { flash, get, make } from "./dom.js";
import { explain } from "./explain.js";
import { keyOf, peerOf } from "./ledger.js";
import { chip, shortName } from "./objects.js";
import { answerNode, argumentNodes, valueNode } from "./values.js";

/** @typedef {import("./ledger.js").Frame} Frame */
/** @typedef {import("./ledger.js").Message} Message */
/** @typedef {import("./ledger.js").Lane} Lane */

/** Frames that keep the session going and carry nothing of the application's. */
const HOUSEKEEPING = new Set(["version", "ack", "ping", "pong"]);

/** Lines that are drawn, and letters of a frame's JSON that are shown. */
const MOST = { lanes: 5, json: 3000 };

const list = get("frames");

/** Whether the newest frame is kept in sight: until somebody scrolls up. */
let following = true;
list.addEventListener("scroll", () => {
  following = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
});

/** @type {Message[]} */
let shown = [];
/** @type {WeakMap<Message, HTMLElement>} */
const elements = new WeakMap();
/** Frames of calls whose end is not shown yet. @type {Set<Frame>} */
const open = new Set();
/** @type {Map<Frame, HTMLElement>} */
const rows = new Map();

/**
 * Bring the list up to date with the ledger.
 * @param {import("./ledger.js").Ledger} ledger
 * @param {Map<number, number>} starts when each connection began
 */
export function showFrames({ messages }, starts) {
  const from = shown.indexOf(/** @type {Message} */ (messages[0]));
  for (const message of from < 0 ? shown : shown.slice(0, from)) remove(message);
  const known = from < 0 ? 0 : shown.length - from;
  for (const message of messages.slice(known)) {
    const element = messageElement(message, starts.get(message.session) ?? message.time);
    elements.set(message, element);
    list.append(element);
  }
  shown = [...messages];
  for (const frame of open) if (frame.call?.state !== "open") showOutcome(frame);
  if (following) list.scrollTop = list.scrollHeight;
  get("no-frames").hidden = messages.length > 0;
  keepOneStop();
}

/** @param {Message} message */
function remove(message) {
  elements.get(message)?.remove();
  for (const frame of message.frames) {
    open.delete(frame);
    rows.delete(frame);
  }
}

/**
 * @param {Message} message
 * @param {number} start
 */
function messageElement(message, start) {
  const { kind, side, frames, text } = message;
  const housekeeping = frames.length > 0 && frames.every(({ name }) => HOUSEKEEPING.has(name));
  const item = make("li.message", { "data-side": side, "data-kind": kind });
  item.toggleAttribute("data-housekeeping", housekeeping);
  if (kind !== "message") {
    const what = kind === "opened" ? "connected" : `connection closed: ${text}`;
    item.append(make("p.event", {}, `${what}`));
    return item;
  }
  item.toggleAttribute("data-group", frames.length !== 1);
  if (frames.length !== 1) item.append(groupHead(message));
  for (const frame of frames) item.append(frameElement(frame, start));
  return item;
}

/** @param {Message} message */
function groupHead({ frames, text, bytes }) {
  /** @type {Lane[]} */
  const through = (frames[0]?.lanes ?? []).map((lane) =>
    lane && lane.part !== "begins" ? { ...lane, part: "goes on" } : null,
  );
  const what = frames.length
    ? `one message, ${frames.length} frames`
    : `no frame: ${text.slice(0, 80)}`;
  return make("p.group-head", {}, lanesElement(through), `${what}, ${bytes} bytes`);
}

/**
 * @param {Frame} frame
 * @param {number} start
 */
function frameElement(frame, start) {
  const { name, side, items, lanes, message } = frame;
  const row = make("div.frame", { "data-name": name, "data-number": frame.number });
  row.toggleAttribute("data-housekeeping", HOUSEKEEPING.has(name));
  const label =
    /^(message|answer|error|cancel)$/.test(name) && items[1] ? `${name} ${items[1]}` : name;
  const toggle = make(
    "button.label",
    {
      type: "button",
      "aria-expanded": "false",
      "data-side": side,
      click: () => toggleDetail(frame),
    },
    make("span", { "aria-hidden": "true" }, side === "page" ? "→ " : "← "),
    make("span.unseen", {}, `from the ${side}: `),
    label,
  );
  if (name === "answer" || name === "error") {
    const key = keyOf(message.session, peerOf(side), `answer ${items[1]}`);
    toggle.setAttribute("data-object", key); // lights up with the calls that are made on it
  }
  const alone = message.frames.length === 1;
  row.append(
    lanesElement(lanes),
    make("time", { title: "since it was connected" }, milliseconds(message.time - start)),
    toggle,
    make("span.content", {}, ...contentNodes(frame)),
    make("span.meta", {}, alone ? `${message.bytes} B` : ""),
  );
  setStops(row);
  rows.set(frame, row);
  if (name === "message" && frame.call?.state !== "unasked") open.add(frame);
  return row;
}

/** @param {number} time */
const milliseconds = (time) => `${time.toFixed(1)} ms`;

/** @param {Lane[]} lanes */
function lanesElement(lanes) {
  const element = make("span.lanes", { "aria-hidden": "true" });
  for (const lane of lanes.slice(0, MOST.lanes)) {
    element.append(
      make("i", { "data-part": lane?.part ?? null, "data-side": lane?.call.caller ?? null }),
    );
  }
  return element;
}

/** @param {Frame} frame @returns {(Node | string)[]} */
function contentNodes(frame) {
  const { name, items, call } = frame;
  if (name === "message") {
    return [targetNode(frame), `.${items[3]}(`, ...argumentNodes(frame), ")"];
  }
  if (name === "answer" || name === "error") {
    return [`${call?.name ?? ""} ⇒ `, valueNode(items[2] ?? null, frame)];
  }
  if (name === "decref") return decrefNodes(frame);
  if (name === "cancel") return [call?.name ?? ""];
  if (name === "version") return [items[2]?.software ?? `version ${items[1]}`];
  if (name === "ack") return [`received ${items[1]}, sent ${items[2]}`];
  if (name === "close") return [`${items[1]} ${items[2]}`];
  return [items.slice(1).map(String).join(" ")];
}

/** @param {Frame} frame */
function targetNode(frame) {
  const { side, items, call } = frame;
  const [, , target] = items;
  const owner = peerOf(side);
  if (target < 0) return answerNode(-target, frame);
  if (typeof target === "object") return answerNode(target.id, frame, target.path);
  return chip(call?.target ?? "", owner, shortName(target), `an object of the ${owner}'s`);
}

/** @param {Frame} frame */
function decrefNodes({ items, side, changes }) {
  const owner = peerOf(side);
  return changes
    .flatMap(({ holding, by }, at) => [
      at ? ", " : "",
      chip(holding.key, owner, shortName(holding.id), `an object of the ${owner}'s`),
      ` given back${by < -1 ? `, ${-by} times` : ""}`,
    ])
    .concat(changes.length ? [] : [items.slice(1).join(" ")]);
}

/** What a call came to, beside the call. @param {Frame} frame */
function showOutcome(frame) {
  open.delete(frame);
  const { call } = frame;
  const row = rows.get(frame);
  if (!call || !row) return;
  row.dataset.state = call.state;
  const outcome = make("span.outcome", {}, " ⇒ ");
  if (call.end) {
    const took = milliseconds(call.end.message.time - frame.message.time);
    outcome.append(
      valueNode(call.end.items[2] ?? null, call.end),
      make("small", {}, ` after ${took}`),
    );
  } else outcome.append("lost: the session ended");
  row.querySelector(".content")?.append(outcome);
  setStops(row);
}

/** @param {Frame} frame */
function toggleDetail(frame) {
  const row = rows.get(frame);
  const button = row?.querySelector(".label");
  if (!row || !button) return;
  const isOpen = row.querySelector(".detail");
  button.ariaExpanded = String(!isOpen);
  if (isOpen) isOpen.remove();
  else row.append(detailElement(frame));
  setStops(row);
}

/** @param {Frame} frame */
function detailElement(frame) {
  const { items, message, call } = frame;
  const json = JSON.stringify(items);
  const detail = make("div.detail", {}, ...explain(frame).map((text) => make("p", {}, text)));
  detail.append(make("pre", {}, json.length > MOST.json ? `${json.slice(0, MOST.json)}…` : json));
  const other = call && (frame === call.frame ? call.end : call.frame);
  if (other && rows.has(other)) {
    const text = frame === call.frame ? "Go to its answer" : "Go to the call";
    detail.append(make("button.link", { type: "button", click: () => goTo(other) }, text));
  }
  const binary = message.binary ? ", with its bytes behind the JSON" : "";
  detail.append(make("p.size", {}, `In a message of ${message.bytes} bytes${binary}.`));
  return detail;
}

/** Show a frame, if it is there still. @param {Frame} frame */
export function goTo(frame) {
  const row = rows.get(frame);
  if (!row) return false;
  row.scrollIntoView({ block: "nearest" });
  /** @type {HTMLElement | null} */ (row.querySelector(".label"))?.focus();
  flash(row);
  return true;
}

// By keyboard the list is one stop of Tab: arrows go from frame to frame, Tab to its references.

/** The row that Tab comes to: the newest, until somebody goes to another. @type {Element | null} */
let stop = null;

/** @param {Element} label */
const isVisible = (label) => label.checkVisibility();

/** @returns {HTMLElement[]} */
const labels = () => /** @type {any[]} */ ([...list.querySelectorAll(".label")]).filter(isVisible);

function keepOneStop() {
  if (stop?.isConnected && list.contains(document.activeElement)) return;
  const newest = [...list.querySelectorAll(".label")].reverse().find(isVisible);
  if (newest) makeStop(newest.closest(".frame"));
}

/** @param {Element | null} row */
function makeStop(row) {
  const last = stop;
  stop = row;
  for (const changed of [last, row]) if (changed) setStops(changed);
}

/** Whether the buttons of a row are stops. @param {Element} row */
function setStops(row) {
  for (const button of row.querySelectorAll("button")) button.tabIndex = row === stop ? 0 : -1;
}

list.addEventListener("focusin", (/** @type {FocusEvent} */ { target }) => {
  const row = target instanceof Element ? target.closest(".frame") : null;
  if (row && row !== stop) makeStop(row);
});

list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const all = labels();
  const row = event.target instanceof Element && event.target.closest(".frame");
  const at = all.findIndex((label) => label.closest(".frame") === row);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  all[to].focus();
  all[to].scrollIntoView({ block: "nearest" });
});
