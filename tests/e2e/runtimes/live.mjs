// Live objects of a Python server, and their copies here: after each answer they are the same.
import assert from "node:assert/strict";
import { connect } from "../../../client_js/src/pbweb.js";

const { WebSocket } = globalThis;
const connection = await connect(process.argv[2], { WebSocket });
const root = await connection.getRootObject();
let updates = 0;
for (let seed = 1; seed <= 60; seed++) {
  const board = await root.callRemote("begin", seed);
  board.subscribe((changes) => {
    updates += changes.length;
  });
  for (let round = 0; round < 12; round++) {
    await root.callRemote("change", 1 + (round % 5));
    const difference = await root.callRemote("isSame", board.snapshot());
    assert.deepEqual(difference, [], `seed ${seed}, round ${round}`);
  }
  board.release();
}
await connection.close();
assert.ok(updates > 1000, `${updates}`);

/** A page that reads nothing for a while. */
class Slow extends WebSocket {
  static last;
  #held = [];
  #take = () => {};
  isPaused = false;
  constructor(...address) {
    super(...address);
    Slow.last = this;
  }
  set onmessage(take) {
    this.#take = take;
    super.onmessage = (event) => (this.isPaused ? this.#held.push(event) : take(event));
  }
  resume() {
    this.isPaused = false;
    for (const event of this.#held.splice(0)) this.#take(event);
  }
}

const slow = await connect(process.argv[2], { WebSocket: Slow });
const fast = await connect(process.argv[2], { WebSocket });
const [ours, theirs] = await Promise.all(
  [slow, fast].map(async (one) => (await one.getRootObject()).callRemote("getShared")),
);
const heard = { ours: [], theirs: [] };
ours.subscribe((changes) => heard.ours.push(...changes));
theirs.subscribe((changes) => heard.theirs.push(...changes));
Slow.last.isPaused = true;
const size = 20000;
await (await fast.getRootObject()).callRemote("flood", 200, size);
assert.equal(theirs.title, "199".padEnd(size));
assert.deepEqual(heard.ours, []);
Slow.last.resume();
await new Promise((resolve) => {
  const stop = ours.subscribe(() => ours.title === theirs.title && resolve(stop()));
});
// What the window takes was on its way, and then came the latest state.
assert.ok(heard.ours.length < 60, `${heard.ours.length}`);
assert.deepEqual(ours.snapshot(), theirs.snapshot());
await slow.close();
await fast.close();
console.log("the same");
