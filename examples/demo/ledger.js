/**
 * The account of what went over the wire: which call an answer belongs to, and who holds which
 * object how often. All of it is worked out from the messages themselves (docs/protocol.md,
 * sections 1 to 3 and 8); nobody else is asked. No DOM and no clock: it runs in any JavaScript.
 *
 * @module
 */

import { masked } from "./secrets.js";
import { comesFirst, newSession, outlives, welcome } from "./sessions.js";

/** Who sent a message, made a call, or owns an object. @typedef {"page" | "server"} Side */

/**
 * What the other side has of an object: a reference, a copy that is kept up to date, or the right to
 * ask for the next items. @typedef {"object" | "cache" | "stream"} Kind
 */

/**
 * An object that one side handed out: what the other may call, keeps a copy of, or reads.
 * @typedef {object} Holding
 * @property {string} key names the object among all sessions
 * @property {Side} owner where the object lives
 * @property {number} id its number on the wire
 * @property {Kind} kind
 * @property {string} type a cache's type by name, "" for all others
 * @property {boolean} live whether its updates are those of a live object
 * @property {number} count how often it was handed out and not given back
 * @property {number} calls how many calls were made on it, or on its copy
 * @property {number} asked items of a stream that were asked for
 * @property {number} came items of a stream that came
 * @property {string} origin which frame handed it out first, in words
 * @property {number | null} gone when the last one was given back
 */

/**
 * @typedef {object} Call
 * @property {number} id its number on the wire; 0 when no answer is wanted
 * @property {Side} caller
 * @property {Frame} frame
 * @property {string} target the key of what it is made on
 * @property {Holding | null} on what it is made on, when that is known
 * @property {string} name
 * @property {number} lane where it runs beside others in progress; -1 without an answer
 * @property {"open" | "answer" | "error" | "lost" | "unasked"} state
 * @property {boolean} cancelled
 * @property {Frame | null} end the answer or error
 */

/**
 * One frame that went over the wire, with what it changed.
 * @typedef {object} Frame
 * @property {number} number counted from 1 over everything that was seen
 * @property {Message} message that it stood in
 * @property {Side} side its sender
 * @property {string} name
 * @property {any[]} items as they stand in the JSON, the name first; secrets are masked
 * @property {Call | null} call that it is, or that it ends or cancels
 * @property {Set<string>} objects the keys of the objects that it names
 * @property {{ holding: Holding, by: number, count: number }[]} changes of counts, in order
 * @property {boolean} again whether it is sent once more, after its connection was lost
 * @property {Lane[]} lanes
 */

/**
 * What a call in progress is doing while a frame goes by; null where a lane is free.
 * @typedef {{ call: Call, part: "begins" | "goes on" | "ends" } | null} Lane
 */

/**
 * A WebSocket message, or the beginning or end of a connection.
 * @typedef {object} Message
 * @property {number} session
 * @property {"message" | "opened" | "closed"} kind
 * @property {Side} side
 * @property {number} time in milliseconds
 * @property {number} since milliseconds since the connection was there
 * @property {number} bytes
 * @property {boolean} binary
 * @property {number} kept letters of its JSON
 * @property {string} text what came when it is no frame, or why the connection ended
 * @property {Frame[]} frames
 */

/** @typedef {import("./sessions.js").Session} Session */

/** What is kept: the newest messages, calls that ended, objects that are gone. */
const MOST = { messages: 400, bytes: 4194304, calls: 1000, gone: 20 };

/** @type {Side[]} */
export const SIDES = ["page", "server"];

/** @param {Side} side @returns {Side} */
export const peerOf = (side) => (side === "page" ? "server" : "page");

/** Tags that hand something out, and those that bring it home. @type {Record<string, Kind>} */
const HANDED_OUT = { remote: "object", stream: "stream", cache: "cache", cached: "cache" };
/** @type {Record<string, Kind>} */
const COMES_HOME = { local: "object", lcache: "cache" };

/** The type under which live objects cross; their own name stands in the state. */
export const LIVE = "pb.live";

const utf8 = { encode: new TextEncoder(), decode: new TextDecoder() };

/**
 * A message as it came: its frames, or none when it is not one.
 * @param {string | ArrayBuffer | Uint8Array} data
 * @returns {{ text: string, bytes: number, binary: boolean, frames: any[][] }}
 */
export function decode(data) {
  const binary = typeof data !== "string";
  const view = binary ? new Uint8Array(data) : utf8.encode.encode(data);
  const bytes = view.byteLength;
  let text = binary ? "" : data;
  try {
    if (binary) text = utf8.decode.decode(view.subarray(4, 4 + lengthAt(view, 0)));
    const value = JSON.parse(text);
    /** @type {any[][]} */
    const frames = Array.isArray(value[0]) ? value : [value];
    const right = frames.every((frame) => Array.isArray(frame) && typeof frame[0] === "string");
    if (right) return { text, bytes, binary, frames };
  } catch {}
  return { text, bytes, binary, frames: [] };
}

/** @param {Uint8Array} view @param {number} at */
const lengthAt = (view, at) => new DataView(view.buffer, view.byteOffset).getUint32(at, true);

/**
 * Call `visit` with every tagged value, wherever it stands.
 * @param {any} value
 * @param {(tagged: Record<string, any>) => void} visit
 */
export function eachTagged(value, visit) {
  if (typeof value !== "object" || value === null) return;
  if (typeof value.$ === "string") visit(value);
  for (const child of Object.values(value)) eachTagged(child, visit);
}

export class Ledger {
  /** The newest messages, oldest first. @type {Message[]} */
  messages = [];
  /** By the connection that carries each, or that carried it last. @type {Map<number, Session>} */
  sessions = new Map();
  /** Objects that were given back or lost, oldest first. @type {Holding[]} */
  gone = [];
  totals = { page: emptyTotal(), server: emptyTotal() };
  #frames = 0;
  #kept = 0;
  /** @type {(Call | null)[]} */
  #lanes = [];

  /**
   * A connection is there.
   * @param {number} id
   * @param {number} time
   */
  opened(id, time) {
    this.pass(time);
    this.sessions.set(id, newSession(id, time));
    return this.#keep(this.#message(id, "opened", "page", time));
  }

  /**
   * A message went by.
   * @param {number} id of the connection
   * @param {Side} side its sender
   * @param {string | ArrayBuffer | Uint8Array} data
   * @param {number} time in milliseconds
   * @param {number} [size] its bytes, where `data` is only as much of it as is read here
   */
  message(id, side, data, time, size) {
    const { text, bytes: given, binary, frames } = decode(data);
    const bytes = size ?? given;
    const message = { ...this.#message(id, "message", side, time), bytes, binary };
    message.kept = text.length;
    if (!frames.length) message.text = text;
    const total = this.totals[side];
    total.messages++;
    total.bytes += bytes;
    total.frames += frames.length;
    for (const items of frames) message.frames.push(this.#frame(id, message, masked(items)));
    return this.#keep(message);
  }

  /**
   * A connection has gone, if it still carried a session; and both sides' tables with it, unless
   * another may carry them on.
   * @param {number} id
   * @param {number} time
   * @param {string} why begins with the code
   */
  closed(id, time, why) {
    const session = this.sessions.get(id);
    if (!session) return;
    if (outlives(session, why)) session.away = time;
    else this.#end(session, time);
    this.#keep({ ...this.#message(id, "closed", "page", time), text: why });
    if (session.over) this.sessions.delete(id);
  }

  /**
   * Time goes on: a session whose window has passed is over.
   * @param {number} time
   * @returns {number} milliseconds until that may be so for another; Infinity when none is away
   */
  pass(time) {
    let next = Number.POSITIVE_INFINITY;
    for (const [id, session] of this.sessions) {
      if (session.away === null) continue;
      const left = session.away + session.window - time;
      if (left > 0) next = Math.min(next, left);
      else this.#forget(id, time);
    }
    return next;
  }

  /** @param {number} id @param {number} time */
  #forget(id, time) {
    this.#end(/** @type {Session} */ (this.sessions.get(id)), time);
    this.sessions.delete(id);
  }

  /** Forget what went by; what is held now stays. */
  clear() {
    this.messages = [];
    this.gone = [];
    this.totals = { page: emptyTotal(), server: emptyTotal() };
    this.#kept = 0;
  }

  /**
   * @param {number} socket
   * @param {Message["kind"]} kind
   * @param {Side} side
   * @param {number} time
   * @returns {Message}
   */
  #message(socket, kind, side, time) {
    const { id = socket, opened = time } = this.sessions.get(socket) ?? {};
    return {
      session: id,
      kind,
      side,
      time,
      since: time - opened,
      bytes: 0,
      binary: false,
      kept: 0,
      text: "",
      frames: [],
    };
  }

  /** @param {Message} message */
  #keep(message) {
    this.messages.push(message);
    this.#kept += message.kept;
    while (this.messages.length > MOST.messages || (this.#kept > MOST.bytes && this.messages[1])) {
      this.#kept -= /** @type {Message} */ (this.messages.shift()).kept;
    }
    return message;
  }

  /**
   * @param {number} socket
   * @param {Message} message
   * @param {any[]} items
   */
  #frame(socket, message, items) {
    /** @type {Frame} */
    const frame = {
      number: ++this.#frames,
      message,
      side: message.side,
      name: items[0],
      items,
      call: null,
      objects: new Set(),
      changes: [],
      again: false,
      lanes: [],
    };
    if (frame.name === "version") this.#greeted(socket, frame);
    const session = this.sessions.get(socket);
    if (!session || session.over) return frame;
    frame.again = !comesFirst(session, frame);
    if (frame.again) this.#repeated(session, frame);
    else this.#account(session, frame);
    return frame;
  }

  /**
   * A connection may go on with the session of one that was lost.
   * @param {number} socket
   * @param {Frame} frame
   */
  #greeted(socket, { side, items, message }) {
    const fresh = this.sessions.get(socket);
    if (!fresh) return;
    const before = welcome(fresh, this.sessions, side, items[2] ?? {});
    if (!before) return;
    if (before.resumed) {
      this.sessions.delete(before.socket);
      this.sessions.set(socket, before.session);
      message.session = before.session.id;
      message.since = message.time - before.session.opened;
    } else this.#forget(before.socket, message.time);
  }

  /**
   * What a frame is about that went by before; it changes nothing again.
   * @param {Session} session
   * @param {Frame} frame
   */
  #repeated(session, frame) {
    const { name, side, items } = frame;
    if (/message$/.test(name)) frame.call = session.calls[side].get(items[1]) ?? null;
    if (name === "answer" || name === "error") this.#found(session, frame);
    this.#draw(frame);
  }

  /**
   * @param {Session} session
   * @param {Frame} frame
   */
  #account(session, frame) {
    const { name } = frame;
    if (name === "message" || name === "cachemessage") this.#called(session, frame);
    if (name === "answer" || name === "error" || name === "cancel") this.#found(session, frame);
    if (name === "decref" || name === "decache") this.#givenBack(session, frame);
    else if (name === "uncache") this.#dropped(session, frame);
    else this.#named(session, frame);
    this.#draw(frame);
    if (name === "answer" || name === "error") this.#settle(session, frame);
    if (name === "close") this.#end(session, frame.message.time);
  }

  /**
   * @param {Session} session
   * @param {Frame} frame
   */
  #called(session, frame) {
    const [, id, target, name] = frame.items;
    /** @type {Call} */
    const call = {
      id,
      caller: frame.side,
      frame,
      ...this.#target(session, frame, target),
      name: String(name),
      lane: id ? this.#takeLane() : -1,
      state: id ? "open" : "unasked",
      cancelled: false,
      end: null,
    };
    frame.call = call;
    if (call.on) madeOn(call, call.on);
    if (!id) return;
    this.#lanes[call.lane] = call;
    const calls = session.calls[frame.side];
    calls.set(id, call);
    for (const [old, { state }] of calls) {
      if (calls.size <= MOST.calls) break;
      if (state !== "open") calls.delete(old);
    }
  }

  /**
   * What a call is made on: an object, a name, the answer that stands for it, or for a cachemessage
   * the copy of an object of the sender's own.
   * @param {Session} session
   * @param {Frame} frame
   * @param {any} target
   * @returns {{ target: string, on: Holding | null }}
   */
  #target(session, frame, target) {
    const owner = frame.name === "cachemessage" ? frame.side : peerOf(frame.side);
    if (typeof target === "string") {
      const on = nameOf(session, owner, target);
      frame.objects.add(on.key);
      return { target: on.key, on };
    }
    if (target > 0) {
      const key = keyOf(session.id, owner, target);
      frame.objects.add(key);
      return { target: key, on: session.objects[owner].get(target) ?? null };
    }
    const id = target?.id ?? -target;
    const on = target?.path ? null : answered(session, frame.side, id);
    return { target: keyOf(session.id, frame.side, `answer ${id}`), on };
  }

  #takeLane() {
    const free = this.#lanes.indexOf(null);
    return free < 0 ? this.#lanes.push(null) - 1 : free;
  }

  /**
   * The call that an answer, an error or a cancel is about.
   * @param {Session} session
   * @param {Frame} frame
   */
  #found(session, frame) {
    const caller = frame.name === "cancel" ? frame.side : peerOf(frame.side);
    frame.call = session.calls[caller].get(frame.items[1]) ?? null;
    if (frame.call && frame.name === "cancel") frame.call.cancelled = true;
  }

  /**
   * @param {Session} session
   * @param {Frame} frame
   */
  #settle(session, frame) {
    const { call } = frame;
    if (call?.state !== "open") return;
    call.state = /** @type {"answer" | "error"} */ (frame.name);
    call.end = frame;
    const [, , target] = call.frame.items;
    if (!call.on && target < 0) {
      call.on = answered(session, call.caller, -target); // it was made before that answer was there
      if (call.on) madeOn(call, call.on);
    }
    if (call.on?.kind === "stream") call.on.came += frame.items[2]?.items?.length ?? 0;
    this.#freeLane(call);
  }

  /** @param {Call} call */
  #freeLane(call) {
    this.#lanes[call.lane] = null;
    while (this.#lanes.length && this.#lanes.at(-1) === null) this.#lanes.pop();
  }

  /** Where the calls in progress stand beside this frame. @param {Frame} frame */
  #draw(frame) {
    const { call, name } = frame;
    const ends = name === "answer" || name === "error";
    frame.lanes = this.#lanes.map((open) => {
      if (!open) return null;
      if (open !== call || name === "cancel") return { call: open, part: "goes on" };
      return { call: open, part: ends ? "ends" : "begins" };
    });
  }

  /**
   * The objects that a frame hands out, and those that come home with it.
   * @param {Session} session
   * @param {Frame} frame
   */
  #named(session, frame) {
    eachTagged(frame.items, (tagged) => {
      const { $: tag, id } = tagged;
      const isOut = Object.hasOwn(HANDED_OUT, tag);
      if (!isOut && !Object.hasOwn(COMES_HOME, tag)) return;
      const owner = isOut ? frame.side : peerOf(frame.side);
      if (typeof id === "string") frame.objects.add(nameOf(session, owner, id).key);
      if (!Number.isSafeInteger(id)) return;
      frame.objects.add(keyOf(session.id, owner, id));
      if (isOut) this.#handOut(session, frame, tagged);
    });
  }

  /**
   * @param {Session} session
   * @param {Frame} frame
   * @param {Record<string, any>} tagged
   */
  #handOut(session, frame, tagged) {
    const { id } = tagged;
    const table = session.objects[frame.side];
    let holding = table.get(id);
    if (!holding) {
      holding = { ...newHolding(session.id, frame.side, id, originOf(frame)), ...kindOf(tagged) };
      table.set(id, holding);
    }
    holding.count++;
    frame.changes.push({ holding, by: 1, count: holding.count });
  }

  /**
   * `decref` and `decache`. A copy is kept until its owner says `uncache`.
   * @param {Session} session
   * @param {Frame} frame
   */
  #givenBack(session, frame) {
    const owner = peerOf(frame.side);
    for (let at = 1; at + 1 < frame.items.length; at += 2) {
      const [id, by] = frame.items.slice(at, at + 2);
      frame.objects.add(keyOf(session.id, owner, id));
      const holding = session.objects[owner].get(id);
      if (!holding) continue;
      holding.count = Math.max(0, holding.count - by);
      frame.changes.push({ holding, by: -by, count: holding.count });
      if (holding.count > 0 || holding.kind === "cache") continue;
      session.objects[owner].delete(id);
      this.#letGo(holding, frame.message.time);
    }
  }

  /**
   * The copy of an object of the sender's is kept up to date no longer.
   * @param {Session} session
   * @param {Frame} frame
   */
  #dropped(session, frame) {
    const id = frame.items[1];
    frame.objects.add(keyOf(session.id, frame.side, id));
    const holding = session.objects[frame.side].get(id);
    if (!holding) return;
    frame.changes.push({ holding, by: 0 - holding.count, count: 0 });
    session.objects[frame.side].delete(id);
    this.#letGo(holding, frame.message.time);
  }

  /**
   * @param {Holding} holding
   * @param {number} time
   */
  #letGo(holding, time) {
    holding.gone = time;
    this.gone.push(holding);
    if (this.gone.length > MOST.gone) this.gone.shift();
  }

  /**
   * @param {Session} session
   * @param {number} time
   */
  #end(session, time) {
    session.over = true;
    for (const side of SIDES) {
      for (const call of session.calls[side].values()) {
        if (call.state !== "open") continue;
        call.state = "lost";
        this.#freeLane(call);
      }
      for (const holding of session.objects[side].values()) this.#letGo(holding, time);
      session.objects[side].clear();
      session.names[side].clear();
      session.calls[side].clear();
    }
  }
}

const emptyTotal = () => ({ messages: 0, frames: 0, bytes: 0 });

/**
 * @param {number} session
 * @param {Side} owner
 * @param {number | string} id
 */
export const keyOf = (session, owner, id) => `${session} ${owner} ${id}`;

/**
 * @param {number} session
 * @param {Side} owner
 * @param {number | string} id
 * @param {string} origin
 * @returns {Holding}
 */
const newHolding = (session, owner, id, origin) => ({
  key: keyOf(session, owner, id),
  owner,
  id: /** @type {number} */ (id),
  kind: "object",
  type: "",
  live: false,
  count: 0,
  calls: 0,
  asked: 0,
  came: 0,
  origin,
  gone: null,
});

/**
 * What a side published under a name; it is not counted.
 * @param {Session} session
 * @param {Side} owner
 * @param {string} name
 */
function nameOf(session, owner, name) {
  const found = session.names[owner].get(name);
  const holding = found ?? newHolding(session.id, owner, name, "known by its name");
  session.names[owner].set(name, holding);
  return holding;
}

/**
 * @param {Record<string, any>} tagged
 * @returns {Pick<Holding, "kind" | "type" | "live">}
 */
function kindOf({ $: tag, type, state }) {
  const live = tag === "cache" && type === LIVE;
  const name = live ? state?.[0] : type;
  return { kind: HANDED_OUT[tag] ?? "object", type: tag === "cache" ? String(name) : "", live };
}

/**
 * @param {Call} call
 * @param {Holding} on
 */
function madeOn({ name, frame }, on) {
  on.calls++;
  const credit = frame.items[4]?.[0];
  if (on.kind === "stream" && name === "next" && Number.isSafeInteger(credit)) on.asked += credit;
}

/**
 * The object that a call was answered with, if it was.
 * @param {Session} session
 * @param {Side} caller
 * @param {number} id of the call
 */
function answered(session, caller, id) {
  const value = session.calls[caller].get(id)?.end?.items[2];
  const isOut = typeof value?.id === "number" && Object.hasOwn(HANDED_OUT, value.$);
  return (isOut && session.objects[peerOf(caller)].get(value.id)) || null;
}

/** Where an object was met first. @param {Frame} frame */
function originOf({ name, call }) {
  if (name === "message" || name === "cachemessage") return `an argument of ${call?.name}`;
  return call ? `the answer to ${call.name}` : "an answer";
}

/**
 * How many objects of `owner` the other side holds, how many of these are copies that are kept up to
 * date, and how many calls of its wait for an answer.
 * @param {Session} session
 * @param {Side} owner
 */
export function count(session, owner) {
  const open = [...session.calls[owner].values()].filter(({ state }) => state === "open");
  const held = [...session.objects[owner].values()];
  const caches = held.filter(({ kind }) => kind === "cache").length;
  return { objects: held.length - caches, caches, calls: open.length };
}
