/**
 * The core of pbweb, for who bundles it: all but streams and live copies, which `pbweb/streams` and
 * `pbweb/live` add where they are imported. Everybody else uses `pbweb.js`.
 *
 * @module
 */
export { Cacheable, RemoteCache, RemoteCacheObserver } from "./caching.js";
export { connect } from "./client.js";
export { Connection } from "./connection.js";
export { CancelledError, DeadReferenceError, InsecureJelly, LimitExceeded, NoSuchMethod, PBConnectionLost, PBError, ProtocolError, RemoteError, UnauthorizedLogin, } from "./errors.js";
export { setUnjellyableForClass } from "./failures.js";
export { Copyable, Referenceable, Root } from "./flavors.js";
export { callSignal } from "./methods.js";
export { RemotePromise, remote } from "./promises.js";
export { RemoteReference } from "./references.js";
export { DateOnly, DateTime, Decimal, TimeDelta, TimeOnly } from "./scalars.js";
