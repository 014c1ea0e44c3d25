// The fixture of tests/vectors/README.md.

import { callSignal, PBError, Referenceable, Root } from "../../src/pbweb.js";

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
