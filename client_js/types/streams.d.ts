/**
 * Async iterators across the wire (docs/protocol.md, section 5): the side that makes the items, and
 * the side that reads them. What is asked for ahead bounds how far the producer is.
 *
 * @module
 */
import { Referenceable } from "./flavors.js";
export type Broker = import("./broker.js").Broker;
/** What the peer calls of a stream. */
export declare class Producer extends Referenceable {
    next: (n: number) => Promise<unknown>;
    stop: () => Promise<void>;
    /**
     * @param {(n: number) => Promise<unknown>} next
     * @param {() => Promise<void>} stop
     */
    constructor(next: (n: number) => Promise<unknown>, stop: () => Promise<void>);
    /** Allow `n` items more. @param {number} n */
    remote_next(n: number): Promise<unknown>;
    /** Want no more. */
    remote_stop(): Promise<void>;
}
/**
 * Draws items from `value`, as far as the peer allows it.
 * @param {Broker} broker
 * @param {any} value
 * @param {(item: unknown) => number} sizeOf how many bytes an item takes; 0 if it goes alone
 */
export declare function newProducer({ hooks, peer }: Broker, value: any, sizeOf: (item: unknown) => number): Producer;
/**
 * A stream of the peer's: an async iterator, which is read once, as by `for await`. Items are asked
 * for ahead, at most 64 of them. What the producer throws is thrown behind the items that came before
 * it. Leaving the loop stops the producer and waits until its `finally` has run; so does `return()`.
 *
 * @template [T=any]
 * @implements {AsyncIterableIterator<T>}
 */
export declare class RemoteStream<T = any> implements AsyncIterableIterator<T> {
    #private;
    /** The stream itself, once. @returns {this} */
    [Symbol.asyncIterator](): this;
    /** The next item. @returns {Promise<IteratorResult<T, any>>} */
    next(): Promise<IteratorResult<T, any>>;
    /**
     * Want no more. Done again, it is harmless.
     * @param {any} [value]
     * @returns {Promise<IteratorResult<T, any>>}
     */
    return(value?: any): Promise<IteratorResult<T, any>>;
    /** The items as a ReadableStream, which can be piped. @returns {ReadableStream<T>} */
    readable(): ReadableStream<T>;
}
