// Imports point one way, and the pure half has no timers, sockets or console.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** Lowest first; a module imports only what stands before it, but for types. */
const ORDER = [
  "errors",
  "parts",
  "queue",
  "api",
  "frames",
  "limits",
  "version",
  "flavors",
  "failures",
  "promises",
  "caching",
  "references",
  "methods",
  "scalars",
  "streams",
  "jelly",
  "live",
  "unjelly",
  "outgoing",
  "incoming",
  "broker",
  "session",
  "clock",
  "tries",
  "liveness",
  "shell",
  "connection",
  "client",
  "core",
  "pbweb",
];
const SHELL = ["clock", "tries", "liveness", "shell", "connection", "client", "core", "pbweb"];
const FORBIDDEN =
  /(?<![#.])\b(?:setTimeout|setInterval|setImmediate|queueMicrotask|console|WebSocket|MessagePort|performance|Date\.now|fetch|document\.|window\.|process|require\(|eval\(|innerHTML)|new Function/;

const folder = new URL("../src/", import.meta.url);
const read = (name) => readFileSync(new URL(`${name}.js`, folder), "utf8");
const code = (name) =>
  read(name)
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/^\s*\/\/.*$/gm, "");

test("every module has its place", () => {
  const names = readdirSync(folder).map((file) => file.replace(/\.js$/, ""));
  assert.deepEqual(names.sort(), [...ORDER].sort());
});

for (const [at, name] of ORDER.entries()) {
  test(`${name}.js imports only what is below it`, () => {
    for (const [, imported] of code(name).matchAll(/from "([^"]+)"/g)) {
      const place = ORDER.indexOf(imported.replace(/^\.\/|\.js$/g, ""));
      assert.ok(place >= 0 && place < at, `${name} imports ${imported}`);
    }
  });
  test(`${name}.js keeps within its half`, () => {
    const found = FORBIDDEN.exec(code(name));
    if (!SHELL.includes(name)) assert.equal(found?.[0], undefined);
    assert.doesNotMatch(code(name), /\beval\(|new Function|innerHTML/);
  });
}
