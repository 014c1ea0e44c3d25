// `client.mjs` in Node, said as python_client.py says it: done, and after a line: closed.

import { openSync, writeSync } from "node:fs";
import { register } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import WebSocket from "../../client_js/node_modules/ws/wrapper.mjs";
import { work } from "./client.mjs";

register("./impatient.mjs", import.meta.url);
const pbweb = await import("../../client_js/src/pbweb.js");

const text = { type: "string" };
const { values, positionals } = parseArgs({
  options: { name: text, seed: text, calls: text, history: text, "until-told": { type: "boolean" } },
  allowPositionals: true,
});
const file = openSync(values.history, "a");
const who = values.name;
const note = (ev, facts) => writeSync(file, `${JSON.stringify({ ev, who, t: Date.now() / 1000, ...facts })}\n`);
for (const name of ["uncaughtException", "unhandledRejection"]) {
  process.on(name, (error) => note("wrong", { text: `${name}: ${error?.stack ?? error}` }));
}

const lines = createInterface({ input: process.stdin });
const line = () =>
  new Promise((resolve) => {
    lines.once("line", resolve);
  });
const told = { isTrue: !values["until-told"] };
if (!told.isTrue) {
  line().then(() => {
    told.isTrue = true;
  });
}

const finish = await work(pbweb, {
  urls: positionals,
  name: who,
  seed: values.seed,
  calls: Number(values.calls),
  note,
  told,
  options: { WebSocket, log: (error, where) => note("wrong", { text: `${where}: ${error.stack}` }) },
});
console.log("done");
await line();
lines.close();
await finish();
console.log("closed");
