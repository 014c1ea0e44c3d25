/**
 * A list of rows with buttons, by keyboard: it is one stop of Tab. Arrows, Home and End go from row to
 * row, Tab goes on to the other buttons of the row.
 *
 * @module
 */

/**
 * @param {HTMLElement} list
 * @param {string} row selects the rows; the first button of each is its stop
 */
export function oneStop(list, row) {
  /** The row that Tab comes to: the newest, until somebody goes to another. @type {Element | null} */
  let stop = null;

  /** @param {EventTarget | null} target */
  const rowAt = (target) => (target instanceof Element ? target.closest(row) : null);
  /** @param {Element | undefined} element */
  const isVisible = (element) => element?.checkVisibility() ?? false;
  const rows = () => [...list.querySelectorAll(row)];

  /** Whether the buttons of a row are stops. @param {Element | null} changed */
  function settle(changed) {
    for (const button of changed?.querySelectorAll("button") ?? []) {
      button.tabIndex = changed === stop ? 0 : -1;
    }
  }

  /** @param {Element | null} next */
  function move(next) {
    const last = stop;
    stop = next;
    settle(last);
    settle(next);
  }

  /** There are other rows than before. */
  function renew() {
    if (stop?.isConnected && list.contains(document.activeElement)) return;
    move(rows().findLast(isVisible) ?? null);
  }

  list.addEventListener("focusin", ({ target }) => {
    const here = rowAt(target);
    if (here && here !== stop) move(here);
  });

  list.addEventListener("keydown", (event) => {
    const all = rows().filter(isVisible);
    const at = all.indexOf(/** @type {Element} */ (rowAt(event.target)));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    const next = all[to ?? -1];
    if (!next) return;
    event.preventDefault();
    next.querySelector("button")?.focus();
    next.scrollIntoView({ block: "nearest" });
  });

  return { settle, renew };
}
