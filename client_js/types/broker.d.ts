/**
 * The machine: one per session, without I/O. Frames come in with `handle`, and go out through the
 * link, which is the session (docs/protocol.md, sections 1 to 4). What it does with calls and
 * values is in the modules below; this is the state that they share.
 *
 * @module
 */
import { start } from "./outgoing.js";
export type Frame = import("./frames.js").Frame;
export type Message = import("./frames.js").Message;
export type Hooks = {
    /**
     * seconds of a clock that never goes back
     */
    now: () => number;
    /**
     * gives what stops it
     */
    timer: (seconds: number, run: () => void) => () => void;
    log: (error: unknown, where: string) => void;
    /**
     * there is something to send
     */
    wake: () => void;
    /**
     * send what there is, then close
     */
    close: (code: number, reason: string) => void;
    /**
     * the session goes on on a new connection
     */
    resumed: () => void;
    /**
     * it cannot; another takes the message that said so
     */
    refused: (data: unknown) => void;
};
export type Link = {
    /**
     * whether a frame that can wait may go out
     */
    hasRoom: () => boolean;
    /**
     *   gives the frame's number; `answered` is the peer's call that it answers
     */
    post: (text: string, attachments?: Uint8Array[], answered?: number) => number;
    /**
     * what is
     * known of a lost frame, which may name an answer that is open
     */
    outcomeOf: (number: number, isOpen: boolean) => import("./errors.js").Outcome;
    fail: (code: number, reason: string) => void;
};
export type Ending = {
    code: number;
    reason: string;
    /**
     * whether to connect again, or after how many seconds
     */
    reconnect: boolean | number[];
};
export declare class Broker {
    #private;
    link: Link;
    hooks: Hooks;
    limits: import("./limits.js").Limits;
    types: import("./failures.js").Registry;
    /** What the peer has said of itself. */
    peer: {
        limits: import("./limits.js").Limits;
        message: number;
        calls: number;
        binary: boolean;
        heartbeat: number;
    };
    /** @type {Ending | null} */
    ending: Ending | null;
    exports: {
        decref: (id: number, count: number, isCache?: boolean) => boolean;
        readonly size: number;
        publish(name: string, object: object): void;
        introduce(object: object, produce?: () => import("./streams.js").Producer): import("./references.js").Export;
        takeBack(ids: number[]): void;
        find(id: import("./references.js").Id, isCache?: boolean): object;
        clear(): void;
    };
    imports: {
        leave: (held: import("./references.js").Held) => void;
        has: (id: import("./references.js").Id) => boolean;
        readonly size: number;
        receive(id: import("./references.js").Id, limits?: {
            references?: number;
        }): import("./references.js").RemoteReference<any>;
        receiveStream(id: number, Kind: new (broker: import("./references.js").Broker, held: import("./references.js").Held) => object): any;
        receiveCache(id: number): any;
        addCache(id: number, cache: import("./caching.js").RemoteCache, newCopy?: () => object): () => any;
        find(id: number): import("./caching.js").RemoteCache;
        uncache(id: number): void;
        takeBack(ids: number[]): void;
        idOf(held: import("./references.js").Held): import("./references.js").Id;
        clear(): void;
    };
    /** This side's calls that were sent and are not answered. @type {Map<number, import("./outgoing.js").Call>} */
    waiting: Map<number, import("./outgoing.js").Call>;
    /** Those that wait for the end of others, and releases that must not overtake them. */
    calls: {
        move: () => void;
        push<T>(run: (item: T) => unknown, item: T): undefined;
        readonly length: number;
    };
    /** How many of those that want an answer wait for room. */
    admitted: number;
    /** The highest id used. */
    lastRequest: number;
    /** The peer's calls whose answers can be named. @type {Map<number, import("./incoming.js").PeerCall>} */
    answers: Map<number, import("./incoming.js").PeerCall>;
    /** Those in progress. @type {Set<import("./incoming.js").PeerCall>} */
    running: Set<import("./incoming.js").PeerCall>;
    /** About how many characters those have whose answers wait for room. */
    backlog: number;
    /** What waits for room in the window, of calls, answers and updates. */
    line: {
        move: () => void;
        push<T>(run: (item: T) => unknown, item: T): undefined;
        readonly length: number;
    };
    /** Whether a frame is being encoded that may hand out a cache: nothing that waits overtakes it. */
    encoding: boolean;
    /** Those that waited for answers, which are there now. */
    ready: {
        move: () => void;
        push<T>(run: (item: T) => unknown, item: T): undefined;
        readonly length: number;
    };
    /** The highest id accepted. */
    lastAccepted: number;
    /**
     * @param {Link} link
     * @param {Hooks} hooks
     * @param {import("./limits.js").Limits} limits of this side
     * @param {import("./failures.js").Registry} [types]
     */
    constructor(link: Link, hooks: Hooks, limits: import("./limits.js").Limits, types?: import("./failures.js").Registry);
    start: typeof start;
    /** Give a reference or a cache back, behind the calls that name it. @param {import("./references.js").Held} held */
    release(held: import("./references.js").Held): void;
    /**
     * @param {Function} callback
     * @param {unknown} [reference] what it is called with
     */
    notifyOnDisconnect(callback: Function, reference?: unknown): void;
    /**
     * @param {Function} callback
     * @param {unknown} [reference]
     */
    dontNotifyOnDisconnect(callback: Function, reference?: unknown): void;
    /** How much there is in each table; all 0 at rest. */
    statistics(): {
        exported: number;
        imported: number;
        waiting: number;
        held: number;
        running: number;
        nameable: number;
    };
    /**
     * Handle a frame whose envelope has been checked; false when its name is not known.
     * @param {Frame} frame
     * @param {Message} message that it came in
     */
    handle(frame: Frame, message: Message): boolean;
    /** Whether something that can wait may go out. */
    hasRoom(): boolean;
    /** There is more room in the window. */
    pump(): void;
    /** The session is over: everything ends, once. */
    end(): void;
    /**
     * What a call ends with that the session's end cuts off.
     * @param {import("./errors.js").Outcome} outcome
     */
    lost(outcome: import("./errors.js").Outcome): import("./errors.js").PBConnectionLost & {
        outcome: import("./errors.js").Outcome;
    };
    /**
     * A frame of plain data that does not wait for room. A peer that takes none so small is none.
     * @param {any[]} frame
     * @param {number} [answered] the peer's call that it answers
     */
    postSmall(frame: any[], answered?: number): void;
    /**
     * The call of the peer's with this id, whose answer is named in `frame`.
     * @param {number} id
     * @param {Frame} frame
     */
    nameable(id: number, frame: Frame): import("./incoming.js").PeerCall;
    /**
     * Give back every reference of a frame that was refused (section 3).
     * @param {Frame} frame
     * @param {number[]} [introduced] those that had been received already
     */
    giveBack(frame: Frame, introduced?: number[]): void;
    /** The fourth time that too many references were handed out ends the session (section 7). @param {unknown} error */
    countViolation(error: unknown): void;
}
