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

/** The code to close a WebSocket with: a page may not use all (section 7). @param {number} code */
const closeCode = (code) =>
  ({ 1003: 4400, 1007: 4400, 1009: 4413 })[code] ?? (code < 3000 || code > 4999 ? 1000 : code);

/**
 * @param {number} seconds
 * @param {() => void} run
 * @param {boolean} [holds] in Node, whether it keeps the process alive, as a transport does
 */
function startTimer(seconds, run, holds) {
  /** @type {any} */
  const timer = setTimeout(run, Math.min(seconds * 1000, 2 ** 31 - 1));
  if (!holds) timer.unref?.();
  return () => clearTimeout(timer);
}

const now = () => performance.now() / 1000;

/** What hangs on it runs in the next microtask; queueMicrotask costs Node five times as much. */
const settled = Promise.resolve();

/** Seconds before another try, from 0 on: twice as many each time, with full jitter. @param {number} attempt */
const backoff = (attempt) => Math.random() * Math.min(20, 0.5 * 2 ** attempt);

/** Seconds in the range that a server asks for, which is not believed beyond measure. @param {number[]} range */
const within = ([least = 0, most = 0]) => {
  const from = Math.min(Math.max(least, 0.25), 300);
  return from + Math.random() * (Math.min(Math.max(most, from), 300) - from);
};

/**
 * Pumps a transport into a session, watches whether it is alive, and makes another where it can.
 * @param {Transport} transport
 * @param {ConnectionOptions} options
 * @param {{ begin: () => void, tell: (event: string) => void }} owner `begin` sets a new session up
 */
function newShell(transport, { log = logToConsole, onSession, dial, ...options }, owner) {
  const life = new AbortController();
  let isOpen = false;
  let flushing = false;
  /** Whether nothing has come on this transport. */
  let isFresh = true;
  /** Tries since the last time that it went well, and when that was. */
  let attempts = 0;
  let openedAt = 0;
  /** Try again now. @type {(() => void) | undefined} */
  let retry;
  /** @type {(() => void) | undefined} */
  let stopTimer;
  /** @type {(() => void) | undefined} */
  let stopWindow;
  /** @type {(ending: import("./broker.js").Ending) => void} */
  let resolve = () => {};
  /** @type {Promise<import("./broker.js").Ending>} */
  const closed = new Promise((settle) => {
    resolve = settle;
  });
  const hooks = { now, timer: startTimer, wake, close, log: safely, resumed, refused };
  let session = newSession(hooks, options);

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
        dial = undefined;
        lose({ code: 1000 });
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      bind(
        () => {
          signal?.removeEventListener("abort", abort);
          watchPage();
          opened();
        },
        (event) => {
          reject(cannotConnect(transport, event));
          dial = undefined;
        },
      );
    });
  }

  /**
   * Use the transport, as soon as it is open.
   * @param {() => void} [opened]
   * @param {(event: any) => void} [failed] called when it is closed before that
   */
  function bind(opened = () => {}, failed = () => {}) {
    const start = () => {
      isOpen = isFresh = true;
      openedAt = now();
      wait(STALL_SECONDS, () => timeOut("sent no version"));
      failed = () => {};
      flush();
      opened();
    };
    if ("binaryType" in transport) transport.binaryType = "arraybuffer";
    transport.onmessage = receive;
    transport.onerror = () => {};
    transport.onclose = (event) => {
      failed(event);
      lose(event);
    };
    if (transport.readyState === 0) transport.onopen = start;
    else start();
  }

  /** @param {{ data: unknown }} event */
  function receive({ data }) {
    const wasFresh = isFresh;
    isFresh = false;
    session.receive(data);
    if (wasFresh) beat();
  }

  /** The connection is gone. @param {any} event */
  function lose({ code = 1006, reason = "" }) {
    isOpen = false;
    const wasAway = session.away;
    if (!dial || !session.detach(code)) session.end(code, reason);
    else if (!wasAway) {
      const late = () => session.end(1006, "The window has passed.");
      stopWindow = startTimer(session.window, late);
      owner.tell("interrupted");
    }
    comeBack();
  }

  /** Connect again, if there is something to connect for. */
  function comeBack() {
    const { ending } = session.broker;
    stopTimer?.();
    if (!dial || (ending && !(onSession && ending.reconnect))) return over();
    if (now() - openedAt > STALL_SECONDS) attempts = 0;
    const range = ending?.reconnect;
    const seconds = Array.isArray(range) ? within(range) : backoff(attempts++);
    const stop = startTimer(seconds, connectAgain, true);
    retry = () => {
      stop();
      connectAgain();
    };
    stopTimer = () => {
      stop();
      retry = undefined;
    };
  }

  function connectAgain() {
    retry = undefined;
    try {
      transport = /** @type {() => Transport} */ (dial)();
    } catch (error) {
      safely(error, "connecting again");
      return comeBack();
    }
    if (session.broker.ending) renew();
    else session.rejoin();
    bind();
  }

  function renew() {
    session = newSession(hooks, options);
    owner.begin();
  }

  function resumed() {
    stopWindow?.();
    owner.tell("resumed");
  }

  /** The server has begun another session in the place of this one. @param {unknown} data */
  function refused(data) {
    stopWindow?.();
    if (!onSession) {
      transport.send?.('["close",1000,"",false]');
      return close(1000, "");
    }
    renew();
    session.wasGreeted();
    session.receive(data);
  }

  /** @param {string} what */
  function timeOut(what) {
    const reason = `The peer ${what} within 10 s.`;
    if (!dial || !session.window) return session.end(4408, reason);
    // It may take long until a link that is dead says that it is closed.
    transport.onclose = transport.onmessage = null;
    try {
      transport.close?.(4408, reason);
    } catch {}
    lose({ code: 4408, reason });
  }

  /**
   * The session is over: write what is left, and close.
   * @param {number} code
   * @param {string} reason
   */
  function close(code, reason) {
    stopTimer?.();
    stopWindow?.();
    try {
      flush();
      transport.close?.(closeCode(code), reason);
    } catch {}
    // A WebSocket tells when it is closed, other transports do not.
    const isOver = !isOpen || !(Number(transport.readyState) < 3);
    isOpen = false;
    if (isOver) comeBack();
  }

  function over() {
    life.abort();
    owner.tell("ended");
    resolve(/** @type {import("./broker.js").Ending} */ (session.broker.ending));
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
    if (!isOpen) return;
    const left = Math.max(session.broker.peer.heartbeat, 1) - (now() - Number(session.heard));
    if (left > 0) wait(left, beat);
    else probe();
  }

  /** Ask whether the link is alive, and take it for lost when nothing comes for 10 s. */
  function probe() {
    if (!isOpen || isFresh) return;
    const asked = now();
    session.probe();
    wait(STALL_SECONDS, () => {
      // A timer that is much too late ran in a page that was asleep: it proves nothing.
      if (Number(session.heard) > asked) beat();
      else if (now() - asked > 2 * STALL_SECONDS) probe();
      else timeOut("did not answer a ping");
    });
  }

  /** A page that comes back asks at once, or connects; one that goes for good says so. */
  function watchPage() {
    const page = /** @type {any} */ (globalThis);
    const watch = (/** @type {any} */ event) => {
      if (event.type === "pagehide") return event.persisted || leave();
      if (page.document?.visibilityState === "hidden") return;
      if (retry) retry();
      else probe();
    };
    for (const name of ["visibilitychange", "online", "pageshow", "pagehide"]) {
      page.addEventListener?.(name, watch, { signal: life.signal });
    }
  }

  /** End the session for good. */
  function leave() {
    dial = undefined;
    if (!session.broker.ending) session.fail(1000, "The connection was closed.");
    else if (retry) {
      stopTimer?.();
      over();
    }
  }

  return {
    closed,
    open,
    leave,
    log: safely,
    get session() {
      return session;
    },
  };
}

/**
 * A connection and its session, which outlives the loss of a WebSocket where the server lets it:
 * the events `interrupted`, `resumed` and `ended` say so.
 * @template [Api=any]
 */
export class Connection extends EventTarget {
  #shell;
  #options;
  /** What is published, in a session that follows this one too. @type {Map<string, Referenceable | Function>} */
  #names;

  /**
   * @param {Transport} transport
   * @param {ConnectionOptions} [options]
   */
  constructor(transport, options = {}) {
    super();
    this.#options = options;
    this.#names = new Map(Object.entries(options.names ?? {}));
    this.#shell = newShell(transport, options, {
      begin: () => {
        this.#publish();
        this.#setUp().catch((error) => this.#shell.log(error, "onSession"));
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

  /** Whether there is a connection, or one is looked for, or all is over. */
  get status() {
    const { session } = this.#shell;
    if (session.broker.ending) return "ended";
    return session.away ? "interrupted" : "connected";
  }

  /** Resolved when the session is over. */
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
