/**
 * First in, first out, at the same cost however long it is.
 *
 * @module
 */
/** @template T */
export declare class Queue<T> {
    #private;
    get length(): number;
    /** @param {T} item */
    push(item: T): void;
    /** @returns {T | undefined} */
    peek(): T | undefined;
    /** @returns {T | undefined} */
    shift(): T | undefined;
}
