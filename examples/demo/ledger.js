/**
 * The account of what went over the wire: which call an answer belongs to, and who holds which
 * object how often. All of it is worked out from the messages themselves (docs/protocol.md,
 * sections 1 to 3 and 8); nobody else is asked. No DOM and no clock: it runs in any JavaScript.
 *
 * @module
 */

/** Who sent a message, made a call, or owns an object. @typedef {"page" | "server"} Side */

/**
 * An object that one side handed out and the other may call.
 * @typedef {object} Holding
 * @property {string} key names the object among all sessions
 * @property {Side} owner where the object lives
 * @property {number} id its number on the wire
 * @property {number} count how often it was handed out and not given back
 * @property {number} calls how many calls were made on it
 * @property {string} origin which frame handed it out first, in words
 * @property {number | null} gone when the last one was given back
 */

/**
 * @typedef {object} Call
 * @property {number} id its number on the wire; 0 when no answer is wanted
 * @property {Side} caller
 * @property {Frame} frame
 * @property {string} target the key of what it is made on
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
 * @property {any[]} items as they stand in the JSON, the name first
 * @property {Call | null} call that it is, or that it ends or cancels
 * @property {Set<string>} objects the keys of the objects that it names
 * @property {{ holding: Holding, by: number, count: number }[]} changes of counts, in order
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
 * @property {string} text its JSON, or what is wrong with it, or why the connection ended
 * @property {Frame[]} frames
 */

/**
 * The two sides' tables of one connection.
 * @typedef {object} Session
 * @property {number} id
 * @property {number} opened when, in milliseconds
 * @property {boolean} over
 * @property {Record<Side, Map<number, Holding>>} objects by their owner
 * @property {Record<Side, Map<string, Holding>>} names that were called or handed out, by their owner
 * @property {Record<Side, Map<number, Call>>} calls by their caller
 */

/** What is kept: the newest messages, calls that ended, objects that are gone. */
const MOST = { messages: 400, bytes: 4194304, calls: 1000, gone: 20 };

/** @type {Side[]} */
export const SIDES = ["page", "server"];

/** @param {Side} side @returns {Side} */
export const peerOf = (side) => (side === "page" ? "server" : "page");

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
  /** Connections that are open. @type {Map<number, Session>} */
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
    this.sessions.set(id, {
      id,
      opened: time,
      over: false,
      objects: { page: new Map(), server: new Map() },
      names: { page: new Map(), server: new Map() },
      calls: { page: new Map(), server: new Map() },
    });
    return this.#keep(this.#message(id, "opened", "page", time));
  }

  /**
   * A message went by.
   * @param {number} id of the connection
   * @param {Side} side its sender
   * @param {string | ArrayBuffer | Uint8Array} data
   * @param {number} time in milliseconds
   */
  message(id, side, data, time) {
    const { text, bytes, binary, frames } = decode(data);
    const message = { ...this.#message(id, "message", side, time), text, bytes, binary };
    const total = this.totals[side];
    total.messages++;
    total.bytes += bytes;
    total.frames += frames.length;
    for (const items of frames) message.frames.push(this.#frame(message, items));
    return this.#keep(message);
  }

  /**
   * A connection has gone, if there was one, and both sides' tables with it.
   * @param {number} id
   * @param {number} time
   * @param {string} why
   */
  closed(id, time, why) {
    const session = this.sessions.get(id);
    if (!session) return;
    this.#end(session, time);
    this.#keep({ ...this.#message(id, "closed", "page", time), text: why });
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
   * @param {number} session
   * @param {Message["kind"]} kind
   * @param {Side} side
   * @param {number} time
   * @returns {Message}
   */
  #message(session, kind, side, time) {
    const since = time - (this.sessions.get(session)?.opened ?? time);
    return { session, kind, side, time, since, bytes: 0, binary: false, text: "", frames: [] };
  }

  /** @param {Message} message */
  #keep(message) {
    this.messages.push(message);
    this.#kept += message.text.length;
    while (this.messages.length > MOST.messages || (this.#kept > MOST.bytes && this.messages[1])) {
      this.#kept -= /** @type {Message} */ (this.messages.shift()).text.length;
    }
    return message;
  }

  /**
   * @param {Message} message
   * @param {any[]} items
   */
  #frame(message, items) {
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
      lanes: [],
    };
    const session = this.sessions.get(message.session);
    if (session && !session.over) this.#account(session, frame);
    return frame;
  }

  /**
   * @param {Session} session
   * @param {Frame} frame
   */
  #account(session, frame) {
    const { name } = frame;
    if (name === "message" || name === "cachemessage") this.#called(session, frame);
    if (name === "answer" || name === "error" || name === "cancel") this.#found(session, frame);
    if (name === "decref") this.#givenBack(session, frame);
    else this.#named(session, frame);
    this.#draw(frame);
    if (name === "answer" || name === "error") this.#settle(frame);
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
      target: this.#target(session, frame, target),
      name: String(name),
      lane: id ? this.#takeLane() : -1,
      state: id ? "open" : "unasked",
      cancelled: false,
      end: null,
    };
    frame.call = call;
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
   * What a call is made on: the key of an object, of a name, or of the answer that stands for it.
   * @param {Session} session
   * @param {Frame} frame
   * @param {any} target
   */
  #target(session, frame, target) {
    const owner = peerOf(frame.side);
    if (typeof target === "string") {
      const holding = nameOf(session, owner, target);
      holding.calls++;
      frame.objects.add(holding.key);
      return holding.key;
    }
    if (target > 0) {
      const holding = session.objects[owner].get(target);
      if (holding) holding.calls++;
      frame.objects.add(keyOf(session.id, owner, target));
      return keyOf(session.id, owner, target);
    }
    return keyOf(session.id, frame.side, `answer ${target?.id ?? -target}`);
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

  /** @param {Frame} frame */
  #settle(frame) {
    const { call } = frame;
    if (call?.state !== "open") return;
    call.state = /** @type {"answer" | "error"} */ (frame.name);
    call.end = frame;
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
    eachTagged(frame.items, ({ $: tag, id }) => {
      if (tag !== "remote" && tag !== "local") return;
      const owner = tag === "remote" ? frame.side : peerOf(frame.side);
      if (typeof id === "string") frame.objects.add(nameOf(session, owner, id).key);
      else if (Number.isSafeInteger(id)) frame.objects.add(keyOf(session.id, owner, id));
      if (tag === "remote" && Number.isSafeInteger(id)) this.#handOut(session, frame, id);
    });
  }

  /**
   * @param {Session} session
   * @param {Frame} frame
   * @param {number} id
   */
  #handOut(session, frame, id) {
    const table = session.objects[frame.side];
    let holding = table.get(id);
    if (!holding) {
      holding = newHolding(session.id, frame.side, id, originOf(frame));
      table.set(id, holding);
    }
    holding.count++;
    frame.changes.push({ holding, by: 1, count: holding.count });
  }

  /**
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
      if (holding.count > 0) continue;
      session.objects[owner].delete(id);
      this.#letGo(holding, frame.message.time);
    }
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
  count: 0,
  calls: 0,
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

/** Where an object was met first. @param {Frame} frame */
function originOf({ name, call }) {
  if (name === "message") return `an argument of ${call?.name}`;
  return call ? `the answer to ${call.name}` : "an answer";
}

/**
 * How many objects of `owner` the other side holds, and how many calls of its wait for an answer.
 * @param {Session} session
 * @param {Side} owner
 */
export function count(session, owner) {
  const open = [...session.calls[owner].values()].filter(({ state }) => state === "open");
  return { objects: session.objects[owner].size, calls: open.length };
}
