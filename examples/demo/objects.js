/**
 * Objects on the page: wherever one is named it is a chip, and the chips of one object light up
 * together.
 *
 * @module
 */

import { make } from "./dom.js";

/** The keys of objects that light up: the one pointed at, and the one that was clicked. */
const lit = { hover: "", pinned: "" };

/**
 * @param {string} key
 * @param {import("./ledger.js").Side} owner
 * @param {string} text
 * @param {string} title
 */
export function chip(key, owner, text, title) {
  const button = make(
    "button.chip",
    { type: "button", title, "data-object": key, "data-owner": owner, "aria-pressed": "false" },
    text,
  );
  button.append(make("span.unseen", {}, `, ${title}`));
  light(button);
  return button;
}

/** How an object is called: by its number, or by the name it was published under. @param {number | string} id */
export const shortName = (id) => (typeof id === "number" ? `#${id}` : id);

/** @param {HTMLElement} element */
function light(element) {
  const key = element.dataset.object;
  element.toggleAttribute("data-lit", key === lit.hover || key === lit.pinned);
  if (element.matches(".chip")) element.ariaPressed = String(key === lit.pinned);
}

/**
 * @param {"hover" | "pinned"} how
 * @param {string} key
 */
function set(how, key) {
  if (lit[how] === key) return;
  lit[how] = key;
  for (const element of document.querySelectorAll("[data-object]")) {
    light(/** @type {HTMLElement} */ (element));
  }
}

/** @param {Event} event */
const keyAt = ({ target }) =>
  (target instanceof Element && target.closest(".chip")?.getAttribute("data-object")) || "";

/** Follow the pointer, the focus and clicks. */
export function followChips() {
  document.addEventListener("pointerover", (event) => set("hover", keyAt(event)));
  document.addEventListener("focusin", (event) => set("hover", keyAt(event)));
  document.addEventListener("click", (event) => {
    const key = keyAt(event);
    if (key) set("pinned", key === lit.pinned ? "" : key);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") dim();
  });
}

/** Nothing lights up any more. */
export function dim() {
  set("pinned", "");
  set("hover", "");
}
