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
console.log("the same");
