/**
 * The values that JSON cannot hold and that contain no others: tags `bytes`, `int`, `float`,
 * `decimal`, `datetime`, `date`, `time`, `timedelta` (docs/protocol.md, section 2).
 *
 * @module
 */

import { checkLimit } from "./errors.js";

const DAY = "(?!0000)\\d{4}-(0\\d|1[0-2])-[0-3]\\d";
const CLOCK = "([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,6})?)?";
const ZONE = `(Z|[+-]${CLOCK})?`;

/**
 * A value on the wire, of a kind that JavaScript has no type for: its text, kept exactly. Whether
 * there is such a day, the peer decides.
 */
export class Held {
  /** @internal */
  static tag = "";
  /** @internal */
  static pattern = "";

  /** @param {string | number} value the text, as Python writes it */
  constructor(value) {
    const { tag, pattern } = new.target;
    /** The text, exactly as it stands on the wire. */
    this.value = String(value);
    must(pattern, this.value, tag);
    Object.freeze(this);
  }

  /** The text. */
  toString() {
    return this.value;
  }
}

/** Python's `decimal.Decimal`: its digits. */
export class Decimal extends Held {
  static tag = "decimal";
  static pattern = "[+-]?((\\d+(\\.\\d*)?|\\.\\d+)([eE][+-]?\\d+)?|[Ii]nf(inity)?|s?[Nn]a[Nn]\\d*)";
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
 * @param {string} pattern
 * @param {string} text
 * @param {string} tag
 */
function must(pattern, text, tag) {
  if (!new RegExp(`^(${pattern})$`).test(text)) throw new RangeError(`This is no ${tag}.`);
  return text;
}

/** @param {Held} value */
const tagOf = (value) => /** @type {typeof Held} */ (value.constructor).tag;

/** @param {string} tag */
const keyOf = (tag) => (tag === "bytes" ? "base64" : tag === "timedelta" ? "seconds" : "value");

/**
 * A number, bigint, Date or holder as a tagged value; undefined when it is none.
 * @param {any} value
 * @param {import("./limits.js").Limits} limits of the peer
 * @returns {object | undefined}
 */
export function jellyScalar(value, limits) {
  let tag;
  let text;
  if (typeof value === "number") {
    tag = "float";
    text = Object.is(value, -0) ? "-0" : `${value}`.toLowerCase().replace("inity", "");
  } else if (value instanceof Date) {
    tag = "datetime";
    text = isoText(value);
  } else {
    tag = typeof value === "bigint" ? "int" : value instanceof Held && tagOf(value);
    text = tag && `${value}`;
  }
  if (!tag || !text) return undefined;
  checkDigits(text, limits);
  return { $: tag, [keyOf(tag)]: text };
}

/**
 * @param {string} text
 * @param {import("./limits.js").Limits} limits
 */
const checkDigits = (text, limits) => checkLimit(limits, "digits", text.replace("-", "").length);

/** A Date in the years 1 to 9999; "" for any other. @param {Date} date */
function isoText(date) {
  const text = date.toJSON() ?? "";
  return /^(?!0000)\d{4}-/.test(text) ? text : "";
}

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
  // atob would do with white space, and without padding.
  if (text.length % 4 || /\s/.test(text)) return undefined;
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/**
 * An aware `datetime` that a Date holds exactly is one; any other keeps its text.
 * @param {string} text
 */
function fromIso(text) {
  const held = new DateTime(text);
  const [, time, , zone] = /^([^.]+(\.\d{1,3})?)0*(Z|[+-]..:..)$/.exec(text) ?? [];
  const date = new Date(`${time}${zone}`);
  return isoText(date) ? date : held;
}

/** @param {string} text */
function fromFloat(text) {
  must("nan|-?(inf|\\d+(\\.\\d+)?(e[+-]?\\d+)?)", text, "float");
  const value = Number(text.replace("inf", "Infinity"));
  return Number.isFinite(value) || /n/.test(text) ? value : undefined;
}

/** @type {Map<unknown, (text: string) => unknown>} */
const READERS = new Map();
for (const type of [Decimal, DateTime, DateOnly, TimeOnly, TimeDelta]) {
  READERS.set(type.tag, (text) => new type(text));
}
READERS.set("datetime", fromIso)
  .set("float", fromFloat)
  .set("bytes", fromBase64)
  .set("int", (text) => BigInt(must("-?\\d+", text, "int")));

/**
 * The value of a scalar tag; undefined for any other, and when it is wrong.
 * @param {Record<string, any>} tagged
 * @param {import("./limits.js").Limits} limits of this side
 */
export function unjellyScalar(tagged, limits) {
  const { $: tag } = tagged;
  const text = tagged[keyOf(tag)];
  if (typeof text !== "string") return undefined;
  if (tag !== "bytes") checkDigits(text, limits);
  try {
    return READERS.get(tag)?.(text);
  } catch {}
}
