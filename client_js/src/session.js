/**
 * A session: numbering, acknowledging, the window, and the frames that are not the broker's
 * (docs/protocol.md, sections 6 and 7). No I/O: messages go in with `receive` and come out with
 * `takeMessages`.
 *
 * @module
 */

import { Broker } from "./broker.js";
import { breach, checkLimit, LimitExceeded, ProtocolError } from "./errors.js";
import { byteLength, cutText, decodeMessage, encodeBinary, isId, kindsOf } from "./frames.js";
import {
  ACK_BYTES,
  ACK_FRAMES,
  ACK_SECONDS,
  STALL_SECONDS,
  UNKNOWN_FRAMES,
  WINDOW_BYTES,
  WINDOW_FRAMES,
  withDefaults,
} from "./limits.js";
import { VERSION } from "./version.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */
/** @typedef {import("./broker.js").Ending} Ending */
/** @typedef {ReturnType<typeof newSession>} Session */

/** A frame as it goes out. @typedef {string | Uint8Array<ArrayBuffer>} Outgoing */

/** The bytes that the brackets of a batch and the frame `ack` take at most. */
const BATCH_BYTES = 64;

const FAULT = "a fault in pbweb";

/** Seconds for which a server may let a session be resumed. */
const LONGEST_WINDOW = 3600;

/** @param {unknown} value */
const isText = (value) => typeof value === "string";

/** Whether a close with this code ends the session as well (section 7). @param {number} code */
const endsSession = (code) =>
  code > 4399 ? code !== 4408 : [1003, 1007, 1009, 1012, 1013].includes(code);

/** Whether a client may connect again after it. @param {number} code */
const mayReturn = (code) => !endsSession(code) || [1012, 1013, 4429, 4440].includes(code);

/**
 * @param {import("./broker.js").Hooks} hooks
 * @param {object} [options]
 * @param {Partial<import("./limits.js").Limits>} [options.limits] of this side
 * @param {string} [options.software] the name in this side's `version`
 * @param {import("./failures.js").Registry} [options.registry]
 */
export function newSession(
  hooks,
  { limits: told, software = `pbweb-js/${VERSION}`, registry } = {},
) {
  const limits = withDefaults(told);
  const broker = new Broker({ hasRoom, post, outcomeOf, fail }, hooks, limits, registry);
  const { peer } = broker;
  /** When something came. @type {number | undefined} */
  let heard;
  /** What is sent before all else, and behind all else. @type {Outgoing | undefined} */
  let greeting;
  /** @type {Outgoing | undefined} */
  let farewell;
  /** Counted frames that are not acknowledged, and the peer's calls that they answer. @type {{ frame: Outgoing, answered: number }[]} */
  const unacknowledged = [];
  let windowSize = 0;
  /** The last frame that was written on any connection before this one. */
  let reached = 0;
  /** What the peer says that an ended session had received. @type {number | undefined} */
  let known;
  /** What the session is resumed with, and for how many seconds. @type {any} */
  let ticket;
  /** Whether there is no connection on which the session goes on. */
  let away = false;
  /** Until when it can be resumed then, and what was acknowledged when it was, if more was kept. */
  let until = 0;
  let stuckAt = -1;
  /** The peer's calls whose answers it has, but may name until so many of its frames are here. @type {number[]} */
  const nameable = [];
  let nameableTo = 0;
  /** The number of the last frame made, of the last one written, and of the last that the peer has. */
  let sent = 0;
  let written = 0;
  let acknowledged = 0;
  /** The number of the last frame received. */
  let received = 0;
  /** Whether the peer's `version` has come. */
  let open = false;
  /** Frames `ack`, `ping` and `pong` that are owed. @type {Set<string>} */
  const owed = new Set();
  /** What was received and not acknowledged, and since when. */
  let frames = 0;
  let bytes = 0;
  let since = 0;
  /** @type {(() => void) | undefined} */
  let stopStall;
  const countControl = newRate(limits.control, 1, 4429);
  const countUnknown = newRate(UNKNOWN_FRAMES, 60, 4400);

  greet();

  // Sending.

  /** Begin on a connection; with what a session is resumed with, if it is. @param {object} [resume] */
  function greet(resume) {
    const options = { software, binary: true, limits: told && limits, resume };
    greeting = JSON.stringify(["version", 1, options]);
  }

  /** Whether a frame that can wait may go out; what cannot may fill `times` the window. */
  function hasRoom(times = 1) {
    return windowSize < times * WINDOW_BYTES && unacknowledged.length < times * WINDOW_FRAMES;
  }

  /**
   * @param {string} text of one counted frame
   * @param {Uint8Array[]} [attachments]
   * @param {number} [answered] the peer's call that it answers
   * @returns {number} its number; 0 when the session is over
   */
  function post(text, attachments = [], answered = 0) {
    const frame = attachments.length ? encodeBinary(text, attachments) : text;
    if (broker.ending) return 0;
    if (frame.length * 3 > peer.limits.message) {
      checkLimit(peer.limits, "message", byteLength(frame));
    }
    if (!hasRoom(2)) {
      stall();
      return 0;
    }
    unacknowledged.push({ frame, answered });
    windowSize += frame.length;
    watchWindow();
    hooks.wake();
    return ++sent;
  }

  /** A window that is full for so long with nothing acknowledged ends the session. */
  function watchWindow() {
    if (!away && !hasRoom()) stopStall ??= hooks.timer(STALL_SECONDS, stall);
  }

  function stall() {
    fail(4440, "Nothing is acknowledged.", true);
  }

  /** All that is to be sent, as messages within the peer's limits. */
  function takeMessages() {
    /** @type {Outgoing[]} */
    const outgoing = [];
    if (greeting) outgoing.push(greeting);
    if (!away) {
      for (const { frame } of unacknowledged.slice(written - acknowledged)) outgoing.push(frame);
      written = sent;
      takeOwed(outgoing);
    }
    if (farewell) outgoing.push(farewell);
    greeting = farewell = undefined;
    const { limits } = peer;
    /** @type {Outgoing[]} */
    let batch = [];
    const batches = [];
    let room = 0;
    for (const frame of outgoing) {
      const isText = typeof frame === "string";
      // What is small beside the limit is not measured, but taken to be as large as it can be.
      const size = frame.length * 30 < limits.message ? frame.length * 3 : byteLength(frame);
      if (!isText || size >= room || batch.length >= limits.batch) {
        batch = [];
        batches.push(batch);
        room = limits.message - BATCH_BYTES;
      }
      batch.push(frame);
      room = isText ? room - size - 1 : 0;
    }
    return batches.map((frames) => (frames[1] ? `[${frames}]` : frames[0]));
  }

  /** One frame with the counts is enough. @param {Outgoing[]} outgoing */
  function takeOwed(outgoing) {
    if (owed.size > 1) owed.delete("ack");
    if (owed.size) frames = bytes = 0;
    for (const name of owed) {
      if (!broker.ending) outgoing.push(JSON.stringify([name, received, sent]));
    }
    owed.clear();
  }

  /** @param {string} name of a frame with both counts */
  function owe(name) {
    owed.add(name);
    hooks.wake();
  }

  // Receiving.

  /** @param {unknown} data a message */
  function receive(data) {
    if (broker.ending) return;
    heard = hooks.now();
    try {
      const message = decodeMessage(data, limits);
      checkVersions(message.frames);
      if (isRefused(message.frames[0])) return hooks.refused(data);
      for (const frame of message.frames) if (!broker.ending) handle(frame, message);
      count(message.size, heard);
    } catch (/** @type {any} */ error) {
      const { message, code = 4413 } = error;
      if (error instanceof ProtocolError || error instanceof LimitExceeded) {
        return fail(code, message, code === 4429);
      }
      hooks.log(error, FAULT);
      fail(1011, FAULT, true);
    }
  }

  /** The first frame alone is a `version`; a peer that refuses may `close` in its place. @param {Frame[]} frames */
  function checkVersions(frames) {
    const isWrong = frames.some(([name], at) => {
      const isFirst = !at && !open;
      return (name === "version" || (isFirst && name === "close")) !== isFirst;
    });
    if (isWrong) breach("The first frame alone is a version.");
  }

  /** Whether the server has this session no more, which is over then. @param {any} frame */
  function isRefused([name, , said]) {
    if (!away || name !== "version" || said?.resumed === true) return false;
    if (Number.isSafeInteger(said?.received)) known = said.received;
    end(1006, cutText(`It could not be resumed: ${said?.why}`, 123), true, true);
    return true;
  }

  /**
   * @param {Frame} frame
   * @param {Message} message
   */
  function handle(frame, message) {
    const [name, first, second] = frame;
    switch (name) {
      case "version":
        return handshake(first, second);
      case "close":
        known = frame[4];
        return end(first, cutText(second, 123), frame[3]);
      case "ping":
      case "pong":
        countControl();
        if (name === "ping") owe("pong");
        return acknowledge(first, second);
      case "ack":
        return acknowledge(first, second);
    }
    received++;
    frames++;
    if (broker.handle(frame, message)) return;
    countUnknown();
    broker.postSmall(["didNotUnderstand", [...name].slice(0, 64).join("")]);
  }

  /**
   * @param {number} number
   * @param {Record<string, any>} [options]
   */
  function handshake(number, options = {}) {
    const { limits = {}, binary = false, heartbeat = 15, login = 0 } = options;
    const { session, secret, window } = options;
    if (number !== 1) breach("This side speaks version 1.", 4426);
    if (away) return resume(options);
    if (isText(session) && isText(secret) && window > 0) {
      ticket = { session, secret, window: Math.min(window, LONGEST_WINDOW) };
    }
    if (!/^ob[+n]$/.test(kindsOf([limits, binary, heartbeat]))) breach("The options are wrong.");
    Object.assign(peer, { limits: withDefaults(limits, ProtocolError), binary, heartbeat });
    // Before a login messages are shorter and calls fewer, where one is required.
    const { message, calls } = peer.limits;
    Object.assign(peer, { message, calls });
    if (login > 0) {
      peer.limits.message = Math.min(login, message);
      peer.limits.calls = Math.min(isId(options.login_calls) ? options.login_calls : calls, calls);
    }
    open = true;
  }

  /**
   * @param {number} first how many frames the peer has received
   * @param {number} second how many it has sent
   */
  function acknowledge(first, second) {
    if (second !== received || first < acknowledged || first > written) {
      breach(`The counts are wrong: ${written} were sent, ${received} came.`);
    }
    if (nameable[0] && second >= nameableTo) {
      for (const answered of nameable.splice(0)) broker.answers.delete(answered);
    }
    if (first === acknowledged) return;
    free(first, (answered) => broker.answers.delete(answered));
    broker.pump();
  }

  /**
   * The peer has so many frames: they are kept no longer.
   * @param {number} number
   * @param {(answered: number) => void} forget that an answer can be named
   */
  function free(number, forget) {
    for (const { frame, answered } of unacknowledged.splice(0, number - acknowledged)) {
      windowSize -= frame.length;
      if (answered) forget(answered);
    }
    acknowledged = number;
    goOn();
  }

  /** The peer goes on: the time in which it may do nothing begins anew. */
  function goOn() {
    stopStall?.();
    stopStall = undefined;
    watchWindow();
  }

  // Resuming.

  /**
   * The connection is gone.
   * @param {number} code with which it was closed
   * @returns whether the session lives on
   */
  function detach(code) {
    if (broker.ending || !ticket || endsSession(code)) return false;
    reached = Math.max(reached, written);
    // What no connection survives is not sent again for ever: the window of the first loss goes on.
    if (!away && acknowledged > stuckAt) until = hooks.now() + ticket.window;
    away = true;
    open = false;
    greeting = undefined;
    owed.clear();
    stopStall?.();
    stopStall = undefined;
    return true;
  }

  /** There is a connection again: ask the server to go on on it. */
  function rejoin() {
    const { session, secret } = ticket;
    greet({ session, secret, received, sent });
  }

  /**
   * The server goes on: what it has not received is sent again.
   * @param {any} options of its `version`
   */
  function resume({ received: first, sent: second, secret }) {
    const isRight = Number.isSafeInteger(first) && Number.isSafeInteger(second) && isText(secret);
    if (!isRight || first < acknowledged || first > reached || second < received) {
      breach(`The counts are wrong: ${reached} were sent, ${received} came.`);
    }
    away = false;
    open = true;
    ticket.secret = secret;
    written = first;
    nameableTo = second;
    free(first, (answered) => nameable.push(answered));
    stuckAt = sent > first ? first : -1;
    // What a `version` tells frees no answer of the peer's: that takes an `ack`.
    owe("ack");
    hooks.resumed();
    broker.pump();
  }

  /**
   * An `ack` is owed here, by the code that receives: the timers of a hidden tab hardly run.
   * @param {number} size
   * @param {number} now
   */
  function count(size, now) {
    if (!frames) return;
    // It acknowledges nothing while it holds calls back behind answers that come now.
    goOn();
    const isFirst = !bytes;
    if (isFirst) since = now;
    bytes += size;
    const isLate = now - since >= ACK_SECONDS;
    if (isLate || frames >= ACK_FRAMES || bytes >= ACK_BYTES) owe("ack");
    else if (isFirst) hooks.timer(ACK_SECONDS, () => frames && owe("ack"));
  }

  /**
   * Counts frames, of which only so many may come in so many seconds.
   * @param {number} most
   * @param {number} seconds
   * @param {number} code
   */
  function newRate(most, seconds, code) {
    /** @type {number[]} */
    const times = [];
    return () => {
      const now = hooks.now();
      if (times.push(now) > most && now - Number(times.shift()) < seconds) {
        breach(`More than ${most} frames in ${seconds} s.`, code);
      }
    };
  }

  // Ending.

  /**
   * What is known of a lost frame (section 6).
   * @param {number} number
   * @param {boolean} isOpen whether it names an answer that is not there
   */
  function outcomeOf(number, isOpen) {
    if (number > (known ?? Math.max(reached, written))) return "not_executed";
    return number <= (known ?? acknowledged) && !isOpen ? "executed_answer_lost" : "unknown";
  }

  /**
   * Say why, and end the session.
   * @param {number} code
   * @param {string} text
   * @param {boolean} [reconnect]
   */
  function fail(code, text, reconnect = false) {
    if (broker.ending) return;
    const reason = cutText(text, 123);
    // Where a session was to be resumed and nothing is asked yet, there is nobody to tell.
    if (!(away && greeting)) farewell = JSON.stringify(["close", code, reason, reconnect]);
    else greeting = undefined;
    end(code, reason, reconnect);
  }

  /**
   * The session is over: by a `close`, or because its connection is gone.
   * @param {number} code
   * @param {string} reason
   * @param {Ending["reconnect"]} [reconnect]
   * @param {boolean} [stays] whether the connection is there for another session
   */
  function end(code, reason, reconnect = mayReturn(code), stays = false) {
    if (broker.ending) return;
    broker.ending = { code, reason, reconnect };
    stopStall?.();
    broker.end();
    if (!stays) hooks.close(code, reason);
  }

  return {
    broker,
    takeMessages,
    receive,
    fail,
    end,
    detach,
    rejoin,
    /** The version was said already, by the session before. */
    wasGreeted() {
      greeting = undefined;
    },
    /** Until when it can be resumed, when it is away. */
    get until() {
      return until;
    },
    get away() {
      return away;
    },
    /** Ask whether the link is alive. */
    probe: () => owe("ping"),
    get heard() {
      return heard;
    },
  };
}
