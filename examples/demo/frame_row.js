/**
 * One frame as a row: its label, what it says in a line, and in full when it is pressed.
 *
 * @module
 */

import { make } from "./dom.js";
import { explain } from "./explain.js";
import { keyOf, peerOf } from "./ledger.js";
import { chip, shortName } from "./objects.js";
import { answerNode, argumentNodes, changeNodes, valueNode } from "./values.js";

/** @typedef {import("./ledger.js").Frame} Frame */
/** @typedef {import("./ledger.js").Lane} Lane */

/** Frames that keep the session going and carry nothing of the application's. */
const HOUSEKEEPING = new Set(["version", "ack", "ping", "pong"]);

/** Frames whose second item is the number of a call. */
const NUMBERED = new Set(["message", "cachemessage", "cancel"]);

/** Lines that are drawn, and letters of a frame's JSON that are shown. */
const MOST = { lanes: 5, json: 3000 };

/** @param {Frame} frame */
export const isHousekeeping = ({ name }) => HOUSEKEEPING.has(name);

/**
 * @param {Frame} frame
 * @param {() => void} onPress
 * @returns {HTMLElement}
 */
export function rowElement(frame, onPress) {
  const { name, number, lanes, message } = frame;
  const row = make("div.frame", { "data-name": name, "data-number": number });
  row.toggleAttribute("data-housekeeping", isHousekeeping(frame));
  row.append(
    lanesElement(lanes),
    make("time", { title: "since it was connected" }, milliseconds(message.since)),
    labelElement(frame, onPress),
    make("span.content", { "data-long": isUpdate(frame) ? "" : null }, ...contentNodes(frame)),
    make("span.meta", {}, metaText(frame)),
  );
  return row;
}

/** @param {Frame} frame */
const metaText = ({ again, message: { frames, bytes } }) =>
  again ? "again" : frames.length === 1 ? `${bytes} B` : "";

/**
 * @param {Frame} frame
 * @param {() => void} click
 */
function labelElement({ name, side, items, message }, click) {
  const answers = name === "answer" || name === "error";
  const numbered = items[1] && (answers || NUMBERED.has(name));
  // An answer lights up with the calls that are made on it.
  const key = answers ? keyOf(message.session, peerOf(side), `answer ${items[1]}`) : null;
  return make(
    "button.label",
    { type: "button", "aria-expanded": "false", "data-side": side, "data-object": key, click },
    make("span", { "aria-hidden": "true" }, side === "page" ? "→ " : "← "),
    make("span.unseen", {}, `from the ${side}: `),
    numbered ? `${name} ${items[1]}` : name,
  );
}

/** @param {number} time */
const milliseconds = (time) => `${time.toFixed(1)} ms`;

/** @param {Lane[]} lanes */
export function lanesElement(lanes) {
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
  if (name === "cachemessage") return updateNodes(frame);
  if (name === "answer" || name === "error") {
    return [`${call?.name ?? ""} ⇒ `, valueNode(items[2] ?? null, frame)];
  }
  if (name === "decref" || name === "decache") return givenBackNodes(frame);
  if (name === "uncache") return [copyChip(frame, items[1]), " kept up to date no longer"];
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
  if (typeof target === "object") return answerNode(target?.id, frame, target?.path);
  return chip(call?.target ?? "", owner, shortName(target), `an object of the ${owner}'s`);
}

/** A call on a copy, or what has changed in it. @param {Frame} frame */
function updateNodes(frame) {
  const [, , id, method] = frame.items;
  const copy = copyChip(frame, id);
  if (isUpdate(frame)) return [copy, ": ", ...changeNodes(frame)];
  return [copy, `.${method}(`, ...argumentNodes(frame), ")"];
}

/** Whether it says what has changed in a live object. @param {Frame} frame */
const isUpdate = ({ name, items, call }) =>
  name === "cachemessage" && items[3] === "update" && !!call?.on?.live;

/** @param {Frame} frame @param {number} id */
function copyChip({ side, message }, id) {
  const title = `the copy of an object of the ${side}'s`;
  return chip(keyOf(message.session, side, id), side, `copy ${shortName(id)}`, title);
}

/** @param {Frame} frame */
function givenBackNodes({ name, items, side, changes }) {
  const owner = peerOf(side);
  const [what, title] =
    name === "decache"
      ? ["copy ", `the copy of an object of the ${owner}'s`]
      : ["", `an object of the ${owner}'s`];
  return changes
    .flatMap(({ holding, by }, at) => [
      at ? ", " : "",
      chip(holding.key, owner, `${what}${shortName(holding.id)}`, title),
      ` given back${by < -1 ? `, ${-by} times` : ""}`,
    ])
    .concat(changes.length ? [] : [items.slice(1).join(" ")]);
}

/** Show what a call came to, beside the call. @param {HTMLElement} row @param {Frame} frame */
export function addOutcome(row, { call, message }) {
  if (!call) return;
  row.dataset.state = call.state;
  const outcome = make("span.outcome", {}, " ⇒ ");
  if (call.end) {
    const took = milliseconds(call.end.message.time - message.time);
    const value = valueNode(call.end.items[2] ?? null, call.end);
    outcome.append(value, make("small", {}, ` after ${took}`));
  } else outcome.append("lost: the session ended");
  row.querySelector(".content")?.append(outcome);
}

/**
 * Show or hide what a frame says in full.
 * @param {HTMLElement} row
 * @param {Frame} frame
 * @param {(() => void) | null} goToOther where the other frame of its call can be gone to
 */
export function toggleDetail(row, frame, goToOther) {
  const detail = row.querySelector(".detail");
  row.querySelector(".label")?.setAttribute("aria-expanded", String(!detail));
  if (detail) detail.remove();
  else row.append(detailElement(frame, goToOther));
}

/**
 * @param {Frame} frame
 * @param {(() => void) | null} click
 */
function detailElement(frame, click) {
  const { items, message, call } = frame;
  const json = JSON.stringify(items);
  const detail = make("div.detail", {}, ...explain(frame).map((text) => make("p", {}, text)));
  detail.append(make("pre", {}, json.length > MOST.json ? `${json.slice(0, MOST.json)}…` : json));
  if (click) {
    const text = frame === call?.frame ? "Go to its answer" : "Go to the call";
    detail.append(make("button.link", { type: "button", click }, text));
  }
  const binary = message.binary ? ", with its bytes behind the JSON" : "";
  detail.append(make("p.size", {}, `In a message of ${message.bytes} bytes${binary}.`));
  return detail;
}
