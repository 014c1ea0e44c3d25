// Calls both ways over a proxy that cuts, in Node; each line that it prints is JSON.
import WebSocket from "../../client_js/node_modules/ws/wrapper.mjs";
import { connect, Referenceable } from "../../client_js/src/pbweb.js";

const [url, total] = [process.argv[2], Number(process.argv[3])];
const random = Math.random;
// Try again soon: the waits of a real client are not what is looked at.
Math.random = () => random() / 50;

class Them extends Referenceable {
  told = [];
  remote_told(number) {
    this.told.push(number);
    return number;
  }
}

const events = [];
const them = new Them();
const connection = await connect(url, { WebSocket });
for (const name of ["interrupted", "resumed", "ended"]) {
  connection.addEventListener(name, () => events.push(name));
}
const root = await connection.getRootObject();
await root.callRemote("echo", 1);
await root.callRemote("begin");
const calls = [];
for (let number = 0; number < total; number++) {
  const kind = Math.floor(random() * 4);
  const call = [
    () => root.callRemote("note", number, "é".repeat(random() * 100)).then(([n]) => n),
    () => root.callRemote("slowly", number),
    () => root.callRemote("ask", number, them),
    () => root.callRemote("make", number).callRemote("number"),
  ][kind];
  calls.push(call());
  if (number % 10 === 9) await calls.at(-1);
}
const answers = await Promise.all(calls);
const report = {
  right: answers.every((answer, number) => answer === number),
  twice: them.told.length - new Set(them.told).size,
  interrupted: events.filter((name) => name === "interrupted").length,
  resumed: events.filter((name) => name === "resumed").length,
};
await root.callRemote("finish");
await connection.close();
console.log(JSON.stringify({ ...report, ended: events.at(-1) }));
