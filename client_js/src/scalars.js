/**
 * The values that JSON cannot hold and that contain no others: tags `bytes`, `int`, `float`,
 * `decimal`, `datetime`, `date`, `time`, `timedelta` (docs/protocol.md, section 2).
 *
 * @module
 */

import { InsecureJelly, LimitExceeded } from "./errors.js";

const DAY = "\\d{4}-\\d\\d-\\d\\d";
const CLOCK = "([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,6})?)?";
const ZONE = `(Z|[+-]${CLOCK})?`;

/** A value on the wire, of a kind that JavaScript has no type for: its text, kept exactly. */
export class Held {
  static tag = "";
  static pattern = "";

  /** @param {string | number} value the text, as Python writes it */
  constructor(value) {
    const { tag, pattern } = new.target;
    /** The text, exactly as it stands on the wire. */
    this.value = String(value);
    must(new RegExp(`^(${pattern})$`, "i").test(this.value) && isRealDay(this.value), tag);
    Object.freeze(this);
  }

  toString() {
    return this.value;
  }
}

/** Python's `decimal.Decimal`: its digits. */
export class Decimal extends Held {
  static tag = "decimal";
  static pattern = "[+-]?((\\d+(\\.\\d*)?|\\.\\d+)(e[+-]?\\d+)?|inf(inity)?|s?nan\\d*)";
}

/** A `datetime` that is no Date: without a time zone, or with parts of a millisecond. */
export class DateTime extends Held {
  static tag = "datetime";
  static pattern = `${DAY}T${CLOCK}${ZONE}`;
}

/** A `date`, such as "2026-02-28". */
export class DateOnly extends Held {
  static tag = "date";
  static pattern = DAY;
}

/** A `time`, such as "09:30:00" or "09:30:00+01:00". */
export class TimeOnly extends Held {
  static tag = "time";
  static pattern = CLOCK + ZONE;
}

/** A `timedelta` in seconds, such as "90.5". */
export class TimeDelta extends Held {
  static tag = "timedelta";
  static pattern = "-?\\d{1,14}(\\.\\d{1,6})?";
}

/**
 * @param {unknown} right
 * @param {string} what
 */
function must(right, what) {
  if (!right) throw new RangeError(`This is no ${what}.`);
}

/**
 * A text that begins with a day must begin with one that exists, from the year 1 on.
 * @param {string} text
 */
function isRealDay(text) {
  const [day] = /^\d{4}-.{5}/.exec(text) ?? [];
  return !day || (day >= "0001" && isoText(new Date(day)).startsWith(day));
}

/** @param {Date} date */
const isoText = (date) => (Number.isNaN(+date) ? "" : date.toISOString());

/** @param {string} tag */
const keyOf = (tag) => ({ bytes: "base64", timedelta: "seconds" })[tag] ?? "value";

/**
 * @param {string} text
 * @param {import("./limits.js").Limits} limits
 */
function checkDigits(text, { digits }) {
  if (text.replace("-", "").length <= digits) return text;
  throw new LimitExceeded(`digits: a number has more than ${digits}.`);
}

/**
 * A number or bigint as a tagged value.
 * @param {number | bigint} value
 * @param {import("./limits.js").Limits} limits of the peer
 */
export function jellyNumber(value, limits) {
  const text = Object.is(value, -0) ? "-0" : String(value);
  if (typeof value === "bigint") return { $: "int", value: checkDigits(text, limits) };
  return { $: "float", value: text.replace("Infinity", "inf").replace("NaN", "nan") };
}

/**
 * A Date or a holder as a tagged value; undefined when it is neither.
 * @param {object} value
 * @param {import("./limits.js").Limits} limits of the peer
 * @returns {object | undefined}
 */
export function jellyScalar(value, limits) {
  if (value instanceof Held) {
    const { tag } = /** @type {typeof Held} */ (value.constructor);
    return { $: tag, [keyOf(tag)]: checkDigits(value.value, limits) };
  }
  if (!(value instanceof Date)) return undefined;
  const text = isoText(value);
  if (hasYear(text)) return { $: "datetime", value: text };
  throw new InsecureJelly("a Date outside of the years 1 to 9999 cannot cross");
}

/** @param {string} text */
const hasYear = (text) => /^(?!0000)\d{4}-/.test(text);

/**
 * @param {Uint8Array} bytes
 * @returns {string} standard base64, padded
 */
export function toBase64(bytes) {
  let binary = "";
  for (let at = 0; at < bytes.length; at += 32768) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 32768));
  }
  return btoa(binary);
}

/** @param {string} text */
function fromBase64(text) {
  must(text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text), "base64");
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/**
 * An aware `datetime` that a Date holds exactly is one; any other keeps its text.
 * @param {string} text
 */
function fromIso(text) {
  const held = new DateTime(text);
  if (!/(Z|[+-]\d\d:\d\d)$/.test(text) || /\.\d{3}0*[1-9]|[+-]..:..:/.test(text)) return held;
  const date = new Date(text.replace(/(\.\d{3})\d*/, "$1"));
  return hasYear(isoText(date)) ? date : held;
}

/** @param {string} text */
function fromFloat(text) {
  const named = new Map([
    ["nan", Number.NaN],
    ["inf", Infinity],
    ["-inf", -Infinity],
  ]).get(text);
  const value = Number(text);
  must(
    named !== undefined || (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) && Number.isFinite(value)),
    "float",
  );
  return named ?? value;
}

/** @param {string} text */
function fromInt(text) {
  must(/^-?\d+$/.test(text), "int");
  return BigInt(text);
}

/** @type {Map<unknown, (text: string) => unknown>} */
const READERS = new Map().set("bytes", fromBase64).set("int", fromInt).set("float", fromFloat);
for (const type of [Decimal, DateTime, DateOnly, TimeOnly, TimeDelta]) {
  READERS.set(type.tag, (text) => new type(text));
}
READERS.set("datetime", fromIso);

/**
 * The value of a scalar tag; an InsecureJelly error for any other.
 * @param {Record<string, any>} tagged
 * @param {import("./limits.js").Limits} limits of this side
 */
export function unjellyScalar({ $: tag, ...keys }, limits) {
  const read = READERS.get(tag);
  const text = keys[keyOf(tag)];
  if (read && typeof text === "string") {
    if (tag !== "bytes") checkDigits(text, limits);
    try {
      return read(text);
    } catch {}
  }
  const name = typeof tag === "string" ? JSON.stringify(tag.slice(0, 64)) : typeof tag;
  throw new InsecureJelly(`the tag ${name} is unknown here, or its value is wrong`);
}
