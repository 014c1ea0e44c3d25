// The frames and values of tests/vectors, for what makes others from them.

import { readFileSync } from "node:fs";

const read = (name) =>
  JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), "utf8"));

const isFrame = (value) => Array.isArray(value) && typeof value[0] === "string";

/** Texts of whole messages, of which many are none. */
export const messages = read("frames")
  .map(({ message }) => message)
  .filter(Boolean);

/** Frames that a peer sends. */
export const frames = [...read("scenarios"), ...read("resume")]
  .flatMap(({ steps }) => steps)
  .flatMap(({ receive }) => receive ?? [])
  .filter(isFrame);

/** Values, good and bad. */
export const values = [...read("values"), ...read("rejected_values")].flatMap(({ wire }) => {
  try {
    return [JSON.parse(wire)];
  } catch {
    return [];
  }
});

/** States of live objects, and updates of them. */
export const live = read("live").map(({ state, ops }) => ({ state, ops }));
