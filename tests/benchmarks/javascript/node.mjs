// Prints, as JSON, what both clients spend on a call in Node: `node node.mjs [ROUNDS] [CALLS]`.
// The clock is the CPU time of the process, user and system.
import * as pbweb from "../../../client_js/src/pbweb.js";
import * as capnweb from "../peers/node_modules/capnweb/dist/index.js";
import { measure } from "./calls.js";

const [rounds = 9, calls = 12800] = process.argv.slice(2).map(Number);

function clock() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

const results = await measure({ libraries: { pbweb, capnweb }, clock, rounds, calls });
console.log(JSON.stringify({ platform: `Node ${process.version}`, unit: "µs CPU", results }));
