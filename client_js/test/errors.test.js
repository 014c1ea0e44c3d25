import assert from "node:assert/strict";
import { test } from "node:test";
import * as pbweb from "../src/pbweb.js";

const errors = { ...pbweb };
const { PBError, RemoteError, NoSuchMethod } = errors;

class OutOfStock extends PBError {
  static pbType = "shop.OutOfStock";
}
class SoldOut extends OutOfStock {}

test("an error knows its type and parents", () => {
  const error = new SoldOut("none left");
  assert.equal(error.type, "SoldOut");
  assert.deepEqual(error.parents, ["SoldOut", "shop.OutOfStock", "pb.Error"]);
  assert.equal(error.getErrorMessage(), "none left");
  assert.equal(error.traceback, null);
  assert.equal(String(error), "SoldOut: none left");
});

test("check finds classes and names, trap throws what does not fit", () => {
  const error = new SoldOut("none left");
  assert.equal(error.check(OutOfStock), OutOfStock);
  assert.equal(error.check("other", "shop.OutOfStock"), "shop.OutOfStock");
  assert.equal(error.check(NoSuchMethod, "pb"), null);
  assert.equal(error.trap(PBError), PBError);
  assert.throws(() => error.trap(NoSuchMethod), error);
});

test("pbweb's own errors have bare names and end with pb.Error", () => {
  for (const name of [
    "InsecureJelly",
    "DeadReferenceError",
    "PBConnectionLost",
    "CancelledError",
    "LimitExceeded",
    "ProtocolError",
  ]) {
    assert.deepEqual(new errors[name]().parents, [name, "pb.Error"]);
    assert.ok(new errors[name]() instanceof Error);
  }
  assert.deepEqual(new NoSuchMethod().parents, ["NoSuchMethod", "AttributeError", "pb.Error"]);
  assert.ok(new RemoteError() instanceof PBError);
});

test("a lost call is unknown unless more is known", () => {
  assert.equal(new pbweb.PBConnectionLost("").outcome, "unknown");
});

test("the class itself has a name, before there is an error", () => {
  assert.equal(PBError.prototype.name, "pb.Error");
  assert.equal(SoldOut.prototype.name, "SoldOut");
});
