/**
 * The wire's vocabulary: messages to frames and back, and the check of every frame's envelope
 * (docs/protocol.md, sections 1 and 8). Values are not looked into: that is jelly.js.
 *
 * @module
 */

import { breach, checkLimit } from "./errors.js";

/** A frame as it stands in the JSON; its envelope has been checked. @typedef {any[]} Frame */

/**
 * A message that has arrived.
 * @typedef {object} Message
 * @property {Frame[]} frames
 * @property {number} size in characters, or in bytes
 * @property {boolean} tagged false when no value in it can be a tagged one
 * @property {boolean} deep false when no value in it can have too many levels
 * @property {Uint8Array[]} attachments of a binary message
 */

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a message; it costs, and few come near a limit. @param {string | Uint8Array} data */
export const byteLength = (data) =>
  typeof data === "string" ? utf8.encode(data).length : data.byteLength;

/** Whether a string has no lone surrogate. @param {any} text @returns {boolean} */
export const isWellFormed = (text) => text.isWellFormed();

export const isList = Array.isArray;

/** A request's or an object's id. @param {any} value @returns {value is number} */
export const isId = (value) => Number.isSafeInteger(value) && value > 0;

/** @param {any} value */
export const isAnswer = (value) =>
  value?.$ === "answer" && isId(value.id) && isList(value.path ?? []);

/**
 * One character for what an item is: `+`, `-` or `0` an integer, `a`rray, nul`l`, an `A`nswer that
 * is named, else the first letter of `typeof`: `s`tring, `n`umber, `b`oolean, `o`bject.
 * @param {any} item
 */
function kindOf(item) {
  if (typeof item === "object") {
    if (isList(item)) return "a";
    return isAnswer(item) ? "A" : item ? "o" : "l";
  }
  return Number.isSafeInteger(item) ? "-0+"[Math.sign(item) + 1] : (typeof item)[0];
}

/** @param {any[]} items */
export function kindsOf(items) {
  let kinds = "";
  for (const item of items) kinds += kindOf(item);
  return kinds;
}

/** The kinds of the items of each frame, with its name. @type {Record<string, RegExp>} */
const ENVELOPES = {
  // @ts-expect-error TypeScript takes it for a key: so no name of a frame is found anywhere else
  __proto__: null,
  version: /^s[+0][oA]?$/,
  message: /^s[+0][+\-sA]s(a([oA][oA]?)?)?$/,
  cachemessage: /^s[+0]\+s(a[oA]?)?$/,
  answer: /^s\+.?$/,
  error: /^s\+[oA]$/,
  cancel: /^s\+$/,
  decref: /^s(\+\+)+$/,
  decache: /^s(\+\+)+$/,
  uncache: /^s\+$/,
  ack: /^s[+0]{2}$/,
  ping: /^s[+0]{2}$/,
  pong: /^s[+0]{2}$/,
  close: /^s[+0]s[ba][+0]?$/,
  didNotUnderstand: /^ss$/,
};

/**
 * Refuse a frame with a wrong envelope; unknown names pass.
 * @param {any} frame
 */
function checkEnvelope(frame) {
  const name = isList(frame) && frame[0];
  if (typeof name !== "string") breach("This is no frame.");
  const isRight =
    (ENVELOPES[name]?.test(kindsOf(frame)) ?? true) &&
    (name !== "message" || Number.isFinite(frame[6]?.deadline ?? 0)) &&
    (name !== "close" || !isList(frame[3]) || /^[+0n]{2}$/.test(kindsOf(frame[3])));
  if (!isRight) breach(`A frame "${name}" has wrong items.`);
}

/**
 * The frames of a message, all checked. Throws what closes the connection: a ProtocolError with
 * its code, or LimitExceeded.
 * @param {any} data what the transport delivered
 * @param {import("./limits.js").Limits} limits of this side
 * @returns {Message}
 */
export function decodeMessage(data, limits) {
  const isText = typeof data === "string";
  const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
  if (!isText && !ArrayBuffer.isView(bytes)) breach("This is no text and no bytes.");
  if (!(bytes.length * 3 < limits.message)) checkLimit(limits, "message", byteLength(bytes));
  const [text, ...attachments] = isText ? [data] : splitBinary(bytes);
  const value = parse(text);
  /** @type {Frame[]} */
  const frames = isText && isList(value) && isList(value[0]) ? value : [value];
  checkLimit(limits, "batch", frames.length);
  frames.forEach(checkEnvelope);
  if (!isText || text.includes('"bytes"')) checkAttachments(frames, attachments);
  return {
    frames,
    size: bytes.length,
    attachments,
    deep: text.length > 2 * limits.depth,
    tagged: text.includes('$"') || text.includes("\\u0024"),
  };
}

/**
 * JSON.parse takes lone surrogates, which are no JSON here.
 * @param {string} text
 */
function parse(text) {
  try {
    const value = JSON.parse(text);
    const isEscaped = text.includes("\\u");
    if (isWellFormed(text) && !(isEscaped && hasLoneSurrogate(JSON.stringify(value)))) return value;
  } catch {}
  breach("This is no JSON.");
}

/**
 * JSON.stringify escapes lone surrogates, and no others.
 * @param {string} json
 */
export const hasLoneSurrogate = (json) => json.replaceAll("\\\\", "").includes("\\ud");

/**
 * Whether a JSON value has more than `most` levels of arrays and objects.
 * @param {any} value
 * @param {number} most
 * @returns {boolean}
 */
export function isDeeper(value, most) {
  if (typeof value !== "object" || value === null) return false;
  if (most < 1) return true;
  if (isList(value)) return value.some((item) => isDeeper(item, most - 1));
  for (const key in value) if (isDeeper(value[key], most - 1)) return true;
  return false;
}

/**
 * Call `visit` with every tagged value in `value`, wherever it stands, at any depth.
 * @param {unknown} value
 * @param {(tagged: Record<string, any>) => void} visit
 */
export function eachTagged(value, visit) {
  /** @type {any[]} */
  const open = [value];
  while (open.length) {
    const next = open.pop();
    if (typeof next !== "object" || next === null) continue;
    // Any other tag is unknown, and may not even be made a string.
    if (typeof next.$ === "string") visit(next);
    for (const child of Object.values(next)) open.push(child);
  }
}

/**
 * Each attachment must be used once; beside a text message there is none (section 8).
 * @param {Frame[]} frames
 * @param {Uint8Array[]} attachments
 */
function checkAttachments(frames, attachments) {
  const open = new Set(attachments.keys());
  let right = true;
  eachTagged(frames, ({ $: tag, at }) => {
    if (tag === "bytes" && at !== undefined) right &&= open.delete(at);
  });
  if (!right || open.size) breach("Each attachment must be used once.");
}

/**
 * The text, and the attachments as views.
 * @param {Uint8Array} data
 * @returns {[string, ...Uint8Array[]]}
 */
function splitBinary({ buffer, byteOffset, byteLength: size }) {
  const view = new DataView(buffer, byteOffset, size);
  /** @type {any[]} */
  const parts = [];
  try {
    for (let at = 0; at < size; ) {
      const length = view.getUint32(at, true);
      parts.push(new Uint8Array(buffer, byteOffset + at + 4, length));
      at += 4 + length;
      if (at > size) breach("");
    }
    parts[0] = strictUtf8.decode(parts[0]);
  } catch {
    breach("This has wrong lengths, or is no UTF-8.");
  }
  return /** @type {any} */ (parts);
}

/**
 * One frame with its attachments as one binary message (section 8).
 * @param {string} text the frame's JSON
 * @param {Uint8Array[]} attachments
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeBinary(text, attachments) {
  const parts = [utf8.encode(text), ...attachments];
  const message = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(message.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length, true);
    message.set(part, at + 4);
    at += 4 + part.length;
  }
  return message;
}

/**
 * Text of at most `most` bytes, cut between characters, with lone surrogates replaced.
 * @param {string} text
 * @param {number} most
 */
export function cutText(text, most) {
  const bytes = new Uint8Array(most);
  return strictUtf8.decode(bytes.subarray(0, utf8.encodeInto(text, bytes).written));
}
