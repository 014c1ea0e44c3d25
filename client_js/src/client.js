/**
 * `connect`: from an address or a transport to a connection.
 *
 * @module
 */

import { Connection } from "./connection.js";
import { LIMITS, withDefaults } from "./limits.js";

/** The WebSocket subprotocol. */
const SUBPROTOCOL = "pb.json.1";

/** What each option has to be. */
const OPTIONS = {
  limits: "object",
  names: "object",
  registry: "object",
  signal: "object",
  software: "string",
  log: "function",
  onSession: "function",
  dial: "function",
  WebSocket: "function",
};

/** @typedef {import("./connection.js").Transport} Transport */

/**
 * @typedef {import("./connection.js").ConnectionOptions & {
 *   WebSocket?: new (url: string, protocols: string[]) => any,
 *   signal?: AbortSignal,
 * }} ConnectOptions `WebSocket` for platforms that have none; `signal` ends the attempt
 */

/**
 * Connect to a server, or over any object with `send` or `postMessage` and `onmessage`. Both ends
 * of a MessageChannel can do it.
 *
 * Raises PBConnectionLost when there is no connection to be had, within 10 s where nobody answers;
 * CancelledError; and a TypeError or RangeError that names the option or the limit that is wrong.
 *
 * @template [Api=any]
 * @param {string | URL | Transport} urlOrTransport an address is resolved as the platform's own
 *   WebSocket does it, against the document's base; `http` stands for `ws`
 * @param {ConnectOptions} [options]
 * @returns {Promise<Connection<Api>>}
 */
export async function connect(urlOrTransport, options = {}) {
  const { WebSocket, signal, ...others } = checked(options);
  if (typeof urlOrTransport !== "string" && !(urlOrTransport instanceof URL)) {
    return new Connection(urlOrTransport, others).open(signal);
  }
  // Once: the secret of a session goes to no other address, whatever the page's base is by then.
  const url = resolveUrl(urlOrTransport);
  const dial = () => openWebSocket(url, WebSocket);
  return new Connection(undefined, { dial, ...others }).open(signal);
}

/** @param {ConnectOptions} options */
function checked(options) {
  for (const [name, value] of Object.entries(options)) {
    const kind = known("option", name, OPTIONS);
    if (value !== undefined && (typeof value !== kind || !value)) {
      throw new TypeError(`The option ${name} must be of the type ${kind}.`);
    }
  }
  for (const name of Object.keys(options.limits ?? {})) known("limit", name, LIMITS);
  withDefaults(options.limits);
  return options;
}

/**
 * @template T
 * @param {string} what
 * @param {string} name
 * @param {Record<string, T>} all
 */
function known(what, name, all) {
  if (Object.hasOwn(all, name)) return all[name];
  throw new TypeError(`There is no ${what} "${name}", only ${Object.keys(all).join(", ")}.`);
}

/**
 * @param {string} url
 * @param {ConnectOptions["WebSocket"]} [WebSocket]
 */
function openWebSocket(url, WebSocket = /** @type {any} */ (globalThis).WebSocket) {
  if (!WebSocket) {
    throw new TypeError("No WebSocket here: pass one, as connect(url, { WebSocket }).");
  }
  return new WebSocket(url, [SUBPROTOCOL]);
}

/** @param {string | URL} url */
function resolveUrl(url) {
  const page = /** @type {any} */ (globalThis); // a worker has no document
  try {
    const resolved = new URL(url, page.document?.baseURI ?? page.location?.href);
    resolved.protocol = resolved.protocol.replace(/^http/, "ws");
    resolved.hash = "";
    if (/^wss?:/.test(resolved.href)) return resolved.href;
  } catch {}
  throw new TypeError(`"${url}" is no address here; pass "ws://host/pb".`);
}
