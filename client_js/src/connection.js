/**
 * `Connection`: what an application has of a session, whatever carries it.
 *
 * @module
 */

import { PBConnectionLost, unsentCall } from "./errors.js";
import { Root } from "./flavors.js";
import { RemotePromise } from "./promises.js";
import { isReference } from "./references.js";
import { newShell } from "./shell.js";

/** @typedef {import("./flavors.js").Referenceable} Referenceable */
/**
 * @template Api
 * @typedef {import("./references.js").RemoteReference<Api>} RemoteReference
 */

/**
 * @typedef {object} Transport a WebSocket, MessagePort, Worker, or anything else that looks like one
 * @property {(message: any) => void} [send] sends one message
 * @property {(message: any) => void} [postMessage] the same, of what has no `send`
 * @property {((event: any) => void) | null} onmessage set by pbweb; called with each message as `event.data`
 * @property {((event: any) => void) | null} [onopen] set by pbweb where `readyState` is 0
 * @property {((event: any) => void) | null} [onclose] set by pbweb; called with the code and the reason
 * @property {((event: any) => void) | null} [onerror] set by pbweb
 * @property {(code?: number, reason?: string) => void} [close] ends it
 * @property {number} [readyState]
 * @property {number} [bufferedAmount] bytes that were given to `send` and are not sent
 * @property {any} [binaryType]
 * @property {string} [protocol]
 */

/**
 * @typedef {object} ConnectionOptions how this side of a connection behaves
 * @property {Partial<import("./limits.js").Limits>} [limits] of this side, announced to the peer
 * @property {Record<string, Referenceable | Function>} [names] objects to publish, such as `root`
 * @property {import("./failures.js").Registry} [registry] in place of `setUnjellyableForClass`
 * @property {string} [software] the name by which the peer knows this side
 * @property {(error: unknown, where: string) => void} [log] unexpected exceptions of methods here;
 *   without it they go to the console
 * @property {(root: RemoteReference<any>, connection: Connection<any>) => unknown} [onSession] called
 *   when a session begins: before `connect` is done, and again whenever the session could not be
 *   resumed, in which all references died. Without it the connection is over with its first session
 * @property {() => Transport} [dial] makes another transport when one is lost; `connect` has it for an
 *   address
 */

/**
 * @typedef {{ username: string, password: string } | { token: string }
 *   | { kind?: string, [field: string]: any }} Credentials `kind` names what the application has of
 *   its own, and "identity" what the upgrade proved already
 */

/** What stands for credentials on the wire (section 9). @param {Record<string, any>} credentials */
const proofOf = (credentials) => {
  const { kind, ...fields } = Object(credentials);
  const isGuest = !Object.keys(fields).length;
  const known =
    "token" in fields ? "token" : "username" in fields ? "password" : isGuest && "anonymous";
  if (credentials !== Object(credentials) || !(kind ?? known)) {
    throw new TypeError(
      "Credentials are {username, password}, {token}, {kind, …}, or {} of a guest.",
    );
  }
  return [kind ?? known, fields];
};

/**
 * A connection and its session, which outlives the loss of a WebSocket where the server lets it:
 * the events `interrupted`, `resumed` and `ended` say so, and `status` comes with each of them, and
 * when a new session has begun.
 * @template [Api=any]
 */
export class Connection extends EventTarget {
  #shell;
  #options;
  /** What is published, in a session that follows this one too. @type {Map<string, Referenceable | Function>} */
  #names;

  /**
   * @param {Transport | undefined} transport
   * @param {ConnectionOptions} [options] `dial`, without a transport
   */
  constructor(transport, options = {}) {
    super();
    this.#options = options;
    this.#names = new Map(Object.entries(options.names ?? {}));
    this.#shell = newShell(transport, options, {
      begin: () => {
        this.#publish();
        this.#setUp().catch((error) => {
          // When it is lost again, the next session is set up.
          if (!(error instanceof PBConnectionLost)) this.#shell.log(error, "onSession");
        });
      },
      tell: (name) => this.dispatchEvent(new Event(name)),
    });
    this.#publish();
  }

  #publish() {
    for (const [name, object] of this.#names) this.setNameForLocal(name, object);
  }

  async #setUp() {
    await this.#options.onSession?.(this.remoteForName("root"), this);
  }

  /**
   * "connected"; "interrupted": a connection is looked for, and calls wait; or "ended": all is over.
   * The event `status` says that it is another one.
   */
  get status() {
    return this.#shell.status;
  }

  /** Resolved when all is over: with `onSession` another session may follow one that has ended. */
  get closed() {
    return this.#shell.closed;
  }

  /** The machine behind the connection, with its `statistics()`. */
  get broker() {
    return this.#shell.session.broker;
  }

  /**
   * The peer's root object. It costs no round trip, and calls need not wait for it.
   * @returns {RemotePromise<RemoteReference<Api>>}
   */
  getRootObject() {
    const { broker } = this;
    const promise = new RemotePromise(broker);
    const isOver = !!broker.ending;
    promise.settle(isOver ? unsentCall() : this.remoteForName("root"), isOver);
    return promise;
  }

  /**
   * Log in at the peer's portal. Calls on the promise need not wait for it. There may be several
   * logins on one connection; to `release()` the avatar's reference, or to hold it no longer, logs
   * out. Raises UnauthorizedLogin, whatever is wrong.
   *
   * @template [Avatar=any]
   * @param {Credentials} [credentials] without any, or without fields, the login is anonymous
   * @param {Referenceable | Function} [mind] an object of this side's, for the avatar to call
   * @returns {RemotePromise<RemoteReference<Avatar>>}
   */
  login(credentials = {}, mind) {
    const { peer, calls } = this.broker;
    const proof = mind ? [...proofOf(credentials), mind] : proofOf(credentials);
    const avatar = this.remoteForName("root").callRemote("login", ...proof);
    avatar.then(() => {
      peer.limits.message = Math.max(peer.limits.message, peer.message);
      peer.limits.calls = Math.max(peer.limits.calls, peer.calls);
      calls.move();
    }, String);
    return avatar;
  }

  /**
   * Prove once more who `avatar` is, before what was proved expires: nothing that came through it is
   * lost. Raises UnauthorizedLogin, and the login goes on as before; or DeadReferenceError, when it
   * has ended already.
   *
   * @param {RemoteReference<any> | RemotePromise<any>} avatar
   * @param {Credentials} credentials the same one's: a new token, as a rule
   * @returns {RemotePromise<null>}
   */
  renew(avatar, credentials) {
    return this.remoteForName("root").callRemote("renew", avatar, ...proofOf(credentials));
  }

  /**
   * A reference to what the peer published under `name`; whether there is such an object, the
   * first call tells.
   * @param {string} name
   * @returns {RemoteReference<any>}
   */
  remoteForName(name) {
    return this.broker.imports.receive(name, {});
  }

  /**
   * Publish an object: the peer reaches it as `remoteForName(name)`.
   * @param {string} name
   * @param {Referenceable | Function} object
   */
  setNameForLocal(name, object) {
    const local = object instanceof Root ? object.rootObject(this) : object;
    if (!isReference(local)) {
      throw new TypeError(`What is published as "${name}" must be a Referenceable or a function.`);
    }
    this.broker.exports.publish(name, local);
    this.#names.set(name, object);
  }

  /** Call `callback` once, when the session is over. @param {() => void} callback */
  notifyOnDisconnect(callback) {
    this.broker.notifyOnDisconnect(callback);
  }

  /** Undo `notifyOnDisconnect`. @param {() => void} callback */
  dontNotifyOnDisconnect(callback) {
    this.broker.dontNotifyOnDisconnect(callback);
  }

  /** End the session. Calls in progress end with PBConnectionLost. */
  async close() {
    this.#shell.leave();
    await this.closed;
  }

  /**
   * Wait until the transport is open, and send this side's `version`.
   * @param {AbortSignal} [signal]
   * @returns {Promise<this>}
   */
  async open(signal) {
    await this.#shell.open(signal);
    try {
      await this.#setUp();
    } catch (error) {
      this.#shell.leave(); // nobody else can: nobody gets the connection
      throw error;
    }
    return this;
  }
}
