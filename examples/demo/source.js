/**
 * The examples' own files, in colour, and which line of them a call runs.
 *
 * @module
 */

import { flash, get, make } from "./dom.js";
import { languages, tokenize } from "./vendor/prism.js";

/** Where the part of a page begins that is the same in every example. */
const COMMON = "// The frame around the steps";

/** @typedef {import("./vendor/prism.js").Token} Token */

/**
 * Fetch the files of an example and show them.
 * @param {string} name of the example
 * @param {AbortSignal} signal
 */
export async function showSources(name, signal) {
  await Promise.all(
    ["app.py", "index.html", "client.py"].map(async (file) => {
      const answer = await fetch(`./${name}/${file}`, { signal });
      if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
      const text = await answer.text();
      const code = file.endsWith(".html") ? ownScript(text) : text;
      const pane = get(`source-${file}`);
      pane.replaceChildren(...linesOf(code.trimEnd(), grammarOf(file)));
      pane.scrollTop = 0;
    }),
  );
}

/** @param {string} file */
const grammarOf = (file) => languages[file.endsWith(".py") ? "python" : "javascript"] ?? {};

/** The page's script without what all pages have in common. @param {string} html */
function ownScript(html) {
  const script = html.match(/<script type="module">\n([\s\S]*?)<\/script>/)?.[1] ?? html;
  const own = script.split(COMMON)[0] ?? script;
  const indent = own.search(/\S/);
  return own.replaceAll(new RegExp(`^ {${indent}}`, "gm"), "");
}

/**
 * @param {string} code
 * @param {object} grammar
 */
function linesOf(code, grammar) {
  const lines = [make("code.line")];
  for (const [text, type] of leaves(tokenize(code, grammar), "")) {
    text.split("\n").forEach((part, at) => {
      if (at) lines.push(make("code.line"));
      lines.at(-1).append(type ? make("span", { class: `token ${type}` }, part) : part);
    });
  }
  for (const line of lines) line.append("\n");
  return lines;
}

/**
 * @param {string | Token | (string | Token)[]} token
 * @param {string} type
 * @returns {Generator<[string, string]>}
 */
function* leaves(token, type) {
  if (typeof token === "string") yield [token, type];
  else if (Array.isArray(token)) for (const part of token) yield* leaves(part, type);
  else yield* leaves(token.content, token.type);
}

/**
 * Let the method light up that a call runs: the server's in app.py, the page's in its script.
 * @param {import("./ledger.js").Call} call
 */
export function showRunning({ caller, name, on }) {
  const pane = get(caller === "page" ? "source-app.py" : "source-index.html");
  const method = new RegExp(`\\b(?:remote|perspective|view|observe)_${name}\\(`);
  const runs = on?.live ? /\.subscribe\(/ : method; // a live copy tells those who subscribed
  const line = [...pane.children].find(({ textContent }) => runs.test(textContent));
  if (!line) return;
  flash(line);
  const { top, bottom } = pane.getBoundingClientRect();
  const place = line.getBoundingClientRect();
  if (place.top < top) pane.scrollTop -= top - place.top + 20;
  if (place.bottom > bottom) pane.scrollTop += place.bottom - bottom + 20;
}
