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
import { Session } from "./session.js";

/** @typedef {import("./flavors.js").Referenceable} Referenceable */
/**
 * @template Api
 * @typedef {import("./references.js").RemoteReference<Api>} RemoteReference
 */

/**
 * A WebSocket, MessagePort, Worker, or anything else that looks like one.
 * @typedef {object} Transport
 * @property {(message: any) => void} [send]
 * @property {(message: any) => void} [postMessage]
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} [onopen]
 * @property {((event: any) => void) | null} [onclose]
 * @property {((event: any) => void) | null} [onerror]
 * @property {(code?: number, reason?: string) => void} [close]
 * @property {number} [readyState]
 * @property {any} [binaryType]
 * @property {string} [protocol]
 */

/**
 * @typedef {object} ConnectionOptions
 * @property {Partial<import("./limits.js").Limits>} [limits] of this side, announced to the peer
 * @property {Record<string, Referenceable | Function>} [names] objects to publish, such as `root`
 * @property {import("./failures.js").Registry} [registry] in place of `setUnjellyableForClass`
 * @property {string} [software] the name by which the peer knows this side
 * @property {(error: unknown, where: string) => void} [log] unexpected exceptions of methods here;
 *   without it they go to the console
 */

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

/** A connection and its session. @template [Api=any] */
export class Connection {
  /** Resolved when the session is over. @type {Promise<import("./session.js").Ending>} */
  closed;
  #transport;
  #session;
  #isOpen = false;
  #flushing = false;
  #heard = 0;
  #stopTimer = () => {};
  #life = new AbortController();
  /** @type {(ending: import("./session.js").Ending) => void} */
  #resolveClosed = () => {};

  /**
   * @param {Transport} transport
   * @param {ConnectionOptions} [options]
   */
  constructor(transport, { names = {}, log = logToConsole, ...options } = {}) {
    this.#transport = transport;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    const logSafely = (/** @type {unknown} */ error, /** @type {string} */ where) => {
      try {
        log(error, where);
      } catch {}
    };
    const wake = () => this.#wake();
    const close = (/** @type {number} */ code, /** @type {string} */ reason) =>
      this.#end(code, reason);
    this.#session = new Session({ now, timer: startTimer, log: logSafely, wake, close }, options);
    for (const [name, object] of Object.entries(names)) this.setNameForLocal(name, object);
  }

  /** The machine behind the connection, with its `statistics()`. */
  get broker() {
    return this.#session.broker;
  }

  /**
   * The peer's root object. It costs no round trip, and calls need not wait for it.
   * @returns {RemotePromise<RemoteReference<Api>>}
   */
  getRootObject() {
    const { broker } = this;
    const promise = new RemotePromise(broker);
    promise.settle(broker.over ? deadReference() : this.remoteForName("root"), broker.over);
    return promise;
  }

  /**
   * A reference to what the peer published under `name`; whether there is such an object, the
   * first call tells.
   * @param {string} name
   * @returns {RemoteReference<any>}
   */
  remoteForName(name) {
    return this.broker.named(name);
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

  /** @param {() => void} callback */
  dontNotifyOnDisconnect(callback) {
    this.broker.dontNotifyOnDisconnect(callback);
  }

  /** End the session. Calls in progress end with PBConnectionLost. */
  async close() {
    this.#session.fail(1000, "The connection was closed.");
    await this.closed;
  }

  /**
   * Wait until the transport is open, and send this side's `version`.
   * @param {AbortSignal} [signal]
   * @returns {Promise<this>}
   */
  open(signal) {
    const transport = this.#transport;
    return new Promise((resolve, reject) => {
      const abort = () => {
        reject(new CancelledError("Connecting was cancelled.", { cause: signal?.reason }));
        this.#lose({ code: 1000 });
      };
      const opened = () => {
        signal?.removeEventListener("abort", abort);
        this.#opened();
        resolve(this);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      if ("binaryType" in transport) transport.binaryType = "arraybuffer";
      transport.onmessage = (event) => this.#receive(event.data);
      transport.onerror = () => {};
      transport.onclose = (event) => {
        reject(cannotConnect(event));
        this.#lose(event);
      };
      if (transport.readyState === 0) transport.onopen = opened;
      else opened();
    });
  }

  #opened() {
    this.#isOpen = true;
    this.#stopTimer = startTimer(STALL_SECONDS, () => this.#timeOut("sent no version"));
    this.#watchPage();
    this.#flush();
  }

  /** @param {unknown} data */
  #receive(data) {
    const session = this.#session;
    const { open } = session;
    this.#heard = now();
    session.receive(data);
    if (!open && session.open && !session.ending) this.#beat();
  }

  /** All that one turn makes goes out together, what `async` methods give at once included. */
  #wake() {
    if (this.#flushing || !this.#isOpen) return;
    this.#flushing = true;
    queueMicrotask(() => queueMicrotask(() => this.#flush()));
  }

  #flush() {
    this.#flushing = false;
    if (!this.#isOpen) return;
    const transport = this.#transport;
    for (const message of this.#session.takeMessages()) {
      if (transport.send) transport.send(message);
      else transport.postMessage?.(message);
    }
  }

  /** The connection is gone. @param {any} event */
  #lose({ code = 1006, reason = "" }) {
    this.#isOpen = false;
    this.#session.end({ code, reason, reconnect: true });
    this.#resolve();
  }

  /** @param {string} what */
  #timeOut(what) {
    this.#session.end({ code: 4408, reason: `The peer ${what} within 10 s.`, reconnect: true });
  }

  /**
   * The session is over: write what is left, and close.
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    this.#stopTimer();
    this.#life.abort();
    try {
      this.#flush();
      this.#transport.close?.(closeCode(code), reason);
    } catch {}
    // A WebSocket tells when it is closed, other transports do not.
    const isOver = !this.#isOpen || !(Number(this.#transport.readyState) < 3);
    this.#isOpen = false;
    if (isOver) this.#resolve();
  }

  #resolve() {
    if (this.#session.ending) this.#resolveClosed(this.#session.ending);
  }

  // Liveness.

  /** Wait until nothing has come for `heartbeat` seconds, then ask. */
  #beat() {
    const { heartbeat } = this.#session.peer;
    const left = Math.min(Math.max(heartbeat, 1), 3600) - (now() - this.#heard);
    this.#stopTimer();
    if (left > 0) this.#stopTimer = startTimer(left, () => this.#beat());
    else this.#probe();
  }

  /** Ask whether the link is alive, and take it for lost when nothing comes for 10 s. */
  #probe() {
    const session = this.#session;
    if (!session.open || session.ending) return;
    const asked = now();
    session.probe();
    this.#stopTimer();
    this.#stopTimer = startTimer(STALL_SECONDS, () => {
      // A timer that is much too late ran in a page that was asleep: it proves nothing.
      if (this.#heard > asked) this.#beat();
      else if (now() - asked > 2 * STALL_SECONDS) this.#probe();
      else this.#timeOut("did not answer a ping");
    });
  }

  /** A page that comes back asks at once; one that goes for good says so. */
  #watchPage() {
    const page = /** @type {any} */ (globalThis);
    const watch = (/** @type {any} */ event) => {
      if (event.type === "pagehide") return event.persisted || this.close();
      if (event.persisted ?? page.document?.visibilityState !== "hidden") this.#probe();
    };
    const { signal } = this.#life;
    for (const name of ["visibilitychange", "online", "pageshow", "pagehide"]) {
      const target = name === "visibilitychange" ? page.document : page;
      target?.addEventListener?.(name, watch, { signal });
    }
  }
}

/** @param {any} event */
function cannotConnect({ code, reason }) {
  return lostCall(
    `Could not connect (${code} ${reason}). Is the address right, does a server speak pb.json.1 there, ` +
      "and does it allow this page's origin?",
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
