// The fixture of tests/vectors/README.md.

import {
  Copyable,
  callSignal,
  InsecureJelly,
  PBError,
  Referenceable,
  Root,
  setUnjellyableForClass,
} from "../../src/pbweb.js";

/** Its attributes are its state. */
export class Point extends Copyable {
  constructor(attributes) {
    super();
    Object.assign(this, attributes);
  }
  norm() {
    return this.x;
  }
}

/** Its state is its content, any value; it is made when that is complete. */
export class Box extends Copyable {
  constructor(content) {
    super();
    this.content = content;
  }
  toState() {
    return this.content;
  }
  static fromState(content) {
    return new Box(content);
  }
}

/** Its state is looked at when it arrives. */
export class Item extends Copyable {
  constructor(name, count = 1, tags = []) {
    super();
    Object.assign(this, { name, count, tags });
  }
  static fromState(state) {
    const { name, count = 1, tags = [], ...others } = state;
    const isText = (value) => typeof value === "string";
    if (!isText(name) || !Number.isInteger(count) || !tags.every(isText)) throw new InsecureJelly();
    if (Array.isArray(state) || Object.keys(others).length) throw new InsecureJelly();
    return new Item(name, count, tags);
  }
}

export class SoldOut extends PBError {
  toState() {
    return { item: this.item };
  }
}

export function soldOut(item) {
  return Object.assign(new SoldOut("sold out"), { item });
}

for (const type of [Point, Box, Item, SoldOut]) setUnjellyableForClass(type, type);

export class Counter extends Referenceable {
  total = 0;
  remote_increment(n = 1) {
    this.total += n;
    return this.total;
  }
  remote_value() {
    return this.total;
  }
}

export class FixtureRoot extends Root {
  same = new Counter();
  kept = null;
  remote_echo(value = null) {
    return value;
  }
  remote_add(a, b = 0) {
    return a + (typeof b === "object" ? b.b : b);
  }
  remote_getCounter() {
    return new Counter();
  }
  remote_getSame() {
    return this.same;
  }
  remote_isSame(x) {
    return x === this.same;
  }
  remote_getRoot() {
    return this;
  }
  remote_isRoot(x) {
    return x === this;
  }
  remote_fail(message) {
    throw new PBError(message);
  }
  remote_sell(item) {
    throw soldOut(item);
  }
  remote_kind(x) {
    return x.constructor.name;
  }
  remote_areSame(x, y) {
    return x === y;
  }
  remote_wait() {
    const signal = callSignal();
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  }
  remote_callBack(ref, value) {
    return ref.call("take", { args: [value], signal: callSignal() });
  }
  remote_keep(ref) {
    this.kept = ref;
  }
  remote_drop() {
    this.kept.release();
    this.kept = null;
  }
  remote_nested() {
    return { counters: [new Counter(), this.same] };
  }
}
