/**
 * The values that JSON cannot hold and that contain no others: tags `bytes`, `int`, `float`,
 * `decimal`, `datetime`, `date`, `time`, `timedelta` (docs/protocol.md, section 2).
 *
 * @module
 */

import { InsecureJelly, LimitExceeded } from "./errors.js";

/** A value on the wire, of a kind that JavaScript has no type for: its text, kept exactly. */
export class Held {
  static pattern = /^/;

  /** @param {string | number} value the text, as Python writes it */
  constructor(value) {
    const text = String(value);
    const type = /** @type {typeof Held} */ (this.constructor);
    if (!type.accepts(text)) {
      throw new RangeError(`${type.name} cannot hold ${JSON.stringify(text.slice(0, 64))}.`);
    }
    /** The text, exactly as it stands on the wire. */
    this.value = text;
    Object.freeze(this);
  }

  /** @param {string} text */
  static accepts(text) {
    return this.pattern.test(text) && isRealDate(text);
  }

  toString() {
    return this.value;
  }
}

const DAY = "\\d{4}-\\d\\d-\\d\\d";
const CLOCK = "([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,6})?)?";
const ZONE = "(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,6})?)?)?";

/** Python's `decimal.Decimal`: its digits. */
export class Decimal extends Held {
  /** @override */
  static pattern = /^[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf(inity)?|s?nan\d*)$/i;
}

/** A `datetime` that is no Date: without a time zone, or with parts of a millisecond. */
export class DateTime extends Held {
  /** @override */
  static pattern = new RegExp(`^${DAY}T${CLOCK}${ZONE}$`);
}

/** A `date`, such as "2026-02-28". */
export class DateOnly extends Held {
  /** @override */
  static pattern = new RegExp(`^${DAY}$`);
}

/** A `time`, such as "09:30:00" or "09:30:00+01:00". */
export class TimeOnly extends Held {
  /** @override */
  static pattern = new RegExp(`^${CLOCK}${ZONE}$`);
}

/** A `timedelta` in seconds, such as "90.5". */
export class TimeDelta extends Held {
  /** @override */
  static pattern = /^-?\d{1,14}(\.\d{1,6})?$/;
}

/**
 * A text that begins with a day must begin with one that exists, from the year 1 on.
 * @param {string} text
 */
function isRealDate(text) {
  if (!/^\d{4}-/.test(text)) return true;
  const day = text.slice(0, 10);
  const date = new Date(day);
  return day >= "0001" && !Number.isNaN(+date) && date.toISOString().startsWith(day);
}

/** @type {Map<unknown, [tag: string, key: string]>} */
const HOLDERS = new Map([
  [Decimal, ["decimal", "value"]],
  [DateTime, ["datetime", "value"]],
  [DateOnly, ["date", "value"]],
  [TimeOnly, ["time", "value"]],
  [TimeDelta, ["timedelta", "seconds"]],
]);

/** @param {string} text @param {number} limit */
function checkDigits(text, limit) {
  if (text.length - (text[0] === "-" ? 1 : 0) <= limit) return text;
  throw new LimitExceeded(`digits: a number has more than ${limit} digits.`);
}

/**
 * A number or bigint as a tagged value.
 * @param {number | bigint} value
 * @param {import("./limits.js").Limits} limits of the peer
 */
export function jellyNumber(value, limits) {
  if (typeof value === "bigint") {
    return { $: "int", value: checkDigits(String(value), limits.digits) };
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return { $: "float", value: text.replace("Infinity", "inf").replace("NaN", "nan") };
}

/**
 * A Date or a holder as a tagged value; undefined when it is neither.
 * @param {object} value
 * @param {import("./limits.js").Limits} limits of the peer
 */
export function jellyScalar(value, limits) {
  if (value instanceof Date) return { $: "datetime", value: isoText(value) };
  if (!(value instanceof Held)) return undefined;
  const [tag, key] = /** @type {[string, string]} */ (HOLDERS.get(value.constructor));
  return { $: tag, [key]: checkDigits(value.value, limits.digits) };
}

/** @param {Date} date */
function isoText(date) {
  const text = Number.isNaN(+date) ? "" : date.toISOString();
  if (/^\d{4}/.test(text) && text >= "0001") return text;
  throw new InsecureJelly("a Date that is invalid, or not in the years 1 to 9999, cannot cross");
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

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** @param {string} text */
function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/**
 * An aware `datetime` that a Date holds exactly is one; any other keeps its text.
 * @param {string} text
 */
function fromIso(text) {
  const held = new DateTime(text);
  const match = /^(.{16})(?::(\d\d)(?:\.(\d{1,3})0*)?)?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) return held;
  const [, minutes, seconds = "00", part = "0", zone] = match;
  const date = new Date(`${minutes}:${seconds}.${part.padEnd(3, "0")}${zone}`);
  return /^(?!0000)\d{4}-/.test(date.toISOString()) ? date : held;
}

/** @param {string} text */
function fromFloat(text) {
  const named = { nan: Number.NaN, inf: Infinity, "-inf": -Infinity };
  if (Object.hasOwn(named, text)) return named[/** @type {keyof typeof named} */ (text)];
  const value = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : Infinity;
  if (Number.isFinite(value)) return value;
  throw new RangeError("no number");
}

/** @param {string} text */
function fromInt(text) {
  if (!/^-?\d+$/.test(text)) throw new RangeError("no integer");
  return BigInt(text);
}

/** @type {Map<unknown, [key: string, read: (text: string) => unknown]>} */
const READERS = new Map([
  ["int", ["value", fromInt]],
  ["float", ["value", fromFloat]],
  ["datetime", ["value", fromIso]],
  ["bytes", ["base64", readBase64]],
]);
for (const [type, [tag, key]] of HOLDERS) {
  if (tag !== "datetime") {
    READERS.set(tag, [key, (text) => new /** @type {typeof Held} */ (type)(text)]);
  }
}

/** @param {string} text */
function readBase64(text) {
  if (!BASE64.test(text)) throw new RangeError("no base64");
  return fromBase64(text);
}

/**
 * The value of a scalar tag; an InsecureJelly error for any other.
 * @param {Record<string, any>} tagged
 * @param {import("./limits.js").Limits} limits of this side
 */
export function unjellyScalar(tagged, limits) {
  const [key, read] = READERS.get(tagged.$) ?? [];
  if (!key || !read) throw new InsecureJelly(`the tag ${show(tagged.$)} is not known here`);
  const text = tagged[key];
  if (typeof text === "string") {
    if (tagged.$ !== "bytes") checkDigits(text, limits.digits);
    try {
      return read(text);
    } catch {}
  }
  throw new InsecureJelly(`the tag ${show(tagged.$)} has a wrong or no ${show(key)}`);
}

/** @param {unknown} value */
const show = (value) => (typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : typeof value);

