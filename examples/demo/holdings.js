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
  const { key, owner, count, calls, gone } = holding;
  const row = rows.get(key) ?? addRow(holding);
  const times = typeof holding.id === "string" ? "by name" : gone ? "given back" : `${count} ×`;
  const said = `${times} ${calls}`;
  if (row.dataset.said === said) return;
  if (row.dataset.said) flash(row);
  Object.assign(row.dataset, { said, count, owner });
  row.classList.toggle("gone", gone !== null);
  write(row, ".times b", times);
  write(row, ".calls", calls ? `called ${calls === 1 ? "once" : `${calls} times`}` : "");
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

/** @param {Holding} holding */
function rowElement({ key, owner, id, origin }) {
  const named = typeof id === "string";
  const object = make(
    "td",
    {},
    make("span.object", { "data-object": key, "data-owner": owner }, `object ${shortName(id)}`),
    make("small", {}, named ? "published by name" : `in ${origin}`),
  );
  const title = `a reference to an object of the ${owner}'s`;
  const holder = make(
    "td",
    {},
    chip(key, owner, `reference ${shortName(id)}`, title),
    make("small.calls"),
  );
  const times = make("td.times", {}, make("b"));
  const cells = owner === "server" ? [holder, times, object] : [object, times, holder];
  return make("tr", { "data-key": key, "data-owner": owner }, ...cells);
}

/** @param {Holding[]} all */
function showSummary(all) {
  const held = (/** @type {string} */ side) =>
    all.filter(({ owner, id }) => owner === side && typeof id === "number").length;
  const summary = get("holdings-summary");
  const [server, page] = [held("server"), held("page")];
  summary.textContent = `The page holds ${server} of the server's objects, the server ${page} of the page's.`;
  get("no-holdings").hidden = rows.size > 0;
}
