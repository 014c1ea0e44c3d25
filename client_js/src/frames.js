/**
 * The wire's vocabulary: messages to frames and back, and the check of every frame's envelope
 * (docs/protocol.md, sections 1 and 8). Values are not looked into: that is jelly.js.
 *
 * @module
 */

import { ProtocolError } from "./errors.js";

/** A frame as it stands in the JSON; its envelope has been checked. @typedef {any[]} Frame */

/**
 * A message that has arrived.
 * @typedef {object} Message
 * @property {Frame[]} frames
 * @property {number} size in bytes
 * @property {boolean} tagged false when no value in it can be a tagged one
 * @property {Uint8Array[]} attachments of a binary message
 */

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @param {string} text */
export const byteLength = (text) => (/[^ -~]/.test(text) ? utf8.encode(text).length : text.length);

/** Whether a string has no lone surrogate. @type {(text: string) => boolean} */
export const isWellFormed =
  "isWellFormed" in String.prototype
    ? (text) => /** @type {any} */ (text).isWellFormed()
    : (text) => !/\p{Surrogate}/u.test(text);

/** @param {unknown} value @returns {value is Record<string, any>} */
export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A request's or an object's id. @param {unknown} value */
export const isId = (value) => Number.isSafeInteger(value) && /** @type {number} */ (value) > 0;

/** @param {unknown} value */
export const isCount = (value) => value === 0 || isId(value);

/** @param {unknown} value */
const isText = (value) => typeof value === "string";

/** @param {any} target of a `message` */
function isTarget(target) {
  if (isObject(target)) {
    return target.$ === "answer" && isId(target.id) && Array.isArray(target.path ?? []);
  }
  return isText(target) || (Number.isSafeInteger(target) && target !== 0);
}

/** @param {any} opts of a `message` */
const isOptions = (opts) => isObject(opts) && Number.isFinite(opts.deadline ?? 0);

/** @param {Frame} frame */
const isPairs = (frame) => frame.length > 2 && frame.length % 2 === 1 && frame.slice(1).every(isId);

/** @param {any} value of the last item of `close` */
const isReconnect = (value) =>
  typeof value === "boolean" ||
  (Array.isArray(value) && value.length === 2 && value.every((n) => Number.isFinite(n) && n >= 0));

/**
 * What the items behind a frame's name must be; the second number says how many there must be.
 * @type {Map<string, [((item: any) => boolean)[], number]>}
 */
const ENVELOPES = new Map([
  ["version", [[isCount, isObject], 1]],
  ["message", [[isCount, isTarget, isText, Array.isArray, isObject, isOptions], 3]],
  ["cachemessage", [[isCount, isId, isText, Array.isArray, isObject], 3]],
  ["answer", [[isId, () => true], 1]],
  ["error", [[isId, isObject], 2]],
  ["cancel", [[isId], 1]],
  ["uncache", [[isId], 1]],
  ["ack", [[isCount, isCount], 2]],
  ["ping", [[isCount, isCount], 2]],
  ["pong", [[isCount, isCount], 2]],
  ["close", [[isCount, isText, isReconnect], 3]],
  ["didNotUnderstand", [[isText], 1]],
]);

/**
 * Refuse a frame with a wrong envelope; unknown names pass.
 * @param {any} frame
 */
function checkEnvelope(frame) {
  if (!Array.isArray(frame) || typeof frame[0] !== "string") {
    throw new ProtocolError("A message holds something that is no frame.");
  }
  const name = frame[0];
  const [checks, least] = ENVELOPES.get(name) ?? [null, 0];
  const right = checks
    ? frame.length > least &&
      frame.length <= checks.length + 1 &&
      frame.every((item, at) => at === 0 || checks[at - 1]?.(item))
    : (name !== "decref" && name !== "decache") || isPairs(frame);
  if (!right) throw new ProtocolError(`A frame "${name}" has wrong items, or too few or too many.`);
}

/**
 * The frames of a message, all checked. Throws a ProtocolError whose code closes the connection.
 * @param {unknown} data what the transport delivered
 * @param {import("./limits.js").Limits} limits of this side
 * @returns {Message}
 */
export function decodeMessage(data, limits) {
  if (typeof data === "string") {
    const size = data.length * 3 > limits.message ? byteLength(data) : data.length;
    return { ...decodeText(data, size, limits), size, attachments: [] };
  }
  if (!(data instanceof ArrayBuffer || ArrayBuffer.isView(data))) {
    throw new ProtocolError("A message is neither text nor an ArrayBuffer.");
  }
  const [text, ...attachments] = splitBinary(data, limits);
  const decoded = decodeText(readUtf8(text), 0, limits);
  checkAttachments(decoded.frames, attachments.length, decoded.batch);
  return { ...decoded, tagged: true, size: data.byteLength, attachments };
}

/**
 * @param {string} text
 * @param {number} size
 * @param {import("./limits.js").Limits} limits
 */
function decodeText(text, size, limits) {
  checkSize(size, limits);
  const value = parse(text, limits);
  const batch = Array.isArray(value) && Array.isArray(value[0]);
  /** @type {Frame[]} */
  const frames = batch ? value : [value];
  if (frames.length > limits.batch) {
    throw new ProtocolError(`batch: a message has more than ${limits.batch} frames.`, {
      code: 4413,
    });
  }
  for (const frame of frames) checkEnvelope(frame);
  return { frames, batch, tagged: text.includes('"$"') || text.includes("\\u0024") };
}

/**
 * @param {number} size
 * @param {import("./limits.js").Limits} limits
 */
function checkSize(size, limits) {
  if (size <= limits.message) return;
  const text = `message: a message has ${size} bytes, at most ${limits.message} are taken.`;
  throw new ProtocolError(text, { code: 4413 });
}

/**
 * JSON.parse takes lone surrogates, and makes Infinity of 1e400: neither is JSON here.
 * @param {string} text
 * @param {import("./limits.js").Limits} limits
 */
function parse(text, limits) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError("A message is not JSON.");
  }
  if (!isWellFormed(text) || (/\\ud/i.test(text) && hasLoneEscape(text))) {
    throw new ProtocolError("A message holds a lone surrogate.");
  }
  if (/\D\d{309}|e\+?\d{3}/i.test(text) && nesting(value, limits.depth + 4) === Infinity) {
    throw new ProtocolError("A message holds a number that is too large.");
  }
  return value;
}

/** @param {string} text */
function hasLoneEscape(text) {
  const rest = text.replace(/\\[^u]|\\ud[89ab]..\\ud[c-f]../gi, "");
  return /\\ud[89a-f]/i.test(rest);
}

/**
 * The levels of arrays and objects in a JSON value, not counted further than one past `max`;
 * Infinity when there is an infinite number in it.
 * @param {unknown} value
 * @param {number} max
 * @returns {number}
 */
export function nesting(value, max) {
  if (typeof value !== "object" || value === null) {
    return value === Infinity || value === -Infinity ? Infinity : 0;
  }
  let deepest = 0;
  if (max <= 0) return 1;
  if (Array.isArray(value)) {
    for (const item of value) deepest = Math.max(deepest, nesting(item, max - 1));
  } else {
    for (const key in value) {
      deepest = Math.max(deepest, nesting(/** @type {any} */ (value)[key], max - 1));
    }
  }
  return deepest + 1;
}

/**
 * Call `visit` with every tagged value in `value`, wherever it stands, at any depth.
 * @param {unknown} value
 * @param {(tagged: Record<string, any>) => void} visit
 */
export function eachTagged(value, visit) {
  const open = [value];
  while (open.length) {
    const next = open.pop();
    if (typeof next !== "object" || next === null) continue;
    if (!Array.isArray(next) && Object.hasOwn(next, "$")) visit(next);
    for (const child of Object.values(next)) open.push(child);
  }
}

/**
 * The one frame of a binary message must use each attachment once (section 8).
 * @param {Frame[]} frames
 * @param {number} count
 * @param {boolean} batch
 */
function checkAttachments(frames, count, batch) {
  const used = new Set();
  let uses = 0;
  eachTagged(frames, (tagged) => {
    if (tagged.$ !== "bytes" || !("at" in tagged)) return;
    uses++;
    if (isCount(tagged.at) && tagged.at < count) used.add(tagged.at);
  });
  if (batch || uses !== count || used.size !== count) {
    throw new ProtocolError("A binary message is not one frame that uses each attachment once.");
  }
}

/**
 * @param {ArrayBuffer | ArrayBufferView} data
 * @param {import("./limits.js").Limits} limits
 * @returns {[Uint8Array, ...Uint8Array[]]}
 */
function splitBinary(data, limits) {
  checkSize(data.byteLength, limits);
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const parts = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const end = at + 4 + view.getUint32(at, true);
    parts.push(bytes.subarray(at + 4, end));
    at = end;
  }
  if (at !== bytes.length || !parts[0]) {
    throw new ProtocolError("The lengths in a binary message do not add up.");
  }
  return /** @type {any} */ (parts);
}

/** @param {Uint8Array} bytes */
function readUtf8(bytes) {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new ProtocolError("The text of a binary message is not UTF-8.");
  }
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
  const bytes = utf8.encode(text.slice(0, most));
  let end = Math.min(bytes.length, most);
  const isInside = () => ((bytes[end] ?? 0) & 0xc0) === 0x80;
  while (isInside()) end--;
  return strictUtf8.decode(bytes.subarray(0, end));
}
