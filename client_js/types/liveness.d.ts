/**
 * Whether the link is alive (docs/protocol.md, section 6), also where timers hardly run.
 *
 * @module
 */
export type Liveness = ReturnType<typeof newLiveness>;
export declare const isHidden: () => boolean;
/**
 * @param {() => import("./session.js").Session} current the session that is carried
 * @param {() => number} unsent how many bytes wait to go out
 * @param {(silence: number) => void} timeOut called when nothing has come for too long
 */
export declare function newLiveness(current: () => import("./session.js").Session, unsent: () => number, timeOut: (silence: number) => void): {
    look: () => void;
    ask: (seconds: number) => void;
    stop: () => void;
    /** Something has come: a timer that this starts, and no other timer, is hardly late in a hidden tab. */
    came(): void;
};
/**
 * Call `back` whenever the page comes back, and `gone` when it goes for good.
 * @param {AbortSignal} signal
 * @param {() => void} back
 * @param {() => void} gone
 */
export declare function watchPage(signal: AbortSignal, back: () => void, gone: () => void): void;
