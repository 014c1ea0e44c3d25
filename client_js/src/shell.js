/**
 * The shell: it pumps a transport into a session, and finds another where one is lost
 * (docs/protocol.md, section 6). Below are no sockets, timers or console.
 *
 * @module
 */

import { now, startTimer } from "./clock.js";
import { CancelledError, lostCall } from "./errors.js";
import { BACK_SECONDS, STALL_SECONDS } from "./limits.js";
import { newLiveness, watchPage } from "./liveness.js";
import { newSession } from "./session.js";
import { newTries } from "./tries.js";

/** @typedef {import("./connection.js").Transport} Transport */
/** @typedef {import("./connection.js").ConnectionOptions} ConnectionOptions */

/** What is made of the WebSocket: there is none, it is not open yet, it carries a session. @typedef {"none" | "dialing" | "open"} Link */

/** The code to close a WebSocket with: a page may not use all (section 7). @param {number} code */
const closeCode = (code) =>
  ({ 1003: 4400, 1007: 4400, 1009: 4413 })[code] ?? (code < 3000 || code > 4999 ? 1000 : code);

/** What hangs on it runs in the next microtask; queueMicrotask costs Node five times as much. */
const settled = Promise.resolve();

/**
 * Pumps a transport into a session, watches whether it is alive, and makes another where it can.
 * @param {any} transport a Transport; `dial` makes one where there is none
 * @param {ConnectionOptions} options
 * @param {{ begin: () => void, tell: (event: string) => void }} owner `begin` sets a new session up
 */
export function newShell(transport, { log = logToConsole, onSession, dial, ...options }, owner) {
  const life = new AbortController();
  const tries = newTries();
  /** @type {Link} */
  let link = "none";
  let flushing = false;
  /** Whether the application was told that the connection is interrupted. */
  let isInterrupted = false;
  /** What the platform says of a transport that fails: browsers nothing. */
  let trouble = "";
  /** Try again now. @type {(() => void) | undefined} */
  let retry;
  /** @type {(() => void) | undefined} */
  let stopTimer;
  /** @type {(() => void) | undefined} */
  let stopWindow;
  /** @type {any} */
  let resolve;
  /** @type {Promise<import("./broker.js").Ending>} */
  const closed = new Promise((settle) => {
    resolve = settle;
  });
  const hooks = { now, timer: startTimer, wake, close, log: safely, resumed, refused };
  let session = newSession(hooks, options);
  const liveness = newLiveness(
    () => session,
    () => transport.bufferedAmount ?? 0,
    (silence) => drop(4408, `The peer was silent for ${Math.round(silence)} s.`),
  );

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
    if (flushing || link !== "open") return;
    flushing = true;
    settled.then(() => settled.then(flush));
  }

  function flush() {
    flushing = false;
    if (link === "open") for (const message of session.takeMessages()) write(message);
  }

  /** @param {any} message */
  function write(message) {
    if (link !== "open") return;
    try {
      (transport.send ?? transport.postMessage)?.call(transport, message);
    } catch (error) {
      safely(error, "sending");
      drop(1006, "Sending failed.");
    }
  }

  // Opening and closing.

  /**
   * Wait until the transport is open, and send this side's `version`.
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  function open(signal) {
    return new Promise((opened, reject) => {
      transport ??= dial?.();
      const abort = () => {
        reject(new CancelledError("Connecting was cancelled.", { cause: signal?.reason }));
        dial = undefined;
        drop(1000, "");
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      const fail = (/** @type {number} */ code) => {
        signal?.removeEventListener("abort", abort);
        reject(cannotConnect(transport.url, code, trouble));
        dial = undefined;
      };
      bind(() => {
        signal?.removeEventListener("abort", abort);
        watchPage(life.signal, comesBack, leave);
        opened();
      }, fail);
    });
  }

  /**
   * Use the transport, as soon as it is open.
   * @param {() => void} opened
   * @param {(code: number) => void} [failed] called when it is closed before that
   */
  function bind(opened, failed = () => {}) {
    const giveUp = () => {
      trouble = `no answer in ${STALL_SECONDS} s`;
      if (link === "dialing") failed(4408);
      drop(4408, `No version came in ${STALL_SECONDS} s.`);
    };
    const start = () => {
      link = "open";
      tries.opened();
      wait(giveUp);
      opened();
      flush();
    };
    link = "dialing";
    trouble = "";
    wait(giveUp);
    if ("binaryType" in transport) transport.binaryType = "arraybuffer";
    transport.onmessage = receive;
    transport.onerror = (/** @type {any} */ { message = "" } = {}) => {
      trouble = message;
    };
    transport.onclose = (/** @type {any} */ event = {}) => {
      if (link === "dialing") failed(event.code);
      lose(event);
    };
    if (transport.readyState === 0) transport.onopen = start;
    else start();
  }

  /** Nothing that the transport still does changes anything. */
  function release() {
    link = "none";
    liveness.stop();
    stopTimer?.();
    transport.onmessage = transport.onclose = transport.onopen = null;
    transport.onerror = () => {}; // what `ws` throws where nobody hears it
  }

  /** @param {{ data: unknown }} event */
  function receive({ data }) {
    session.receive(data);
    if (link !== "open" || session.broker.ending) return;
    stopTimer?.();
    stopTimer = undefined;
    liveness.came();
  }

  /**
   * Give the transport up: it may take long until a link that is dead says that it is closed.
   * @param {number} code
   * @param {string} reason
   */
  function drop(code, reason) {
    release();
    shut(code, reason);
    lose({ code, reason });
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  function shut(code, reason) {
    try {
      transport.close?.(closeCode(code), reason);
    } catch {}
  }

  /** The connection is gone. @param {any} event */
  function lose({ code = 1006, reason = "" }) {
    release();
    if (session.broker.ending) return comeBack();
    if (!dial || !session.detach(code)) return session.end(code, reason);
    stopWindow?.();
    stopWindow = startTimer(session.until - now(), expire);
    comeBack();
  }

  /** If the server was asked already, it is for the server to say. */
  function expire() {
    if (link !== "open") session.end(1006, "The window has passed", true);
  }

  /** Whether another session is to follow the one that has ended. */
  const isWanted = () => !!dial && !!onSession && !!session.broker.ending?.reconnect;

  /** Connect again, if there is something to connect for. */
  function comeBack() {
    const { ending } = session.broker;
    stopTimer?.();
    retry = undefined;
    if (!dial || (ending && !isWanted())) return over();
    const stop = startTimer(tries.next(ending, session.until - now()), connectAgain, true);
    stopTimer = stop;
    retry = () => {
      if (tries.left()) return;
      stop();
      connectAgain();
    };
    interrupt(); // at last: the connection may be closed by who is told
  }

  function connectAgain() {
    retry = undefined;
    tries.begin();
    try {
      transport = /** @type {() => Transport} */ (dial)();
    } catch (error) {
      safely(error, "connecting again");
      return comeBack();
    }
    bind(() => (session.broker.ending ? renew() : session.rejoin()));
  }

  /** Begin another session. @param {unknown} [data] with what the server has said for it already */
  function renew(data) {
    session = newSession(hooks, options);
    if (data) session.wasGreeted();
    tell();
    // It may be closed by who is told.
    if (!session.broker.ending) owner.begin();
    if (data) session.receive(data);
  }

  function resumed() {
    stopWindow?.();
    tries.resumed();
    tell("resumed");
  }

  /** The server has begun another session in the place of this one. @param {unknown} data */
  function refused(data) {
    stopWindow?.();
    if (!onSession) {
      write('["close",1000,"",false]');
      return close(1000, "");
    }
    renew(data);
  }

  /**
   * The session is over: write what is left, and close.
   * @param {number} code
   * @param {string} reason
   */
  function close(code, reason) {
    stopWindow?.();
    flush();
    if (isWanted()) {
      interrupt();
      if (retry || link === "dialing") return; // another is on its way
    }
    if (link !== "none") shut(code, reason);
    // A WebSocket tells when it is closed, in its time; other transports do not.
    if (link === "open" && Number(transport.readyState) < 3) {
      liveness.stop();
      return wait(() => drop(code, reason));
    }
    release();
    comeBack();
  }

  function interrupt() {
    if (!isInterrupted) tell("interrupted");
  }

  /** Tell the application. @param {"interrupted" | "resumed" | "ended"} [event] none of a new session */
  function tell(event) {
    isInterrupted = event === "interrupted";
    if (event) owner.tell(event);
    owner.tell("status");
  }

  function over() {
    if (life.signal.aborted) return;
    life.abort();
    tell("ended");
    resolve(session.broker.ending);
  }

  /** @param {() => void} run */
  function wait(run) {
    stopTimer?.();
    stopTimer = startTimer(STALL_SECONDS, run);
  }

  /** The page is back: it asks at once, or connects. */
  function comesBack() {
    if (retry) retry();
    else if (link === "open" && !session.away && session.heard) liveness.ask(BACK_SECONDS);
  }

  /** End the session for good. */
  function leave() {
    dial = undefined;
    if (!session.broker.ending) session.fail(1000, "The connection was closed.");
    else if (link === "dialing") drop(1000, "");
    else if (link === "none") comeBack();
  }

  return {
    closed,
    open,
    leave,
    log: safely,
    get session() {
      return session;
    },
    get status() {
      if (session.broker.ending && !isWanted()) return "ended";
      return isInterrupted || session.broker.ending ? "interrupted" : "connected";
    },
  };
}

/**
 * A browser says neither to the page nor here why there is no WebSocket; the server's log does. What is
 * behind a question mark may be a secret.
 * @param {string} url
 * @param {number} code
 * @param {string} trouble
 */
function cannotConnect(url, code, trouble) {
  const where = String(url).replace(/\?.*/, "?…");
  const why = code + (trouble && `: ${trouble}`);
  return lostCall(
    `Could not connect to ${where} (${why}). Does pbweb serve there, is the path right, and may this ` +
      "page's origin connect? The server's log says what it refused.",
    "not_executed",
  );
}

/**
 * @param {unknown} error
 * @param {string} where
 */
function logToConsole(error, where) {
  console.error("Peer will receive PB traceback: in %s:", where, error); // no format of a peer's
}
