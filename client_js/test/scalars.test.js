import assert from "node:assert/strict";
import { test } from "node:test";
import { DateOnly, DateTime, Decimal, TimeDelta, TimeOnly } from "../src/pbweb.js";
import { toBase64 } from "../src/scalars.js";

test("holders keep their text and cannot be changed", () => {
  const decimal = new Decimal("1.10");
  assert.equal(`${decimal}`, "1.10");
  assert.throws(() => {
    decimal.value = "2";
  }, TypeError);
  assert.equal(new Decimal(5).value, "5");
});

for (const [type, text] of [
  [Decimal, "one"],
  [Decimal, ""],
  [DateTime, "2026-13-30T00:00"],
  [DateOnly, "2026-13-01"],
  [TimeOnly, "24:00"],
  [TimeDelta, "1h"],
]) {
  test(`${type.name} refuses ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => new type(text),
      (error) => error instanceof RangeError && error.message.includes(type.tag),
    );
  });
}

test("base64 of many bytes", () => {
  const bytes = Uint8Array.from({ length: 100000 }, (_, at) => at * 7);
  assert.equal(toBase64(bytes), Buffer.from(bytes).toString("base64"));
});
