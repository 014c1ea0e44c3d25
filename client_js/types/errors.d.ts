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
export type Outcome = "not_executed" | "executed_answer_lost" | "unknown";
export type TypeOrName = string | Function;
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
export declare function typeName(type: TypeOrName): string;
/**
 * The names of a class and of what it extends, up to `pb.Error` or to `Error`.
 * @param {Function} type
 * @returns {string[]}
 */
export declare function typeParents(type: Function): string[];
/** An exception that is meant for the peer: it is sent, and not logged. */
export declare class PBError extends Error {
    /** The name of the class of the exception where it was raised. */
    type: string;
    /** `type`, and the names of all classes above it. */
    parents: string[];
    /** The peer's traceback; null unless its server is told to send them. @type {string | null} */
    traceback: string | null;
    /** The name of the class on the wire; where a class has none, it is its `name`. @type {string} */
    static pbType: string;
    /**
     * @param {string} [message]
     * @param {ErrorOptions} [options]
     */
    constructor(message?: string, options?: ErrorOptions);
    /** `type`, as other errors have it. @override */
    get name(): string;
    /** The text of the exception, as `failure.getErrorMessage()` in PB. */
    getErrorMessage(): string;
    /**
     * The first of `types` that this exception is an instance of, here or where it was raised.
     * @template {TypeOrName[]} T
     * @param {T} types classes, or their names on the wire
     * @returns {T[number] | null}
     */
    check<T extends TypeOrName[]>(...types: T): T[number] | null;
    /**
     * As `check`, but throws the exception itself when none of `types` fits.
     * @template {TypeOrName[]} T
     * @param {T} types
     * @returns {T[number]}
     */
    trap<T extends TypeOrName[]>(...types: T): T[number];
}
/** An exception of the peer's, of a class that is not registered here. */
export declare class RemoteError extends PBError {
    static pbType: string;
}
declare class AttributeError extends PBError {
    static pbType: string;
}
/** The object has no method of that name with the right prefix. */
export declare class NoSuchMethod extends AttributeError {
    static pbType: string;
}
/** A value that may not pass; the message says where it stands. */
export declare class InsecureJelly extends PBError {
    static pbType: string;
}
/** A reference that names nothing: released, never handed out, or its session is over. */
export declare class DeadReferenceError extends PBError {
    static pbType: string;
    /** Of a call that was not sent, since its reference was dead already. @type {Outcome | undefined} */
    outcome: Outcome | undefined;
}
/** The session ended while the call was waiting; `outcome` says what is known of it. */
export declare class PBConnectionLost extends PBError {
    static pbType: string;
    /** Whether the peer executed the call. @type {Outcome} */
    outcome: Outcome;
}
/** The call was cancelled, or did not end within its time. */
export declare class CancelledError extends PBError {
    static pbType: string;
}
/** A limit was exceeded; the message begins with the limit's name. */
export declare class LimitExceeded extends PBError {
    static pbType: string;
}
/** The credentials are not good; a peer is never told which part was wrong. */
export declare class UnauthorizedLogin extends PBError {
    static pbType: string;
}
/** One side broke the protocol; `code` is the close code of section 7. */
export declare class ProtocolError extends PBError {
    static pbType: string;
    /** The close code. */
    code: number;
}
/**
 * @param {string} text
 * @param {number} code
 */
export declare const protocolError: (text: string, code: number) => ProtocolError & {
    code: number;
};
/**
 * Throw a ProtocolError, which ends the session.
 * @param {string} text
 * @param {number} [code]
 * @returns {never}
 */
export declare function breach(text: string, code?: number): never;
/** What came from the peer, as a text may show it. @param {unknown} value */
export declare const quote: (value: unknown) => string;
/**
 * @param {Partial<import("./limits.js").Limits>} limits
 * @param {keyof import("./limits.js").Limits} name
 * @param {number} amount
 * @param {string | number} [what] what is more
 */
export declare function checkLimit(limits: Partial<import("./limits.js").Limits>, name: keyof import("./limits.js").Limits, amount: number, what?: string | number): void;
/** The one text for every reference that names nothing, so that it tells a guesser nothing. */
export declare const deadReference: () => DeadReferenceError;
/** The end of a call on a reference that was dead already. */
export declare const unsentCall: () => DeadReferenceError & {
    outcome: "not_executed";
};
/**
 * What is known of a call that the session's end cut off.
 * @param {string} text
 * @param {Outcome} outcome
 * @param {unknown} [cause]
 */
export declare const lostCall: (text: string, outcome: Outcome, cause?: unknown) => PBConnectionLost & {
    outcome: Outcome;
};
export {};
