/**
 * What to look for in an example. A point is ticked when the frame went by that shows it.
 *
 * @module
 */

import { flash, get, make, rich } from "./dom.js";
import { goTo } from "./frames.js";

/** @typedef {import("./examples.js").Example} Example */

const list = get("guide");

/** @type {{ sees: (frame: import("./ledger.js").Frame) => boolean, item: HTMLElement }[]} */
let unseen = [];

/** @param {Example} example */
export function showGuide({ points }) {
  unseen = points.map(({ text, sees }) => ({
    sees,
    item: make("li", {}, make("p", {}, ...rich(text))),
  }));
  list.replaceChildren(...unseen.map(({ item }) => item));
}

/** Tick what this frame shows for the first time. @param {import("./ledger.js").Frame} frame */
export function look(frame) {
  unseen = unseen.filter(({ sees, item }) => {
    if (!sees(frame)) return true;
    item.classList.add("seen");
    const click = () => goTo(frame);
    const text = item.firstElementChild;
    text?.prepend(make("span.unseen", {}, "Seen: "));
    text?.append(" ", make("button.link", { type: "button", click }, "Show it"));
    flash(item);
    return false;
  });
}
