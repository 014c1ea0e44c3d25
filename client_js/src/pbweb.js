/**
 * pbweb: Perspective Broker for the web. These are its public names.
 *
 * @module
 */

export * from "./core.js";
export { LiveCopy } from "./live.js";
export { RemoteStream } from "./streams.js";

/**
 * @template {any[]} [Args=any[]]
 * @typedef {import("./api.js").CallOptions<Args>} CallOptions
 */
/** @typedef {import("./client.js").ConnectOptions} ConnectOptions */
/** @typedef {import("./connection.js").ConnectionOptions} ConnectionOptions */
/** @typedef {import("./connection.js").Credentials} Credentials */
/** @typedef {import("./connection.js").Transport} Transport */
/** @typedef {import("./errors.js").Outcome} Outcome */
/** @typedef {import("./errors.js").TypeOrName} TypeOrName */
/** @typedef {import("./failures.js").CopyableClass} CopyableClass */
/** @typedef {import("./failures.js").RemoteCacheClass} RemoteCacheClass */
/** @typedef {import("./failures.js").Registry} Registry */
/** @typedef {import("./limits.js").Limits} Limits */
/** @typedef {import("./live.js").Change} Change */
/**
 * @template State
 * @typedef {import("./live.js").Live<State>} Live
 */
/** @typedef {import("./broker.js").Ending} Ending */
