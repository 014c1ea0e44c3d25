/**
 * What nobody is shown, not even whose own it is: somebody may look over their shoulder.
 *
 * @module
 */

/** Keys whose text nobody is shown. */
const SECRET = /^(pass(word|phrase)|token|secret|jwt)$/i;
/** A signed token, wherever it stands. */
const TOKEN = /^ey[\w-]+\.[\w-]+\.[\w-]*$/;
/** What stands in the place of what is not shown. */
export const MASK = "••••••";

/** Where the fields stand in the arguments of a login, and what of them may be read. */
const FIELDS = { login: 1, renew: 2 };
const READABLE = "username";

/**
 * A frame without passwords and tokens: whatever stands under such a key, and all that a login
 * proves itself with.
 * @param {any[]} items of a frame
 */
export function masked(items) {
  const [name, , target, method, args, ...rest] = items;
  const at = name === "message" && target === "root" && Object.hasOwn(FIELDS, method);
  if (!at || !Array.isArray(args)) return withoutSecrets(items);
  const fields = /** @type {Record<string, number>} */ (FIELDS)[method];
  const shown = args.map((arg, place) => (place === fields ? hidden(arg) : withoutSecrets(arg)));
  return [...items.slice(0, 4), shown, ...withoutSecrets(rest)];
}

/** @param {any} value @param {string} [key] that it stands under @returns {any} */
function withoutSecrets(value, key = "") {
  if (typeof value === "string") return SECRET.test(key) || TOKEN.test(value) ? MASK : value;
  if (typeof value !== "object" || value === null) return value;
  if (!Array.isArray(value)) return mapped(value, withoutSecrets);
  const isPair = value.length === 2 && typeof value[0] === "string";
  return value.map((item, at) => withoutSecrets(item, isPair && at ? value[0] : ""));
}

/** What a login proves itself with. @param {any} value @param {string} [key] @returns {any} */
function hidden(value, key = "") {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return mapped(value, hidden);
  }
  return key === READABLE ? value : MASK;
}

/**
 * @param {Record<string, any>} object
 * @param {(value: any, key: string) => any} change
 */
const mapped = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]));
