/**
 * The calls that the peer makes: accepted, started in order, cancelled, answered
 * (docs/protocol.md, section 1).
 *
 * @module
 */
export type Broker = import("./broker.js").Broker;
export type Frame = import("./frames.js").Frame;
export type Message = import("./frames.js").Message;
export type PeerCall = {
    broker: Broker;
    id: number;
    frame: Frame;
    /**
     * none when no value can be tagged
     */
    unjellier: import("./unjelly.js").Unjellier | undefined;
    started?: boolean;
    pending: boolean;
    /**
     * whether it has its outcome, which may wait for room
     */
    settled?: boolean;
    rejected?: boolean;
    /**
     * the result, or the error
     */
    outcome?: unknown;
    /**
     * an object
     */
    target?: unknown;
    /**
     * the call whose answer the target is, in place of that
     */
    source?: PeerCall;
    /**
     * calls that wait for the answer
     */
    waiters: PeerCall[];
    /**
     * how many answers it waits for
     */
    waits: number;
    /**
     * about how many characters its answer has, while that waits
     */
    weight: number;
    controller?: AbortController;
    /**
     * when it is cancelled, in seconds of the clock
     */
    deadline?: number;
    stopTimer?: () => void;
};
/** @typedef {import("./broker.js").Broker} Broker */
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Message} Message */
/**
 * A call of the peer's; it is kept until its answer is acknowledged, as long as it can be named.
 * @typedef {object} PeerCall
 * @property {Broker} broker
 * @property {number} id
 * @property {Frame} frame
 * @property {import("./unjelly.js").Unjellier | undefined} unjellier none when no value can be tagged
 * @property {boolean} [started]
 * @property {boolean} pending
 * @property {boolean} [settled] whether it has its outcome, which may wait for room
 * @property {boolean} [rejected]
 * @property {unknown} [outcome] the result, or the error
 * @property {unknown} [target] an object
 * @property {PeerCall} [source] the call whose answer the target is, in place of that
 * @property {PeerCall[]} waiters calls that wait for the answer
 * @property {number} waits how many answers it waits for
 * @property {number} weight about how many characters its answer has, while that waits
 * @property {AbortController} [controller]
 * @property {number} [deadline] when it is cancelled, in seconds of the clock
 * @property {() => void} [stopTimer]
 */
/**
 * @param {Broker} broker
 * @param {Frame} frame
 * @param {Message} message that it came in
 */
export declare function accept(broker: Broker, frame: Frame, { tagged, deep, attachments }: Message): void;
/**
 * The caller no longer wants an answer.
 * @param {Broker} broker
 * @param {Frame} frame
 */
export declare function cancelled(broker: Broker, [, id]: Frame): void;
/**
 * The session is over: what runs is cancelled, and what it gives is dropped.
 * @param {Broker} broker
 */
export declare function endPeerCalls({ running, answers }: Broker): void;
