import assert from "node:assert/strict";
import { test } from "node:test";
import { Line } from "../src/queue.js";

test("first in, first out, as far as steps may go", () => {
  const done = [];
  let room = 0;
  const line = new Line(
    (step) => done.push(step),
    () => room-- > 0,
  );
  for (let step = 0; step < 5000; step++) line.push(step);
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
  const line = new Line((step) => {
    if (step < 20000) line.push(step + 1);
    done.push(step);
  });
  line.push(0);
  assert.equal(done.length, 20001);
  assert.deepEqual(done.slice(0, 3), [0, 1, 2]);
});
