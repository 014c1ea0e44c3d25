/**
 * The exceptions of pbweb. What a peer raised arrives as one of them, too (failures.js).
 *
 *     Error
 *     └── PBError                 an error that was meant to be sent ("pb.Error" on the wire)
 *         ├── RemoteError         a peer's exception whose class is not registered here
 *         ├── NoSuchMethod        the object has no remote method of that name
 *         ├── InsecureJelly       a value that may not pass
 *         ├── DeadReferenceError  a reference that names nothing, or whose session is over
 *         ├── PBConnectionLost    the session ended while the call was waiting
 *         ├── CancelledError      cancelled, or over its deadline
 *         ├── LimitExceeded       a limit of limits.js; the message begins with its name
 *         ├── UnauthorizedLogin   the credentials are not good
 *         └── ProtocolError       one side broke the protocol
 *
 * @module
 */

/**
 * @typedef {"not_executed" | "executed_answer_lost" | "unknown"} Outcome what is known of a lost
 *   call (docs/protocol.md, section 6)
 */

/** @typedef {string | Function} TypeOrName a class, or its name on the wire */

/**
 * The name of an exception class on the wire: its static `pbType`, else its `name`.
 * @param {TypeOrName} type
 * @returns {string}
 */
export function typeName(type) {
  if (typeof type === "string") return type;
  return Object.hasOwn(type, "pbType") ? String(/** @type {any} */ (type).pbType) : type.name;
}

/**
 * The names of a class and of what it extends, up to `pb.Error` or to `Error`.
 * @param {Function} type
 * @returns {string[]}
 */
export function typeParents(type) {
  const names = [];
  for (let up = type; up?.prototype; up = Object.getPrototypeOf(up)) {
    names.push(typeName(up));
    if (up === PBError) break;
  }
  return names;
}

/** An exception that is meant for the peer: it is sent, and not logged. */
export class PBError extends Error {
  /** The name of the class on the wire; where a class has none, it is its `name`. @type {string} */
  static pbType = "pb.Error";

  /**
   * @param {string} [message]
   * @param {ErrorOptions} [options]
   */
  constructor(message, options) {
    super(message, options);
    /** The name of the class of the exception where it was raised. */
    this.type = typeName(new.target);
    /** `type`, and the names of all classes above it. */
    this.parents = typeParents(new.target);
    /** The peer's traceback; null unless its server is told to send them. @type {string | null} */
    this.traceback = null;
  }

  /** `type`, as other errors have it. @override */
  get name() {
    return this.type ?? typeName(this.constructor);
  }

  /** The text of the exception, as `failure.getErrorMessage()` in PB. */
  getErrorMessage() {
    return this.message;
  }

  /**
   * The first of `types` that this exception is an instance of, here or where it was raised.
   * @template {TypeOrName[]} T
   * @param {T} types classes, or their names on the wire
   * @returns {T[number] | null}
   */
  check(...types) {
    return types.find((type) => this.parents.includes(typeName(type))) ?? null;
  }

  /**
   * As `check`, but throws the exception itself when none of `types` fits.
   * @template {TypeOrName[]} T
   * @param {T} types
   * @returns {T[number]}
   */
  trap(...types) {
    const found = this.check(...types);
    if (!found) throw this;
    return found;
  }
}

/** An exception of the peer's, of a class that is not registered here. */
export class RemoteError extends PBError {
  static pbType = "pb.RemoteError";
}

class AttributeError extends PBError {
  static pbType = "AttributeError";
}

/** The object has no method of that name with the right prefix. */
export class NoSuchMethod extends AttributeError {
  static pbType = "NoSuchMethod";
}

/** A value that may not pass; the message says where it stands. */
export class InsecureJelly extends PBError {
  static pbType = "InsecureJelly";
}

/** A reference that names nothing: released, never handed out, or its session is over. */
export class DeadReferenceError extends PBError {
  static pbType = "DeadReferenceError";
  /** Of a call that was not sent, since its reference was dead already. @type {Outcome | undefined} */
  outcome = undefined;
}

/** The session ended while the call was waiting; `outcome` says what is known of it. */
export class PBConnectionLost extends PBError {
  static pbType = "PBConnectionLost";
  /** Whether the peer executed the call. @type {Outcome} */
  outcome = "unknown";
}

/** The call was cancelled, or did not end within its time. */
export class CancelledError extends PBError {
  static pbType = "CancelledError";
}

/** A limit was exceeded; the message begins with the limit's name. */
export class LimitExceeded extends PBError {
  static pbType = "LimitExceeded";
}

/** The credentials are not good; a peer is never told which part was wrong. */
export class UnauthorizedLogin extends PBError {
  static pbType = "UnauthorizedLogin";
}

/** One side broke the protocol; `code` is the close code of section 7. */
export class ProtocolError extends PBError {
  static pbType = "ProtocolError";
  /** The close code. */
  code = 4400;
}

/**
 * @param {string} text
 * @param {number} code
 */
export const protocolError = (text, code) => Object.assign(new ProtocolError(text), { code });

/**
 * Throw a ProtocolError, which ends the session.
 * @param {string} text
 * @param {number} [code]
 * @returns {never}
 */
export function breach(text, code = 4400) {
  throw protocolError(text, code);
}

/** What came from the peer, as a text may show it. @param {unknown} value */
export const quote = (value) => JSON.stringify(value).slice(0, 64);

/**
 * @param {Partial<import("./limits.js").Limits>} limits
 * @param {keyof import("./limits.js").Limits} name
 * @param {number} amount
 * @param {string | number} [what] what is more
 */
export function checkLimit(limits, name, amount, what = amount) {
  const most = /** @type {number} */ (limits[name]);
  if (amount > most) throw new LimitExceeded(`${name}: ${what} is more than ${most}.`);
}

/** The one text for every reference that names nothing, so that it tells a guesser nothing. */
export const deadReference = () =>
  new DeadReferenceError("The reference names nothing: released, unknown, or its session is over.");

/** The end of a call on a reference that was dead already. */
export const unsentCall = () =>
  Object.assign(deadReference(), { outcome: /** @type {const} */ ("not_executed") });

/**
 * What is known of a call that the session's end cut off.
 * @param {string} text
 * @param {Outcome} outcome
 * @param {unknown} [cause]
 */
export const lostCall = (text, outcome, cause) =>
  Object.assign(new PBConnectionLost(text, { cause }), { outcome });
