/**
 * pbweb: Perspective Broker for the web. These are its public names.
 *
 * @module
 */

export { Cacheable, RemoteCache, RemoteCacheObserver } from "./caching.js";
export { connect } from "./client.js";
export { Connection } from "./connection.js";
export {
  CancelledError,
  DeadReferenceError,
  InsecureJelly,
  LimitExceeded,
  NoSuchMethod,
  PBConnectionLost,
  PBError,
  ProtocolError,
  RemoteError,
  UnauthorizedLogin,
} from "./errors.js";
export { setUnjellyableForClass } from "./failures.js";
export { Copyable, Referenceable, Root } from "./flavors.js";
export { LiveCopy } from "./live.js";
export { callSignal } from "./methods.js";
export { RemotePromise, remote } from "./promises.js";
export { RemoteReference } from "./references.js";
export { DateOnly, DateTime, Decimal, TimeDelta, TimeOnly } from "./scalars.js";
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
