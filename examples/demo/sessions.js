/**
 * A session and the connections that carry it, one after the other (docs/protocol.md, section 6): when
 * one is lost, the next may go on where it ended, and what was under way is sent again.
 *
 * @module
 */

/** @typedef {import("./ledger.js").Call} Call */
/** @typedef {import("./ledger.js").Frame} Frame */
/** @typedef {import("./ledger.js").Holding} Holding */
/** @typedef {import("./ledger.js").Side} Side */

/**
 * The two sides' tables.
 * @typedef {object} Session
 * @property {number} id that of its first connection
 * @property {number} opened when, in milliseconds
 * @property {boolean} over
 * @property {string} name by which the server finds it again; "" when it does not
 * @property {number} window milliseconds that it outlives a connection
 * @property {number | null} away since when no connection carries it
 * @property {Record<Side, number>} at the number of each side's last counted frame on this connection
 * @property {Record<Side, number>} most the highest of these so far
 * @property {Record<Side, Map<number, Holding>>} objects by their owner
 * @property {Record<Side, Map<string, Holding>>} names that were called or handed out, by their owner
 * @property {Record<Side, Map<number, Call>>} calls by their caller
 */

/** Frames that have no number. */
const UNCOUNTED = new Set(["version", "ack", "ping", "pong", "close"]);

/** How a connection ends when its session may go on (section 7); 1005 is no code at all. */
const KEPT = new Set([1000, 1001, 1005, 1006, 1011, 4408, 4409]);

/**
 * @param {number} id
 * @param {number} opened
 * @returns {Session}
 */
export const newSession = (id, opened) => ({
  id,
  opened,
  over: false,
  name: "",
  window: 0,
  away: null,
  at: { page: 0, server: 0 },
  most: { page: 0, server: 0 },
  objects: { page: new Map(), server: new Map() },
  names: { page: new Map(), server: new Map() },
  calls: { page: new Map(), server: new Map() },
});

/**
 * Whether a session may go on after its connection ended so.
 * @param {Session} session
 * @param {string} why begins with the code
 */
export const outlives = ({ over, window }, why) =>
  !over && window > 0 && KEPT.has(Number.parseInt(why, 10));

/**
 * Counts a frame: false when it went by before, with the same number on a connection that was lost.
 * @param {Session} session
 * @param {Frame} frame
 */
export function comesFirst({ at, most }, { side, name }) {
  if (UNCOUNTED.has(name)) return true;
  at[side]++;
  const isNew = at[side] > most[side];
  if (isNew) most[side] = at[side];
  return isNew;
}

/**
 * Takes in what a `version` says of the session.
 * @param {Session} fresh what the connection carries so far
 * @param {Map<number, Session>} sessions by their connections
 * @param {Side} side
 * @param {Record<string, any>} options
 * @returns {{ resumed: boolean, socket: number, session: Session } | null} the session that the page
 *   asked for, the connection that carried it, and whether it goes on
 */
export function welcome(fresh, sessions, side, options) {
  const { session: name, window = 0, resume, resumed = false, received = 0 } = options;
  if (side === "page") {
    fresh.name = String(resume?.session ?? "");
    fresh.at.server = Number(resume?.received ?? 0);
    return null;
  }
  const asked = fresh.name;
  const [socket, known] =
    [...sessions].find(([, other]) => other !== fresh && other.name === asked) ?? [];
  const carried = resumed && known ? known : fresh;
  carried.name = String(name ?? (resumed ? asked : ""));
  carried.window = carried.name ? 1000 * window : 0;
  carried.at = resumed
    ? { page: received, server: fresh.at.server }
    : { page: fresh.at.page, server: 0 };
  carried.away = null;
  if (!asked || !known || socket === undefined) return null;
  return { resumed, socket, session: known };
}
