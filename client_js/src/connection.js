/**
 * The shell: it pumps a transport into a session, with the clocks and the page's life
 * (docs/protocol.md, section 6). Below are no sockets, timers or console.
 *
 * @module
 */

import { CancelledError, deadReference, PBConnectionLost } from "./errors.js";
import { Referenceable, Root } from "./flavors.js";
import { STALL_SECONDS } from "./limits.js";
import { RemotePromise } from "./promises.js";
import { RemoteReference } from "./references.js";
import { Session } from "./session.js";

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

/** The codes that a page may close a WebSocket with (section 7). @param {number} code */
function closeCode(code) {
  if (code === 1003 || code === 1007) return 4400;
  if (code === 1009) return 4413;
  return code === 1000 || (code >= 3000 && code < 5000) ? code : 1000;
}

const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * @param {number} seconds
 * @param {() => void} run
 */
function startTimer(seconds, run) {
  /** @type {any} */
  const timer = setTimeout(run, Math.min(seconds * 1000, LONGEST_TIMER));
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
  #heard = now();
  #stopBeat = () => {};
  #stopProbe = () => {};
  #life = new AbortController();
  /** @type {(ending: import("./session.js").Ending) => void} */
  #resolveClosed = () => {};

  /**
   * @param {Transport} transport
   * @param {ConnectionOptions} [options]
   */
  constructor(transport, { names = {}, log, ...options } = {}) {
    this.#transport = transport;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#session = new Session(
      {
        now,
        timer: startTimer,
        log: (error, where) => {
          try {
            (log ?? logToConsole)(error, where);
          } catch {}
        },
        wake: () => this.#wake(),
        close: (code, reason) => this.#end(code, reason),
      },
      options,
    );
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
    const promise = new RemotePromise(this.broker);
    if (this.broker.over) promise.fail(deadReference());
    else promise.fulfill(this.remoteForName("root"));
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
    if (!this.broker.isReference(local)) {
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
      const failed = (/** @type {any} */ event) => {
        reject(cannotConnect(event));
        this.#lose(event);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      if ("binaryType" in transport) transport.binaryType = "arraybuffer";
      transport.onmessage = (event) => this.#receive(event.data);
      transport.onerror = () => {};
      transport.onclose = failed;
      if (transport.readyState === 0) transport.onopen = opened;
      else opened();
    });
  }

  #opened() {
    this.#isOpen = true;
    this.#heard = now();
    this.#transport.onclose = (event) => this.#lose(event);
    this.#stopBeat = startTimer(STALL_SECONDS, () => {
      if (!this.#session.open) this.#timeOut("The peer sent no version within 10 s.");
    });
    this.#watchPage();
    this.#flush();
  }

  /** @param {unknown} data */
  #receive(data) {
    const { open } = this.#session;
    this.#heard = now();
    this.#session.receive(data);
    if (!open && this.#session.open && !this.#session.ending) this.#beat();
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

  /** @param {string} reason */
  #timeOut(reason) {
    this.#session.end({ code: 4408, reason, reconnect: true });
  }

  /**
   * The session is over: write what is left, and close.
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    this.#stopBeat();
    this.#stopProbe();
    this.#life.abort();
    try {
      this.#flush();
      this.#transport.close?.(closeCode(code), reason);
    } catch {}
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    if (!wasOpen || !(Number(this.#transport.readyState) < 3)) this.#resolve();
  }

  #resolve() {
    if (this.#session.ending) this.#resolveClosed(this.#session.ending);
  }

  // Liveness.

  #beat() {
    const heartbeat = Math.min(Math.max(this.#session.peer.heartbeat, 1), 3600);
    const left = heartbeat - (now() - this.#heard);
    if (left <= 0) this.#probe();
    this.#stopBeat();
    this.#stopBeat = startTimer(left > 0 ? left : heartbeat, () => this.#beat());
  }

  /** Ask whether the link is alive, and take it for lost when nothing comes for 10 s. */
  #probe() {
    if (!this.#session.open || this.#session.ending) return;
    const asked = now();
    this.#session.probe();
    this.#stopProbe();
    this.#stopProbe = startTimer(STALL_SECONDS, () => {
      if (this.#heard > asked) return;
      // A timer that is much too late ran in a page that was asleep: it proves nothing.
      if (now() - asked > 2 * STALL_SECONDS) this.#probe();
      else this.#timeOut("The peer did not answer a ping within 10 s.");
    });
  }

  /** A page that comes back asks at once; one that goes for good says so. */
  #watchPage() {
    const { signal } = this.#life;
    const page = /** @type {any} */ (globalThis);
    const listen = (
      /** @type {any} */ target,
      /** @type {string} */ name,
      /** @type {any} */ run,
    ) => target?.addEventListener?.(name, run, { signal });
    const probe = () => this.#probe();
    listen(page.document, "visibilitychange", () => {
      if (page.document.visibilityState === "visible") probe();
    });
    listen(page, "online", probe);
    listen(page, "pageshow", (/** @type {any} */ event) => event.persisted && probe());
    listen(page, "pagehide", (/** @type {any} */ event) => event.persisted || this.close());
  }
}

/** @param {any} event */
function cannotConnect({ code, reason }) {
  const why = reason ? `: ${reason}` : "";
  return new PBConnectionLost(
    `Could not connect (${code ?? "no code"}${why}). Is the address right, is the server running, ` +
      "does it speak pb.json.1 there, and does it allow this page's origin?",
    { outcome: "not_executed" },
  );
}

/**
 * @param {unknown} error
 * @param {string} where
 */
function logToConsole(error, where) {
  console.error(`Peer will receive PB traceback: in ${where}:`, error);
}
