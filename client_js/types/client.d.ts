/**
 * `connect`: from an address or a transport to a connection.
 *
 * @module
 */
import { Connection } from "./connection.js";
export type Transport = import("./connection.js").Transport;
export type ConnectOptions = import("./connection.js").ConnectionOptions & {
    WebSocket?: new (url: string, protocols: string[]) => any;
    signal?: AbortSignal;
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
export declare function connect<Api = any>(urlOrTransport: string | URL | Transport, options?: ConnectOptions): Promise<Connection<Api>>;
