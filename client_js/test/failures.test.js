import assert from "node:assert/strict";
import { test } from "node:test";
import { jellyFailure, unjellyFailure } from "../src/failures.js";
import {
  NoSuchMethod,
  PBError,
  Referenceable,
  RemoteError,
  setUnjellyableForClass,
} from "../src/pbweb.js";
import { pair } from "./support/peer.js";

const failure = (error) => jellyFailure(error);

test("any thrown thing becomes a failure, whatever it is", () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const things = [
    undefined,
    null,
    5,
    "text",
    Symbol("s"),
    5n,
    {},
    Object.create(null),
    [],
    () => {},
    proxy,
    Object.create(Error.prototype),
    Object.defineProperty(new Error(), "message", {
      get() {
        throw new Error("no");
      },
    }),
    Object.defineProperty(new PBError(), "parents", { value: null }),
    Object.defineProperty(new Error(), "constructor", { value: null }),
    Object.assign(new Error(), { message: { toString: null } }),
  ];
  for (const thing of things) {
    const { $, type, message, parents } = failure(thing);
    assert.deepEqual([$, typeof type, typeof message], ["failure", "string", "string"]);
    assert.ok(parents.length > 0 && parents.every((name) => typeof name === "string"));
    assert.equal(parents[0], type);
  }
});

test("types are pbType or the class's name, up to Error or pb.Error", () => {
  class Sold extends PBError {
    static pbType = "shop.Sold";
  }
  assert.deepEqual(failure(new Sold("x")).parents, ["shop.Sold", "pb.Error"]);
  assert.deepEqual(failure(new TypeError("x")).parents, ["TypeError", "Error"]);
  assert.equal(failure("thrown text").message, "thrown text");
});

test("messages are cut at 1 KiB and well-formed", () => {
  assert.equal(failure(new Error("x".repeat(5000))).message.length, 1024);
  assert.equal(failure(new Error("a\ud800b")).message, "a\ufffdb");
});

const wire = (type, more) => ({
  $: "failure",
  type,
  message: "m",
  parents: [type, "pb.Error"],
  ...more,
});

test("a type that is registered is raised as its class", () => {
  class OutOfStock extends PBError {}
  setUnjellyableForClass("shop.OutOfStock", OutOfStock);
  const error = unjellyFailure(
    wire("shop.OutOfStock", { traceback: "Traceback…" }),
    new Map([["shop.OutOfStock", OutOfStock]]),
  );
  assert.ok(error instanceof OutOfStock);
  assert.deepEqual(
    [error.type, error.message, error.traceback],
    ["shop.OutOfStock", "m", "Traceback…"],
  );
  assert.equal(error.check("shop.OutOfStock"), "shop.OutOfStock");
});

test("any other is a RemoteError, pbweb's own are themselves", () => {
  assert.ok(unjellyFailure(wire("x.Y"), new Map()) instanceof RemoteError);
  assert.ok(unjellyFailure(wire("NoSuchMethod"), new Map()) instanceof NoSuchMethod);
  assert.equal(unjellyFailure(wire("pb.Error"), new Map()).constructor, PBError);
  for (const type of ["constructor", "__proto__", "toString", "Function", "Object"]) {
    assert.ok(unjellyFailure(wire(type), new Map()) instanceof RemoteError, type);
  }
});

test("a class whose constructor fails does no harm", () => {
  class Difficult extends PBError {
    constructor() {
      super();
      throw new Error("no");
    }
  }
  const error = unjellyFailure(wire("d"), new Map([["d", Difficult]]));
  assert.ok(error instanceof RemoteError);
  assert.equal(error.type, "d");
});

test("a failure crosses, is raised as itself, and crosses again unchanged", async () => {
  class Sold extends PBError {
    static pbType = "test.Sold";
  }
  class Root extends Referenceable {
    remote_sell() {
      throw new Sold("none left");
    }
    remote_bug() {
      throw new RangeError("a bug");
    }
  }
  setUnjellyableForClass(Sold, Sold);
  const [a, b] = await pair({ names: { root: new Root() } });
  const sold = await b.root.callRemote("sell").catch((error) => error);
  assert.ok(sold instanceof Sold);
  assert.deepEqual(a.logged, []);
  const bug = await b.root.callRemote("bug").catch((error) => error);
  assert.ok(bug instanceof RemoteError);
  assert.deepEqual(
    [bug.type, bug.message, bug.parents],
    ["RangeError", "a bug", ["RangeError", "Error"]],
  );
  assert.match(a.logged[0].where, /"bug"/);
  assert.equal(a.logged.length, 1);
  assert.deepEqual(failure(bug), {
    $: "failure",
    type: "RangeError",
    message: "a bug",
    parents: ["RangeError", "Error"],
  });
});
