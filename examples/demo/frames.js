/**
 * The list of frames as they went over the wire: a message that holds several is one group, a call
 * shows its answer, and lines at the side show which calls are in progress.
 *
 * @module
 */

import { flash, get, make } from "./dom.js";
import { addOutcome, isHousekeeping, lanesElement, rowElement, toggleDetail } from "./frame_row.js";
import { oneStop } from "./one_stop.js";

/** @typedef {import("./ledger.js").Frame} Frame */
/** @typedef {import("./ledger.js").Message} Message */

const list = get("frames");
const stops = oneStop(list, ".frame");

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

/** Bring the list up to date. @param {import("./ledger.js").Ledger} ledger */
export function showFrames({ messages }) {
  const from = shown.indexOf(/** @type {Message} */ (messages[0]));
  for (const message of from < 0 ? shown : shown.slice(0, from)) remove(message);
  const known = from < 0 ? 0 : shown.length - from;
  for (const message of messages.slice(known)) add(message);
  shown = [...messages];
  for (const frame of open) if (frame.call?.state !== "open") showOutcome(frame);
  if (following) list.scrollTop = list.scrollHeight;
  get("no-frames").hidden = messages.length > 0;
  stops.renew();
}

/** @param {Message} message */
function add(message) {
  const element = messageElement(message);
  elements.set(message, element);
  list.append(element);
}

/** @param {Message} message */
function remove(message) {
  elements.get(message)?.remove();
  for (const frame of message.frames) {
    open.delete(frame);
    rows.delete(frame);
  }
}

/** @param {Message} message */
function messageElement(message) {
  const { kind, side, frames, text } = message;
  const item = make("li.message", { "data-side": side, "data-kind": kind });
  if (kind !== "message") {
    const what = kind === "opened" ? "connected" : `connection closed: ${text}`;
    item.append(make("p.event", {}, what));
    return item;
  }
  item.toggleAttribute("data-housekeeping", frames.length > 0 && frames.every(isHousekeeping));
  item.toggleAttribute("data-group", frames.length !== 1);
  if (frames.length !== 1) item.append(groupHead(message));
  item.append(...frames.map(addRow));
  return item;
}

/** @param {Message} message */
function groupHead({ frames, text, bytes }) {
  /** @type {import("./ledger.js").Lane[]} */
  const through = (frames[0]?.lanes ?? []).map((lane) =>
    lane && lane.part !== "begins" ? { ...lane, part: "goes on" } : null,
  );
  const what = frames.length
    ? `one message, ${frames.length} frames`
    : `no frame: ${text.slice(0, 80)}`;
  return make("p.group-head", {}, lanesElement(through), `${what}, ${bytes} bytes`);
}

/** @param {Frame} frame */
function addRow(frame) {
  const row = rowElement(frame, () => press(frame));
  stops.settle(row);
  rows.set(frame, row);
  if (/message$/.test(frame.name) && frame.call?.id) open.add(frame);
  return row;
}

/** @param {Frame} frame */
function showOutcome(frame) {
  open.delete(frame);
  const row = rows.get(frame);
  if (!row) return;
  addOutcome(row, frame);
  stops.settle(row);
}

/** @param {Frame} frame */
function press(frame) {
  const row = rows.get(frame);
  if (!row) return;
  const { call } = frame;
  const other = call && (frame === call.frame ? call.end : call.frame);
  toggleDetail(row, frame, other && rows.has(other) ? () => goTo(other) : null);
  stops.settle(row);
}

/** Show a frame, if it is still in the list. @param {Frame} frame */
export function goTo(frame) {
  const row = rows.get(frame);
  row?.scrollIntoView({ block: "nearest" });
  row?.querySelector("button")?.focus();
  flash(row);
}
