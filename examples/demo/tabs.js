/**
 * Lists of tabs by keyboard: arrows, Home and End go from tab to tab.
 *
 * @module
 */

/**
 * @param {HTMLElement} list with elements of the role tab
 * @param {(tab: HTMLElement) => void} onSelect is called when one is gone to
 */
export function followTabs(list, onSelect) {
  const tabs = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll('[role="tab"]')]);
  list.addEventListener("keydown", (event) => {
    const all = tabs();
    const at = all.indexOf(/** @type {HTMLElement} */ (event.target));
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const to =
      { Home: 0, End: all.length - 1 }[event.key] ??
      (step && (at + step + all.length) % all.length);
    const tab = to === undefined ? undefined : all[to];
    if (!tab) return;
    event.preventDefault();
    tab.focus();
    onSelect(tab);
  });
}

/**
 * Mark one tab as the one that is shown.
 * @param {HTMLElement} list
 * @param {string} id of the tab
 */
export function selectTab(list, id) {
  for (const tab of list.querySelectorAll('[role="tab"]')) {
    const selected = tab.id === id;
    tab.setAttribute("aria-selected", String(selected));
    /** @type {HTMLElement} */ (tab).tabIndex = selected ? 0 : -1;
    if (selected) showTab(list, /** @type {HTMLElement} */ (tab));
  }
}

/** In a narrow window the list scrolls sideways. @param {HTMLElement} list @param {HTMLElement} tab */
function showTab(list, tab) {
  list.scrollLeft = tab.offsetLeft - (list.clientWidth - tab.offsetWidth) / 2;
}
