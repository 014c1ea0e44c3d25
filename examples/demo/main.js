/**
 * The demo page: one example at a time, its page, its wire, its tables and its files.
 *
 * @module
 */

import { get, make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { showFrames } from "./frames.js";
import { look, showGuide } from "./guide.js";
import { showHoldings } from "./holdings.js";
import { Ledger, SIDES } from "./ledger.js";
import { dim, followChips } from "./objects.js";
import { showRunning, showSources } from "./source.js";
import { showStage } from "./stage.js";
import { watchServer } from "./status.js";
import { followTabs, selectTab } from "./tabs.js";

/** @typedef {import("./examples.js").Example} Example */

let ledger = new Ledger();
let shown = new AbortController();
/** The example that could not be shown, since the server was away. @type {Example | null} */
let missing = null;
let drawing = false;
/** Milliseconds that the last picture took, of which no more than these count. */
let cost = 0;
const MOST = { cost: 60 };
/** Draws again while there is something going away. */
let timer = 0;
/** Each side's newest call since the last picture. @type {Map<string, import("./ledger.js").Call>} */
const running = new Map();

const tabs = get("tabs");

/** The example that the address names. */
const current = () =>
  EXAMPLES.find(({ name }) => location.hash === `#${name}`) ?? /** @type {Example} */ (EXAMPLES[0]);

async function show() {
  const example = current();
  shown.abort();
  shown = new AbortController();
  ledger = new Ledger();
  missing = null;
  dim(); // numbers of objects begin anew
  introduce(example);
  draw();
  const { signal } = shown;
  try {
    await Promise.all([showStage(example, signal, onWire), showSources(example.name, signal)]);
  } catch {
    if (!signal.aborted) missing = example;
  }
}

/** @param {Example} example */
function introduce(example) {
  const { name, title, lead, target, wide = false } = example;
  document.title = `pbweb: ${title}`;
  selectTab(tabs, `tab-${name}`);
  get("example").toggleAttribute("data-wide", wide);
  get("example").setAttribute("aria-labelledby", `tab-${name}`);
  get("title").textContent = title;
  get("lead").textContent = lead;
  get("alone").href = `./${name}/`;
  get("command").textContent = `pbweb serve examples.${name}.app:${target}`;
  get("stage").replaceChildren();
  showGuide(example);
}

/** @param {import("./stage.js").Wire} wire */
function onWire({ kind, session, side, data, bytes, text, time }) {
  if (kind === "opened") ledger.opened(session, time);
  if (kind === "closed") ledger.closed(session, time, text);
  if (kind === "message") {
    for (const frame of ledger.message(session, side, data, time, bytes).frames) {
      look(frame);
      if (frame.call?.frame === frame) running.set(side, frame.call);
    }
  }
  draw();
}

/** Once for everything that comes before the next picture; what is much to draw is drawn less often. */
function draw() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => requestAnimationFrame(paint), 4 * cost);
}

function paint() {
  const began = performance.now();
  drawing = false;
  for (const call of running.values()) showRunning(call);
  running.clear();
  clearTimeout(timer);
  const next = ledger.pass(performance.timeOrigin + began);
  if (showHoldings(ledger)) timer = setTimeout(draw, 500);
  else if (next < Number.POSITIVE_INFINITY) timer = setTimeout(draw, next);
  showFrames(ledger);
  showTotals();
  cost = Math.min(performance.now() - began, MOST.cost);
}

function showTotals() {
  for (const side of SIDES) {
    const { frames, messages, bytes } = ledger.totals[side];
    get(`total-${side}`).textContent = `${frames} frames in ${messages} messages, ${bytes} bytes`;
  }
}

/** @param {Example} example */
const tabOf = ({ name, title }) =>
  make(
    "a",
    { role: "tab", id: `tab-${name}`, href: `./#${name}`, "aria-controls": "example" },
    title,
  );

/** The tabs by their groups, in the order of the table. */
function tabGroups() {
  const names = [...new Set(EXAMPLES.map(({ group }) => group))];
  return names.map((name) => {
    const tabs = EXAMPLES.filter(({ group }) => group === name).map(tabOf);
    return make(
      "div.tab-group",
      { role: "none" },
      make("span.tab-group-name", { "aria-hidden": "true" }, name),
      ...tabs,
    );
  });
}

function followSources() {
  const list = get("source-tabs");
  const select = (/** @type {HTMLElement} */ tab) => {
    selectTab(list, tab.id);
    for (const file of ["index.html", "client.py"]) {
      get(`source-${file}`).hidden = tab.id !== `tab-source-${file}`;
    }
  };
  followTabs(list, select);
  list.addEventListener("click", (/** @type {Event} */ { target }) => {
    const tab = target instanceof Element && target.closest('[role="tab"]');
    if (tab instanceof HTMLElement) select(tab);
  });
}

tabs.append(...tabGroups());
followTabs(tabs, (tab) => location.replace(/** @type {HTMLAnchorElement} */ (tab).href));
followSources();
followChips();
addEventListener("hashchange", show);
get("skip").addEventListener("click", (/** @type {Event} */ event) => {
  event.preventDefault(); // what stands behind # is the example
  get("example").focus();
});
get("clear").addEventListener("click", () => {
  ledger.clear();
  draw();
});
get("housekeeping").addEventListener("change", (/** @type {any} */ { target }) => {
  get("frames").toggleAttribute("data-all", target.checked);
});
show();
watchServer(/** @type {Example} */ (EXAMPLES[0]).name, () => {
  if (missing) show();
});
