// The fixture of tests/vectors/README.md.

import {
  Cacheable,
  Copyable,
  callSignal,
  InsecureJelly,
  PBError,
  Referenceable,
  RemoteCache,
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
    const { name, count = 1, tags = [], ...others } = Object(state);
    const isText = (value) => typeof value === "string";
    const isWhole = (value) => typeof value === "bigint" || Number.isInteger(value);
    const isRight = isText(name) && isWhole(count) && Array.isArray(tags);
    if (!isRight || !tags.every(isText)) throw new InsecureJelly();
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

/** Its state is its ducks, and itself if it has an island. */
export class Pond extends Cacheable {
  observers = new Set();
  stopped = 0;
  constructor(ducks = [], island = false) {
    super();
    this.ducks = ducks;
    this.island = island;
  }
  getStateToCacheAndObserveFor(_perspective, observer) {
    this.observers.add(observer);
    const state = { ducks: [...this.ducks] };
    return this.island ? { ...state, island: this } : state;
  }
  stoppedObserving(_perspective, observer) {
    this.observers.delete(observer);
    this.stopped++;
  }
}

export class PondCopy extends RemoteCache {
  observe_add(duck) {
    return this.ducks.push(duck);
  }
  observe_fail(message) {
    throw new PBError(message);
  }
}
setUnjellyableForClass(Pond, PondCopy);

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
  pond = new Pond(["a"]);
  kept = null;
  ends = 0;
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
  async *remote_count(to) {
    try {
      for (let number = 0; number < to; number++) yield number;
    } finally {
      this.ends++;
    }
  }
  async *remote_countAndFail(to) {
    yield* this.remote_count(to);
    throw new PBError("no more");
  }
  remote_ended() {
    return this.ends;
  }
  async remote_sum(stream) {
    let sum = 0;
    for await (const item of stream) sum += item;
    return sum;
  }
  async remote_first(stream) {
    for await (const item of stream) return item;
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
  remote_getPond() {
    return this.pond;
  }
  remote_getPonds(number) {
    return Array.from({ length: number }, () => new Pond());
  }
  remote_getHalf() {
    return [this.pond, new (class Half {})()];
  }
  remote_isPond(x) {
    return x === this.pond;
  }
  remote_addDuck(duck) {
    for (const observer of this.pond.observers) observer.callRemoteOnly("add", duck);
    return this.pond.ducks.push(duck);
  }
  remote_askObserver(duck) {
    const [observer] = this.pond.observers;
    return observer.callRemote("add", duck);
  }
  remote_stopped() {
    return this.pond.stopped;
  }
  remote_ducks(copy) {
    return copy.ducks;
  }
}
