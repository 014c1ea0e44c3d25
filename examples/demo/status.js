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
 * @param {() => void} onBack is called each time when the server is there
 */
export async function watchServer(name, onBack) {
  try {
    const { connect } = await import(`../${name}/pb/pbweb.js`);
    const connection = await connect(`./${name}/pb`);
    connection.notifyOnDisconnect(away);
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
    const answer = await fetch("./readyz").catch(() => null);
    if (answer?.ok) watchServer(name, onBack);
    else setTimeout(retry, PAUSE);
  }
}
