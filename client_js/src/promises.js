/**
 * The promise of a call, which can be called and passed on before the answer is there: promise
 * pipelining (docs/protocol.md, section 1).
 *
 * @module
 */

/** @typedef {import("./broker.js").Broker} Broker */
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
 * @template {any[]} [Args=any[]]
 * @typedef {import("./api.js").CallOptions<Args>} CallOptions
 */

/** What can be called: a reference, and the promise of one. @template Api */
export class Callable {
  /** @internal @param {Broker} broker */
  constructor(broker) {
    /** @internal */
    this.broker = broker;
  }

  /** It is no plain object: Vue does not put a Proxy in its place. @internal */
  get [Symbol.toStringTag]() {
    return "pbweb";
  }

  /**
   * Call a method of the object. The promise is rejected with what the method raised, a PBError;
   * calls on the promise, and calls that take it as an argument, need not wait for it.
   *
   * @template {keyof Methods<Api> & string} Name
   * @param {Name} name without the prefix `remote_`
   * @param {Arguments<Methods<Api>[Name]>} args
   * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
   */
  callRemote(name, ...args) {
    return this.broker.start(/** @type {any} */ (this), name, { args });
  }

  /**
   * The long form of `callRemote`.
   *
   * @template {keyof Methods<Api> & string} Name
   * @param {Name} name
   * @param {CallOptions<Arguments<Methods<Api>[Name]>>} [options]
   * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
   */
  call(name, options = {}) {
    return this.broker.start(/** @type {any} */ (this), name, options);
  }

  /**
   * Call a method and want no answer, not even an error: the peer logs it.
   *
   * @template {keyof Methods<Api> & string} Name
   * @param {Name} name
   * @param {Arguments<Methods<Api>[Name]>} args
   */
  callRemoteOnly(name, ...args) {
    this.broker.start(/** @type {any} */ (this), name, { args }, true);
  }
}

/**
 * What a call will give: a promise that can be called, and passed on, before it is settled. One
 * that fails and that nobody awaits, calls or passes on is reported as any rejection is.
 *
 * @template [T=any]
 * @extends {Callable<ApiOf<T>>}
 * @implements {PromiseLike<T>}
 */
export class RemotePromise extends Callable {
  /** @type {Promise<T>} */
  #promise;
  /** @type {((value: any) => void) | undefined} */
  #resolve;
  /** @type {((error: unknown) => void) | undefined} */
  #reject;
  /** @internal */
  pending = true;
  /** @internal */
  rejected = false;
  /** The value, or the error. @type {any} @internal */
  outcome;
  /** Whether somebody waits for it. @internal */
  awaited = false;
  /** The request's id, from the moment it is sent. @internal */
  id = 0;
  /** Calls on this promise that were sent and are not answered. @internal */
  pipelined = 0;
  /** Calls on an object of this side's that wait for those. @type {(() => void)[] | undefined} @internal */
  later;

  /** @internal @param {Broker} broker */
  constructor(broker) {
    super(broker);
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
    (rejected ? this.#reject : this.#resolve)?.(outcome);
  }

  /**
   * The items of the stream that the call gives: `for await` need not await it first.
   * @returns {AsyncGenerator<T extends AsyncIterable<infer Item> ? Item : any>}
   */
  async *[Symbol.asyncIterator]() {
    yield* /** @type {any} */ (await this);
  }

  /** Somebody hangs on this promise and is told of its failure: it is not unhandled. @internal */
  handle() {
    this.#promise.catch(() => {});
  }

  /**
   * As of any promise; so `await` takes it.
   * @template [A=T]
   * @template [B=never]
   * @param {((value: T) => A | PromiseLike<A>) | null} [fulfilled]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
   * @returns {Promise<A | B>}
   */
  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  then(fulfilled, rejected) {
    this.awaited = true;
    return this.#promise.then(fulfilled, rejected);
  }

  /**
   * As of any promise.
   * @template [B=never]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected]
   * @returns {Promise<T | B>}
   */
  catch(rejected) {
    return this.then(null, rejected);
  }

  /**
   * As of any promise.
   * @param {(() => void) | null} [settled]
   * @returns {Promise<T>}
   */
  finally(settled) {
    this.awaited = true;
    return this.#promise.finally(settled);
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
