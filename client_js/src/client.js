/**
 * `connect`: from an address or a transport to a connection.
 *
 * @module
 */

import { Connection } from "./connection.js";

/** The WebSocket subprotocol. */
const SUBPROTOCOL = "pb.json.1";

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
 * Raises PBConnectionLost when there is no connection to be had, and CancelledError.
 *
 * @template [Api=any]
 * @param {string | URL | Transport} urlOrTransport an address is resolved as the platform's own
 *   WebSocket does it, against the document's base; `http` stands for `ws`
 * @param {ConnectOptions} [options]
 * @returns {Promise<Connection<Api>>}
 */
export async function connect(urlOrTransport, options = {}) {
  const { WebSocket, signal, ...others } = options;
  if (typeof urlOrTransport !== "string" && !(urlOrTransport instanceof URL)) {
    return new Connection(urlOrTransport, others).open(signal);
  }
  // Once: the secret of a session goes to no other address, whatever the page's base is by then.
  const url = resolveUrl(urlOrTransport);
  const dial = () => openWebSocket(url, WebSocket);
  return new Connection(dial(), { dial, ...others }).open(signal);
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
  let resolved;
  try {
    resolved = new URL(url, page.document?.baseURI ?? page.location?.href);
  } catch (cause) {
    throw new TypeError(`"${url}" is no address here; pass "ws://host/pb".`, { cause });
  }
  resolved.protocol = resolved.protocol.replace(/^http/, "ws");
  resolved.hash = "";
  return resolved.href;
}
