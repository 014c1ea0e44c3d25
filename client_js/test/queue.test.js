import assert from "node:assert/strict";
import { test } from "node:test";
import { newLine } from "../src/queue.js";

test("first in, first out, as far as steps may go", () => {
  const done = [];
  let room = 0;
  const line = newLine();
  const mayGo = () => room-- > 0;
  for (let step = 0; step < 5000; step++) line.push((item) => mayGo() && done.push(item), step);
  assert.equal(line.length, 5000);
  for (let round = 1; round <= 50; round++) {
    room = 100;
    line.move();
    assert.equal(done.length, 100 * round);
  }
  assert.deepEqual(
    done,
    done.map((_, at) => at),
  );
  assert.equal(line.length, 0);
});

test("a step that puts in others runs to its end first", () => {
  const done = [];
  const line = newLine();
  const run = (step) => {
    if (step < 20000) line.push(run, step + 1);
    done.push(step);
  };
  line.push(run, 0);
  assert.equal(done.length, 20001);
  assert.deepEqual(done.slice(0, 3), [0, 1, 2]);
});
