/**
 * The table of who holds what: one row for each object that is known on the other side, its owner's
 * end and its holder's end, and between them how often it was handed out.
 *
 * @module
 */

import { flash, get, make } from "./dom.js";
import { SIDES } from "./ledger.js";
import { chip, shortName } from "./objects.js";

/** @typedef {import("./ledger.js").Holding} Holding */

/** How long a row stays that is going away, in milliseconds. */
const LINGER = 4000;

const body = get("holdings");

/** @type {Map<string, HTMLElement>} */
const rows = new Map();

/** @param {import("./ledger.js").Ledger} ledger */
export function showHoldings({ sessions, gone }) {
  const now = performance.timeOrigin + performance.now();
  const going = gone.filter((holding) => now - (holding.gone ?? 0) < LINGER);
  const all = [...sessions.values()].flatMap(holdingsOf);
  const wanted = new Map([...going, ...all].map((holding) => [holding.key, holding]));
  for (const [key, row] of rows) {
    if (wanted.has(key)) continue;
    row.remove();
    rows.delete(key);
  }
  for (const holding of wanted.values()) showRow(holding);
  showSummary(all);
  return going.length > 0;
}

/** @param {import("./ledger.js").Session} session */
const holdingsOf = ({ names, objects }) => [
  ...SIDES.flatMap((side) => [...names[side].values()]),
  ...SIDES.flatMap((side) => [...objects[side].values()]),
];

/** @param {Holding} holding */
function showRow(holding) {
  const { key, owner, count, gone } = holding;
  const row = rows.get(key) ?? addRow(holding);
  const times = timesText(holding);
  const use = useText(holding);
  const said = `${times} ${use}`;
  if (row.dataset.said === said) return;
  if (row.dataset.said) flash(row);
  Object.assign(row.dataset, { said, count, owner });
  row.classList.toggle("gone", gone !== null);
  write(row, ".times b", times);
  write(row, ".calls", use);
}

/** @param {Holding} holding */
function timesText({ id, count, gone }) {
  if (typeof id === "string") return "by name";
  return gone || !count ? "given back" : `${count} ×`;
}

/** @param {number} number */
const timesOf = (number) => (number === 1 ? "once" : `${number} times`);

/** What was done with it so far. @param {Holding} holding */
function useText({ kind, calls, asked, came }) {
  if (!calls) return "";
  if (kind === "cache") return `updated ${timesOf(calls)}`;
  if (kind === "stream") return `${came} read, ${asked} asked for`;
  return `called ${timesOf(calls)}`;
}

/** @param {Holding} holding @returns {HTMLElement} */
function addRow(holding) {
  const row = rowElement(holding);
  rows.set(holding.key, row);
  body.append(row);
  flash(row);
  return row;
}

/**
 * @param {HTMLElement} row
 * @param {string} where
 * @param {string} text
 */
function write(row, where, text) {
  const element = row.querySelector(where);
  if (element) element.textContent = text;
}

/** What a row calls the two ends. @type {Record<import("./ledger.js").Kind, { own: string, other: string, title: string }>} */
const ENDS = {
  object: { own: "object", other: "reference", title: "a reference to an object" },
  cache: { own: "original", other: "copy", title: "a copy, kept up to date, of an object" },
  stream: { own: "stream", other: "reader", title: "reads items" },
};

/** @param {Holding} holding */
function rowElement(holding) {
  const { key, owner, id, kind } = holding;
  const { own, other, title } = ENDS[kind];
  const object = make(
    "td",
    {},
    make("span.object", { "data-object": key, "data-owner": owner }, `${own} ${shortName(id)}`),
    make("small", {}, whenceText(holding)),
  );
  const holder = make(
    "td",
    {},
    chip(key, owner, `${other} ${shortName(id)}`, `${title} of the ${owner}'s`),
    make("small.calls"),
  );
  const times = make("td.times", {}, make("b"));
  const cells = owner === "server" ? [holder, times, object] : [object, times, holder];
  return make("tr", { "data-key": key, "data-owner": owner, "data-kind": kind }, ...cells);
}

/** @param {Holding} holding */
function whenceText({ id, type, origin }) {
  if (typeof id === "string") return "published by name";
  return type ? `${type.split(".").at(-1)}, in ${origin}` : `in ${origin}`;
}

/** @param {Holding[]} all */
function showSummary(all) {
  const summary = get("holdings-summary");
  summary.textContent = `${heldText(all, "server", "The page holds")}, ${heldText(all, "page", "the server")}.`;
  get("no-holdings").hidden = rows.size > 0;
}

/** How much of a side's the other holds. @param {Holding[]} all @param {string} side @param {string} holds */
function heldText(all, side, holds) {
  const held = all.filter(({ owner, id }) => owner === side && typeof id === "number");
  const copies = held.filter(({ kind }) => kind === "cache").length;
  const more = copies ? `${copies === 1 ? "a copy" : `${copies} copies`} and ` : "";
  return `${holds} ${more}${held.length - copies} of the ${side}'s${side === "server" ? " objects" : ""}`;
}
