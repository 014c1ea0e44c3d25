/**
 * When a connection that was lost is tried again (docs/protocol.md, section 6).
 *
 * @module
 */
export declare function newTries(): {
    left: () => number;
    /** Seconds until the next one. @param {import("./broker.js").Ending | null} ending of the last session */
    next(ending: import("./broker.js").Ending | null): number;
    begin(): void;
    opened(): void;
    resumed(): void;
};
