// A loader that lets the client try to connect as often as it likes: the bound of tries a minute is
// for servers that are down, and would be what a run of an hour's faults in a minute waits for.

export const ANYTHING = ["MOST_TRIES = 10", "MOST_TRIES = 1e9"];

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (!url.endsWith("/client_js/src/limits.js")) return loaded;
  const source = String(loaded.source);
  if (!source.includes(ANYTHING[0])) throw new Error("limits.js has no MOST_TRIES any more");
  return { ...loaded, source: source.replace(...ANYTHING) };
}
