/**
 * When a connection that was lost is tried again (docs/protocol.md, section 6).
 *
 * @module
 */
export declare function newTries(): {
    left: () => number;
    /**
     * Seconds until the next one.
     *
     * A link that is there again before the session is over is to be found before; and when it is
     * over, the application waits for a new one, so the tries begin anew.
     * @param {import("./broker.js").Ending | null} ending of the last session
     * @param {number} rest of the window of one that has not ended
     */
    next(ending: import("./broker.js").Ending | null, rest: number): number;
    begin(): void;
    opened(): void;
    resumed(): void;
};
