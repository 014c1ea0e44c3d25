import assert from "node:assert/strict";
import { test } from "node:test";
import { findMethod } from "../src/methods.js";
import { NoSuchMethod, Referenceable } from "../src/pbweb.js";

let touched = 0;
class Base extends Referenceable {
  remote_base() {}
  remote_hidden() {}
}
class Child extends Base {
  remote_own = () => {};
  remote_child() {}
  plain() {}
  get remote_getter() {
    touched++;
    return () => {};
  }
  static remote_static() {}
}
Child.prototype.remote_hidden = 5;
Child.prototype.remote_data = "text";

test("methods of the class and of those above it are found", () => {
  assert.equal(findMethod(new Child(), "child"), Child.prototype.remote_child);
  assert.equal(findMethod(new Child(), "base"), Base.prototype.remote_base);
});

for (const name of [
  "own",
  "getter",
  "static",
  "data",
  "hidden",
  "plain",
  "remote_child",
  "constructor",
  "toString",
  "__proto__",
  "__defineGetter__",
  "",
  "a.b",
  "a b",
  "a\0",
  "ｃhild",
  "x".repeat(65),
]) {
  test(`${JSON.stringify(name)} is no method`, () => {
    const object = new Child();
    Object.defineProperty(object, "remote_instance", { get: () => touched++ });
    assert.throws(() => findMethod(object, name), NoSuchMethod);
    assert.throws(() => findMethod(object, "instance"), NoSuchMethod);
    assert.equal(touched, 0);
  });
}

test("nothing of Referenceable, Object or of a prototype that was tampered with is a method", () => {
  Object.prototype.remote_evil = () => {};
  Referenceable.prototype.remote_evil = () => {};
  try {
    assert.throws(() => findMethod(new Child(), "evil"), NoSuchMethod);
    assert.throws(() => findMethod({ remote_evil() {} }, "evil"), /data/);
  } finally {
    delete Object.prototype.remote_evil;
    delete Referenceable.prototype.remote_evil;
  }
});

test("a function has the one method call", () => {
  const add = (a, b) => a + b;
  assert.equal(findMethod(add, "call"), add);
  for (const name of ["apply", "bind", "name", "remote_call", "constructor"]) {
    assert.throws(() => findMethod(add, name), /only method is "call"/);
  }
});
