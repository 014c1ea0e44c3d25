// Calls servers that keep no rules, in Node: of each a line of JSON says how the call ended, and the
// last one what it did to the process.
import WebSocket from "../../client_js/node_modules/ws/wrapper.mjs";
import { connect, PBError, Referenceable } from "../../client_js/src/pbweb.js";

const [url, total] = [process.argv[2], Number(process.argv[3])];
const unhandled = [];
process.on("unhandledRejection", (error) => unhandled.push(String(error)));
process.on("uncaughtException", (error) => unhandled.push(String(error)));
console.error = () => {}; // what the client logs goes to the page's console

class Them extends Referenceable {
  remote_told(value) {
    return value;
  }
}

const prototypes = [Object, Array, Function, String, Number, Promise, Map, Set, Error, Them];
const properties = () =>
  JSON.stringify(prototypes.map(({ prototype }) => Reflect.ownKeys(prototype).map(String)));
const before = properties();

for (let number = 0; number < total; number++) {
  let settled = 0;
  let outcome;
  const connection = await connect(`${url}/${number}`, { WebSocket }).catch((error) => error);
  if (connection instanceof Error) {
    outcome = [connection.constructor.name, connection.outcome];
  } else {
    const root = await connection.getRootObject();
    const call = root.callRemote("hello", new Them());
    call.then(
      () => settled++,
      () => settled++,
    );
    outcome = await call.then(
      (value) => ["answer", String(value)],
      (error) => [error.constructor.name, error.outcome, error instanceof PBError],
    );
    await connection.close();
    await new Promise((resolve) => setTimeout(resolve));
  }
  console.log(JSON.stringify({ number, outcome, settled }));
}
await new Promise((resolve) => setImmediate(resolve));
console.log(JSON.stringify({ unhandled, same: properties() === before }));
