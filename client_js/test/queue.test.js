import assert from "node:assert/strict";
import { test } from "node:test";
import { Queue } from "../src/queue.js";

test("first in, first out", () => {
  const queue = new Queue();
  let next = 0;
  let pushed = 0;
  for (let round = 0; round < 5000; round++) {
    queue.push(pushed++);
    queue.push(pushed++);
    assert.equal(queue.peek(), next);
    assert.equal(queue.shift(), next++);
  }
  assert.equal(queue.length, pushed - next);
  while (queue.length) assert.equal(queue.shift(), next++);
  assert.equal(queue.shift(), undefined);
  assert.equal(queue.length, 0);
});
