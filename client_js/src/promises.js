/**
 * The promise of a call, which can be called and passed on before the answer is there: promise
 * pipelining (docs/protocol.md, section 1).
 *
 * @module
 */

/**
 * @template T
 * @typedef {T extends import("./references.js").RemoteReference<infer Api> ? Api
 *   : 0 extends 1 & T ? any : never} ApiOf
 */
/**
 * @template Api
 * @typedef {import("./api.js").Methods<Api>} Methods
 */
/**
 * @template Method
 * @typedef {import("./api.js").Arguments<Method>} Arguments
 */
/**
 * @template Method
 * @typedef {import("./api.js").Result<Method>} Result
 */

/**
 * What a call will give: a promise that can be called, and passed on, before it is settled. One
 * that fails and that nobody awaits, calls or passes on is reported as any rejection is.
 *
 * @template [T=any]
 * @implements {PromiseLike<T>}
 */
export class RemotePromise {
  /** @type {Promise<T>} */
  #promise;
  /** @type {(value: any) => void} */
  #resolve = () => {};
  /** @type {(error: unknown) => void} */
  #reject = () => {};
  /** @internal */
  pending = true;
  /** @internal */
  rejected = false;
  /** The value, or the error. @type {any} @internal */
  outcome;
  /** The request's id, from the moment it is sent. @internal */
  id = 0;
  /** Calls on this promise that were sent and are not answered. @internal */
  pipelined = 0;
  /** Calls on an object of this side's that wait for those. @type {(() => void)[]} @internal */
  later = [];

  /** @internal @param {import("./broker.js").Broker} broker */
  constructor(broker) {
    /** @internal */
    this.broker = broker;
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /**
   * It has its answer; any further one is dropped.
   * @internal
   * @param {any} outcome
   * @param {boolean} [rejected] whether that is an error
   */
  settle(outcome, rejected = false) {
    if (!this.pending) return;
    this.pending = false;
    this.rejected = rejected;
    this.outcome = outcome;
    (rejected ? this.#reject : this.#resolve)(outcome);
  }

  /** Somebody hangs on this promise and is told of its failure: it is not unhandled. @internal */
  handle() {
    this.#promise.catch(() => {});
  }

  /**
   * @template [A=T]
   * @template [B=never]
   * @param {((value: T) => A | PromiseLike<A>) | null} [fulfilled]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
   * @returns {Promise<A | B>}
   */
  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  then(fulfilled, rejected) {
    return this.#promise.then(fulfilled, rejected);
  }

  /**
   * @template [B=never]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
   * @returns {Promise<T | B>}
   */
  catch(rejected) {
    return this.#promise.catch(rejected);
  }

  /**
   * @param {(() => void) | null} [settled]
   * @returns {Promise<T>}
   */
  finally(settled) {
    return this.#promise.finally(settled);
  }

  /**
   * Call a method of what the answer will be, without waiting for it.
   *
   * @template {keyof Methods<ApiOf<T>> & string} Name
   * @param {Name} name
   * @param {Arguments<Methods<ApiOf<T>>[Name]>} args
   * @returns {RemotePromise<Result<Methods<ApiOf<T>>[Name]>>}
   */
  callRemote(name, ...args) {
    return this.broker.outgoing.start(this, name, { args });
  }

  /**
   * The long form; `path` calls a method of an object that stands inside the answer.
   *
   * @param {string} name
   * @param {import("./api.js").CallOptions} [options]
   * @returns {RemotePromise<any>}
   */
  call(name, options = {}) {
    return this.broker.outgoing.start(this, name, options);
  }

  /**
   * @template {keyof Methods<ApiOf<T>> & string} Name
   * @param {Name} name
   * @param {Arguments<Methods<ApiOf<T>>[Name]>} args
   */
  callRemoteOnly(name, ...args) {
    this.broker.outgoing.start(this, name, { args }, true);
  }
}

class Sugar {}

/**
 * The methods of `target` as functions: `remote(ref).three(12)` is `ref.callRemote("three", 12)`.
 *
 * @template {import("./references.js").RemoteReference<any> | RemotePromise<any>} Target
 * @param {Target} target
 * @returns {RemoteMethods<Target extends RemotePromise<infer T> ? ApiOf<T> : ApiOf<Target>>}
 */
export function remote(target) {
  return /** @type {any} */ (
    new Proxy(new Sugar(), {
      get: (_, name) =>
        typeof name === "string" && name !== "then"
          ? (/** @type {any[]} */ ...args) =>
              /** @type {RemotePromise<any>} */ (target).callRemote(name, ...args)
          : undefined,
    })
  );
}

/**
 * @template Api
 * @typedef {{ [Name in keyof Methods<Api>]:
 *   (...args: Arguments<Methods<Api>[Name]>) => RemotePromise<Result<Methods<Api>[Name]>> }} RemoteMethods
 */
