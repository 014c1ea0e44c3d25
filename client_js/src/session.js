/**
 * A session: numbering, acknowledging, the window, and the frames that are not the broker's
 * (docs/protocol.md, sections 6 and 7). No I/O: messages go in with `receive` and come out with
 * `takeMessages`.
 *
 * @module
 */

import { Broker } from "./broker.js";
import { breach, checkLimit, LimitExceeded, ProtocolError } from "./errors.js";
import { byteLength, cutText, decodeMessage, encodeBinary, kindsOf } from "./frames.js";
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
  /** Frames that are not written yet. @type {Outgoing[]} */
  const outgoing = [];
  /** Counted frames that are not acknowledged: how long they are, and the peer's calls that they answer. @type {{ size: number, answered: number }[]} */
  const unacknowledged = [];
  let windowSize = 0;
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

  push(["version", 1, { software, binary: true, limits: told && limits }]);

  // Sending.

  /** @param {any[]} frame that is not counted */
  function push(frame) {
    outgoing.push(JSON.stringify(frame));
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
    outgoing.push(frame);
    unacknowledged.push({ size: frame.length, answered });
    windowSize += frame.length;
    watchWindow();
    hooks.wake();
    return ++sent;
  }

  /** A window that is full for so long with nothing acknowledged ends the session. */
  function watchWindow() {
    if (!hasRoom()) stopStall ??= hooks.timer(STALL_SECONDS, stall);
  }

  function stall() {
    fail(4440, "Nothing is acknowledged.", true);
  }

  /** All that is to be sent, as messages within the peer's limits. */
  function takeMessages() {
    takeOwed();
    const { limits } = peer;
    /** @type {Outgoing[]} */
    let batch = [];
    const batches = [];
    let room = 0;
    for (const frame of outgoing.splice(0)) {
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
    written = sent;
    return batches.map((frames) => (frames[1] ? `[${frames}]` : frames[0]));
  }

  /** One frame with the counts is enough. */
  function takeOwed() {
    if (owed.size > 1) owed.delete("ack");
    if (owed.size) frames = bytes = 0;
    for (const name of owed) if (!broker.ending) push([name, received, sent]);
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
  function handshake(number, { limits = {}, binary = false, heartbeat = 15, login = 0 } = {}) {
    if (number !== 1) breach("This side speaks version 1.", 4426);
    if (!/^ob[+n]$/.test(kindsOf([limits, binary, heartbeat]))) breach("The options are wrong.");
    Object.assign(peer, { limits: withDefaults(limits, ProtocolError), binary, heartbeat });
    // Before a login messages are shorter, where one is required.
    peer.message = peer.limits.message;
    if (login > 0) peer.limits.message = Math.min(login, peer.message);
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
    if (first === acknowledged) return;
    for (const { size, answered } of unacknowledged.splice(0, first - acknowledged)) {
      windowSize -= size;
      // From now on the answer cannot be named any more.
      if (answered) broker.answers.delete(answered);
    }
    acknowledged = first;
    stopStall?.();
    stopStall = undefined;
    watchWindow();
    broker.pump();
  }

  /**
   * An `ack` is owed here, by the code that receives: the timers of a hidden tab hardly run.
   * @param {number} size
   * @param {number} now
   */
  function count(size, now) {
    if (!frames) return;
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
    if (number > written) return "not_executed";
    return number <= acknowledged && !isOpen ? "executed_answer_lost" : "unknown";
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
    push(["close", code, reason, reconnect]);
    end(code, reason, reconnect);
  }

  /**
   * The session is over: by a `close`, or because its connection is gone.
   * @param {number} code
   * @param {string} reason
   * @param {Ending["reconnect"]} [reconnect]
   */
  function end(code, reason, reconnect = true) {
    if (broker.ending) return;
    broker.ending = { code, reason, reconnect };
    stopStall?.();
    hooks.close(code, reason);
    broker.end();
  }

  return {
    broker,
    takeMessages,
    receive,
    fail,
    end,
    /** Ask whether the link is alive. */
    probe: () => owe("ping"),
    get heard() {
      return heard;
    },
  };
}
