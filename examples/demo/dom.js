/**
 * Making elements.
 *
 * @module
 */

/**
 * An element: `make("li.seen", { title: "…" }, "text", child)`.
 * @param {string} what the tag, with classes behind points
 * @param {Record<string, any>} [attributes] those that are null or false are left out
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(/** @type {string} */ (tag));
  element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * The element of this id.
 * @param {string} id
 * @returns {any}
 */
export const get = (id) => document.getElementById(id);

/** Text in which `…` stands around code. @param {string} text */
export const rich = (text) =>
  text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/** Let an element light up for a moment. @param {Element | null | undefined} element */
export function flash(element) {
  if (!element || stillness.matches) return;
  for (const animation of element.getAnimations()) animation.cancel();
  element.animate([{ backgroundColor: "var(--flash)" }, {}], {
    duration: 1400,
    easing: "ease-out",
  });
}
