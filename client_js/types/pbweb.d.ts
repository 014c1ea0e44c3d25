/**
 * pbweb: Perspective Broker for the web. These are its public names.
 *
 * @module
 */
export * from "./core.js";
export { LiveCopy } from "./live.js";
export { RemoteStream } from "./streams.js";
export type CallOptions<Args extends any[] = any[]> = import("./api.js").CallOptions<Args>;
export type ConnectOptions = import("./client.js").ConnectOptions;
export type ConnectionOptions = import("./connection.js").ConnectionOptions;
export type Credentials = import("./connection.js").Credentials;
export type Transport = import("./connection.js").Transport;
export type Outcome = import("./errors.js").Outcome;
export type TypeOrName = import("./errors.js").TypeOrName;
export type CopyableClass = import("./failures.js").CopyableClass;
export type RemoteCacheClass = import("./failures.js").RemoteCacheClass;
export type Registry = import("./failures.js").Registry;
export type Limits = import("./limits.js").Limits;
export type Change = import("./live.js").Change;
export type Live<State> = import("./live.js").Live<State>;
export type Ending = import("./broker.js").Ending;
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
