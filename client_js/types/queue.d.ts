/**
 * What waits until it may go on, in the order in which it came.
 *
 * @module
 */
/** @template T */
export declare class Line<T> {
    #private;
    run: (step: T) => void;
    mayGo: (step: T) => boolean;
    /**
     * @param {(step: T) => void} run what may put more steps behind the others
     * @param {(step: T) => boolean} [mayGo]
     */
    constructor(run: (step: T) => void, mayGo?: (step: T) => boolean);
    get length(): number;
    /** @param {T} step */
    push(step: T): void;
    /** Run the steps that may go; a loop and no recursion, at the same cost however long it is. */
    move(): void;
}
