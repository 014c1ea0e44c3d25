/**
 * The shell: it pumps a transport into a session, with the clocks and the page's life
 * (docs/protocol.md, section 6). Below are no sockets, timers or console.
 *
 * @module
 */

import { CancelledError, deadReference, lostCall } from "./errors.js";
import { Root } from "./flavors.js";
import { STALL_SECONDS } from "./limits.js";
import { RemotePromise } from "./promises.js";
import { isReference } from "./references.js";
import { newSession } from "./session.js";

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
 */

/**
 * @typedef {{ username: string, password: string } | { token: string }
 *   | { kind?: string, [field: string]: any }} Credentials `kind` names what the application has of
 *   its own, and "identity" what the upgrade proved already
 */

/** What stands for credentials on the wire (section 9). @param {Record<string, any>} credentials */
const proofOf = ({ kind, ...fields }) => [
  kind ?? ("token" in fields ? "token" : "username" in fields ? "password" : "anonymous"),
  fields,
];

/** The code to close a WebSocket with: a page may not use all (section 7). @param {number} code */
const closeCode = (code) =>
  ({ 1003: 4400, 1007: 4400, 1009: 4413 })[code] ?? (code < 3000 ? 1000 : code);

/**
 * @param {number} seconds
 * @param {() => void} run
 */
function startTimer(seconds, run) {
  /** @type {any} */
  const timer = setTimeout(run, Math.min(seconds * 1000, 2 ** 31 - 1));
  timer.unref?.(); // in Node it is the transport that keeps the process alive
  return () => clearTimeout(timer);
}

const now = () => performance.now() / 1000;

/** What hangs on it runs in the next microtask; queueMicrotask costs Node five times as much. */
const settled = Promise.resolve();

/**
 * Pumps a transport into a session, and watches whether it is alive.
 * @param {Transport} transport
 * @param {ConnectionOptions} options
 */
function newShell(transport, { log = logToConsole, ...options }) {
  const life = new AbortController();
  let isOpen = false;
  let flushing = false;
  /** @type {(() => void) | undefined} */
  let stopTimer;
  /** @type {(ending: import("./broker.js").Ending) => void} */
  let resolve = () => {};
  /** @type {Promise<import("./broker.js").Ending>} */
  const closed = new Promise((settle) => {
    resolve = settle;
  });
  const hooks = { now, timer: startTimer, wake, close, log: safely };
  const session = newSession(hooks, options);
  const { broker } = session;

  /**
   * @param {unknown} error
   * @param {string} where
   */
  function safely(error, where) {
    try {
      log(error, where);
    } catch {}
  }

  // Sending.

  /** All that one turn makes goes out together, what `async` methods give at once included. */
  function wake() {
    if (flushing || !isOpen) return;
    flushing = true;
    settled.then(() => settled.then(flush));
  }

  function flush() {
    flushing = false;
    if (!isOpen) return;
    const send = transport.send ?? transport.postMessage;
    for (const message of session.takeMessages()) send?.call(transport, message);
  }

  // Opening and closing.

  /**
   * Wait until the transport is open, and send this side's `version`.
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  function open(signal) {
    return new Promise((opened, reject) => {
      const abort = () => {
        reject(new CancelledError("Connecting was cancelled.", { cause: signal?.reason }));
        lose({ code: 1000 });
      };
      const start = () => {
        signal?.removeEventListener("abort", abort);
        isOpen = true;
        wait(STALL_SECONDS, () => timeOut("sent no version"));
        watchPage();
        flush();
        opened();
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      if ("binaryType" in transport) transport.binaryType = "arraybuffer";
      transport.onmessage = receive;
      transport.onerror = () => {};
      transport.onclose = (event) => {
        reject(cannotConnect(transport, event));
        lose(event);
      };
      if (transport.readyState === 0) transport.onopen = start;
      else start();
    });
  }

  /** @param {{ data: unknown }} event */
  function receive({ data }) {
    const isFirst = session.heard === undefined;
    session.receive(data);
    if (isFirst) beat();
  }

  /** The connection is gone. @param {any} event */
  function lose({ code = 1006, reason = "" }) {
    isOpen = false;
    session.end(code, reason);
    over();
  }

  /** @param {string} what */
  function timeOut(what) {
    session.end(4408, `The peer ${what} within 10 s.`);
  }

  /**
   * The session is over: write what is left, and close.
   * @param {number} code
   * @param {string} reason
   */
  function close(code, reason) {
    stopTimer?.();
    life.abort();
    try {
      flush();
      transport.close?.(closeCode(code), reason);
    } catch {}
    // A WebSocket tells when it is closed, other transports do not.
    const isOver = !isOpen || !(Number(transport.readyState) < 3);
    isOpen = false;
    if (isOver) over();
  }

  function over() {
    resolve(/** @type {import("./broker.js").Ending} */ (broker.ending));
  }

  // Liveness.

  /**
   * @param {number} seconds
   * @param {() => void} run
   */
  function wait(seconds, run) {
    stopTimer?.();
    stopTimer = startTimer(seconds, run);
  }

  /** Wait until nothing has come for `heartbeat` seconds, then ask. */
  function beat() {
    if (broker.ending) return;
    const left = Math.max(broker.peer.heartbeat, 1) - (now() - Number(session.heard));
    if (left > 0) wait(left, beat);
    else probe();
  }

  /** Ask whether the link is alive, and take it for lost when nothing comes for 10 s. */
  function probe() {
    if (broker.ending || session.heard === undefined) return;
    const asked = now();
    session.probe();
    wait(STALL_SECONDS, () => {
      // A timer that is much too late ran in a page that was asleep: it proves nothing.
      if (Number(session.heard) > asked) beat();
      else if (now() - asked > 2 * STALL_SECONDS) probe();
      else timeOut("did not answer a ping");
    });
  }

  /** A page that comes back asks at once; one that goes for good says so. */
  function watchPage() {
    const page = /** @type {any} */ (globalThis);
    const watch = (/** @type {any} */ event) => {
      if (event.type === "pagehide") return event.persisted || leave();
      if (page.document?.visibilityState !== "hidden") probe();
    };
    for (const name of ["visibilitychange", "online", "pageshow", "pagehide"]) {
      page.addEventListener?.(name, watch, { signal: life.signal });
    }
  }

  /** End the session for good. */
  function leave() {
    session.fail(1000, "The connection was closed.");
  }

  return { broker, closed, open, leave };
}

/** A connection and its session. @template [Api=any] */
export class Connection {
  #shell;

  /**
   * @param {Transport} transport
   * @param {ConnectionOptions} [options]
   */
  constructor(transport, { names = {}, ...options } = {}) {
    this.#shell = newShell(transport, options);
    for (const [name, object] of Object.entries(names)) this.setNameForLocal(name, object);
  }

  /** Resolved when the session is over. */
  get closed() {
    return this.#shell.closed;
  }

  /** The machine behind the connection, with its `statistics()`. */
  get broker() {
    return this.#shell.broker;
  }

  /**
   * The peer's root object. It costs no round trip, and calls need not wait for it.
   * @returns {RemotePromise<RemoteReference<Api>>}
   */
  getRootObject() {
    const { broker } = this;
    const promise = new RemotePromise(broker);
    const isOver = !!broker.ending;
    promise.settle(isOver ? deadReference() : this.remoteForName("root"), isOver);
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
    const { peer } = this.broker;
    const proof = mind ? [...proofOf(credentials), mind] : proofOf(credentials);
    const avatar = this.remoteForName("root").callRemote("login", ...proof);
    avatar.then(() => {
      peer.limits.message = Math.max(peer.limits.message, peer.message);
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
    return this;
  }
}

/**
 * A browser says neither to the page nor here why there is no WebSocket; the server's log does.
 * @param {any} transport
 * @param {any} event
 */
function cannotConnect({ url }, { code }) {
  return lostCall(
    `Could not connect to ${url} (${code}). Does pbweb serve there, is the path right, and may this ` +
      "page's origin connect? The server's log says what it refused.",
    "not_executed",
  );
}

/**
 * @param {unknown} error
 * @param {string} where
 */
function logToConsole(error, where) {
  console.error(`Peer will receive PB traceback: in ${where}:`, error);
}
