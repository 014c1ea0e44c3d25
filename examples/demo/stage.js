/**
 * Where an example's page runs: its own file in a frame, with a tap on its WebSockets.
 *
 * @module
 */

import { get, make } from "./dom.js";

/** @typedef {{ kind: "opened" | "closed" | "message", session: number, side: import("./ledger.js").Side, data: any, bytes?: number, text: string, time: number }} Wire */

/**
 * Show an example's page. What is in the frame is the file as it is, but for its beginning: where it
 * lies, for its relative addresses, and the tap.
 * @param {import("./examples.js").Example} example
 * @param {AbortSignal} signal ends it
 * @param {(wire: Wire) => void} onWire is told of everything that goes over the wire
 */
export async function showStage({ name, title }, signal, onWire) {
  const base = new URL(`./${name}/`, document.baseURI).href;
  const answer = await fetch(base, { signal });
  if (!answer.ok) throw new Error(`${base}: ${answer.status}`);
  const page = await answer.text();
  signal.throwIfAborted();
  const frame = make("iframe", { title: `The example ${title}`, "data-testid": name });
  frame.addEventListener("wire", (/** @type {CustomEvent<Wire>} */ { detail }) => {
    if (!signal.aborted) onWire(detail);
  });
  frame.inert = true; // until its scripts run: a form would be sent by the browser
  frame.addEventListener("load", () => {
    frame.inert = false;
    fit(frame);
  });
  frame.srcdoc = own(tapped(page, base));
  get("stage").replaceChildren(frame);
}

const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("pbweb-demo", {
  createHTML: (/** @type {string} */ page) => page, // it came from beside this file
});

/** Lets a page of the examples through where all HTML is watched over. @param {string} page */
function own(page) {
  return policy ? policy.createHTML(page) : page;
}

/**
 * @param {string} page
 * @param {string} base
 */
function tapped(page, base) {
  const tap = new URL("./tap.js", import.meta.url).href;
  const first = `<base href="${base}"><script src="${tap}"></script>`;
  return page.replace(/<head[^>]*>/i, (head) => head + first);
}

/** A frame is as tall as its content. @param {HTMLIFrameElement} frame */
function fit(frame) {
  const page = frame.contentDocument?.documentElement;
  if (!page) return;
  new ResizeObserver(() => {
    frame.style.height = `${page.offsetHeight}px`;
  }).observe(page);
}
