/**
 * Whether the server is there: a connection is held as long as it is.
 *
 * @module
 */

import { get } from "./dom.js";

/** Milliseconds between two questions whether the server is back. */
const PAUSE = 1000;

const TEXTS = {
  connecting: "Connecting …",
  connected: "Connected to the server.",
  interrupted: "The connection is interrupted; trying again …",
  away: "The server is away. Start it with “make demo”, and this page goes on by itself.",
};

/** @param {keyof typeof TEXTS} state */
function say(state) {
  document.body.dataset.server = state;
  get("status").dataset.state = state;
  get("status").textContent = TEXTS[state];
}

/**
 * @param {string} name of an example whose server is watched
 * @param {() => void} onBack is called each time when there is another session with the server
 */
export async function watchServer(name, onBack) {
  try {
    const { connect } = await import(`../${name}/pb/pbweb.js`);
    const connection = await connect(`./${name}/pb`);
    connection.addEventListener("interrupted", () => hurry(connection));
    connection.addEventListener("resumed", () => say("connected"));
    connection.addEventListener("ended", away);
    say("connected");
    onBack();
  } catch {
    away();
  }

  function away() {
    say("away");
    setTimeout(retry, PAUSE);
  }

  /** Asks by HTTP first: a browser may never try a module again whose loading failed. */
  async function retry() {
    if (await isReady()) watchServer(name, onBack);
    else setTimeout(retry, PAUSE);
  }
}

/**
 * The session outlives its connection for a while. Clients try again ever more rarely, this one and
 * that of the example: they hear at once when the server answers.
 * @param {{ status: string }} connection
 */
async function hurry(connection) {
  say("interrupted");
  while (connection.status === "interrupted") {
    await new Promise((go) => setTimeout(go, PAUSE));
    if (!(await isReady())) continue;
    window.dispatchEvent(new Event("online"));
    window[0]?.dispatchEvent(new Event("online"));
  }
}

const isReady = async () => (await fetch("./readyz").catch(() => null))?.ok ?? false;
