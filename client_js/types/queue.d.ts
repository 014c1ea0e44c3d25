/**
 * What waits until it may go on, in the order in which it came.
 *
 * @module
 */
export type Line = ReturnType<typeof newLine>;
/** @typedef {ReturnType<typeof newLine>} Line */
export declare function newLine(): {
    move: () => void;
    /**
     * @template T
     * @param {(item: T) => unknown} run gives `false` when the item may not go yet
     * @param {T} item
     */
    push<T>(run: (item: T) => unknown, item: T): undefined;
    readonly length: number;
};
