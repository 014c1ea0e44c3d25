import assert from "node:assert/strict";
import { test } from "node:test";
import {
  byteLength,
  cutText,
  decodeMessage,
  eachTagged,
  encodeBinary,
  isDeeper,
  isWellFormed,
} from "../src/frames.js";
import { withDefaults } from "../src/limits.js";
import { LimitExceeded } from "../src/pbweb.js";

const limits = withDefaults();
const code = (data, given = limits) => {
  try {
    decodeMessage(data, given);
  } catch (error) {
    return error instanceof LimitExceeded ? 4413 : error.code;
  }
};

test("a message over the limit is refused before it is parsed, in bytes", () => {
  const small = withDefaults({ message: 100 });
  const frame = (text) => `["message",1,"root","echo",["${text}"]]`;
  const room = 100 - frame("").length;
  assert.equal(code(frame("x".repeat(room)), small), undefined);
  assert.equal(code(frame("x".repeat(room + 1)), small), 4413);
  assert.equal(code(frame("é".repeat(room / 2)), small), undefined);
  assert.equal(code(frame("é".repeat(room / 2 + 1)), small), 4413);
  assert.equal(code("{".repeat(101), small), 4413);
});

test("a batch over the limit", () => {
  const ack = '["ack",0,0]';
  assert.equal(code(`[${Array(4096).fill(ack)}]`), undefined);
  assert.equal(code(`[${Array(4097).fill(ack)}]`), 4413);
});

test("only text and bytes are messages", () => {
  for (const data of [null, undefined, 5, {}, [], new Blob([])]) assert.equal(code(data), 4400);
});

const frame = (...ats) => JSON.stringify(["answer", 1, ats.map((at) => ({ $: "bytes", at }))]);
const bytes = (n) => new Uint8Array(n).fill(7);

test("binary messages come back as they were", () => {
  const message = encodeBinary(frame(1, 0), [bytes(3), bytes(0)]);
  for (const data of [message, message.buffer, Buffer.from(message)]) {
    const { frames, attachments, tagged, size } = decodeMessage(data, limits);
    assert.deepEqual(frames, [JSON.parse(frame(1, 0))]);
    assert.deepEqual(
      attachments.map((a) => a.length),
      [3, 0],
    );
    assert.deepEqual([tagged, size], [true, message.length]);
  }
});

test("wrong binary messages are 4400", () => {
  const wrong = {
    "nothing at all": new Uint8Array(),
    "half a length": new Uint8Array([1, 0]),
    "a length past the end": encodeBinary("[]", []).fill(255, 0, 4),
    "one byte too many": Uint8Array.of(...encodeBinary(frame(0), [bytes(1)]), 0),
    "an attachment that is not used": encodeBinary(frame(), [bytes(1)]),
    "an attachment that is used twice": encodeBinary(frame(0, 0), [bytes(1)]),
    "at out of range": encodeBinary(frame(0, 1), [bytes(1)]),
    "at that is negative": encodeBinary(frame(-1), [bytes(1)]),
    "at that is a string": encodeBinary(frame("0"), [bytes(1)]),
    "a batch": encodeBinary(`[${frame(0)}]`, [bytes(1)]),
    "no JSON": encodeBinary("x", []),
    "a wrong envelope": encodeBinary('["answer"]', []),
    "bad UTF-8": Uint8Array.of(2, 0, 0, 0, 0xc3, 0x28),
    "a byte order mark": encodeBinary('\ufeff["ack",0,0]', []),
  };
  for (const [name, data] of Object.entries(wrong)) assert.equal(code(data), 4400, name);
  assert.equal(code(encodeBinary(frame(0), [bytes(200)]), withDefaults({ message: 200 })), 4413);
});

test("a text message that cannot hold a tagged value says so", () => {
  assert.equal(decodeMessage('["message",1,"root","echo",["$5"]]', limits).tagged, false);
  assert.equal(decodeMessage('["message",1,"root","echo",[{"$":1}]]', limits).tagged, true);
  assert.equal(decodeMessage('["message",1,"root","echo",[{"\\u0024":1}]]', limits).tagged, true);
});

test("raw lone surrogates, which a MessagePort can deliver", () => {
  assert.equal(code('["message",1,"root","\ud800"]'), 4400);
  assert.equal(code('["message",1,"root","\ud83d\ude00 \\ud83d\\ude00 \\\\ud800"]'), undefined);
  assert.equal(isWellFormed("\ud83d"), false);
});

test("levels count as the protocol does, and deep values do not use up the stack", () => {
  assert.equal(isDeeper(5, 0), false);
  assert.deepEqual([isDeeper([], 0), isDeeper([], 1)], [true, false]);
  assert.deepEqual([isDeeper({ a: [[1], 2] }, 2), isDeeper({ a: [[1], 2] }, 3)], [true, false]);
  let deep = [];
  for (let level = 0; level < 50000; level++) deep = [deep];
  assert.equal(isDeeper(deep, 100), true);
});

test("eachTagged finds all, at any depth", () => {
  let deep = { $: "remote", id: 1 };
  for (let level = 0; level < 50000; level++) deep = [deep];
  const found = [];
  eachTagged([deep, { $: "x", inner: { $: "remote", id: 2 } }], (tagged) => found.push(tagged.id));
  assert.deepEqual(found.sort(), [1, 2, undefined]);
});

test("texts are cut between characters", () => {
  assert.equal(cutText("abc", 2), "ab");
  assert.equal(cutText("aé", 2), "a");
  assert.equal(cutText("aé", 3), "aé");
  assert.equal(cutText("😀😀", 7), "😀");
  assert.equal(cutText("\ud800", 10), "\ufffd");
  assert.equal(byteLength("aé😀"), 7);
});

test("a binary message that is a part of a buffer ends where it ends", () => {
  const whole = encodeBinary('["ack",0,0]', []);
  const buffer = new Uint8Array(whole.length + 8);
  buffer.set(whole);
  assert.equal(code(buffer.subarray(0, whole.length)), undefined);
  assert.equal(code(buffer.subarray(0, whole.length - 1)), 4400);
});
