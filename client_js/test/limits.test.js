import assert from "node:assert/strict";
import { test } from "node:test";
import { LIMITS, withDefaults } from "../src/limits.js";

test("the defaults are those of the protocol", () => {
  assert.deepEqual(LIMITS, {
    message: 1048576,
    depth: 100,
    batch: 4096,
    calls: 256,
    references: 1024,
    streams: 64,
    digits: 1024,
    control: 20,
  });
});

test("limits that are given replace defaults, unknown ones are left out", () => {
  assert.deepEqual(withDefaults({ calls: 5, other: 1 }), { ...LIMITS, calls: 5 });
});

for (const calls of [0, -1, 1.5, "5", Number.NaN, Infinity]) {
  test(`a limit of ${JSON.stringify(calls)} is refused`, () => {
    assert.throws(() => withDefaults({ calls }), RangeError);
  });
}
