// How long a client waits before it tries again (docs/protocol.md, section 6).

import assert from "node:assert/strict";
import { test } from "node:test";
import { newTries } from "../src/tries.js";

const ENDED = { reconnect: true };

/** @param {import("node:test").TestContext} t */
const random = (t, /** @type {number} */ value) => t.mock.method(Math, "random", () => value);

/** @param {any} ending @param {number} rest */
function waits(number, ending, rest, tries = newTries()) {
  return Array.from({ length: number }, () => tries.next(ending, rest));
}

test("each wait is up to twice as long as the one before, within the window", (t) => {
  random(t, 1);
  assert.deepEqual(waits(8, null, 60), [0.5, 1, 2, 4, 8, 16, 20, 20]);
  random(t, 0.5);
  assert.deepEqual(waits(3, null, 60), [0.25, 0.5, 1]);
});

test("the last tries of a window are in it, in the second half of what is left", (t) => {
  const tries = newTries();
  random(t, 0.9);
  waits(9, null, 60, tries);
  assert.equal(tries.next(null, 18), 18);
  random(t, 0.75);
  assert.equal(tries.next(null, 8), 5);
  assert.equal(tries.next(null, 2), 1.25);
  random(t, 1);
  assert.equal(tries.next(null, 10), 5);
});

for (const rest of [1, 0.25, 0, -0.25]) {
  test(`with ${rest} s of a window left a new session is tried for soon`, (t) => {
    const tries = newTries();
    random(t, 1);
    waits(9, null, 60, tries);
    assert.equal(tries.next(null, rest), rest + 0.5);
    assert.deepEqual(waits(3, ENDED, rest, tries), [0.5, 1, 2]);
  });
}

test("a connection that came about in the window does not make the tries begin anew", (t) => {
  const tries = newTries();
  random(t, 1);
  waits(3, null, 60, tries);
  tries.opened();
  assert.deepEqual(waits(2, ENDED, 50, tries), [4, 8]);
});

test("a session that has ended has no window to keep to", (t) => {
  random(t, 1);
  assert.deepEqual(waits(7, ENDED, -100).at(-1), 20);
});
