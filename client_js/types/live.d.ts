/**
 * Live copies: an object of the peer's that changes here as it changes there (docs/protocol.md,
 * section 3). The state is a tree that never changes; each update makes a new one, which shares all
 * that it left alone.
 *
 * @module
 */
import { RemoteCache } from "./caching.js";
export type Change = {
    path: any[];
    op: "set";
    value: any;
} | {
    path: any[];
    op: "del";
} | {
    path: any[];
    op: "splice";
    index: number;
    count: number;
    items: any[];
} | {
    path: any[];
    op: "add" | "discard";
    items: any[];
} | {
    path: any[];
    op: "reset";
    value: any;
};
export type Live<State> = LiveCopy<State> & Readonly<State>;
/** What takes the updates; it is kept while the owner may send some, whoever looks at it. */
export declare class LiveCore extends RemoteCache {
    #private;
    type: string;
    /** @type {any} */
    state: any;
    /** @type {Set<{ listener: (changes: Change[]) => void }>} */
    listeners: Set<{
        listener: (changes: Change[]) => void;
    }>;
    /** The copy: as long as somebody listens, it is no garbage. @type {LiveCopy | undefined} */
    kept: LiveCopy | undefined;
    /** @override @param {any} given */
    setCopyableState(given: any): void;
    /** @param {any} ops */
    observe_update(ops: any): void;
    /** @param {any} value */
    observe_reset(value: any): void;
    get held(): import("./references.js").Held;
    /** What the application gets: of the class registered for the type. */
    newCopy(): any;
    /**
     * Each attribute is one of the copy as well, if its class has none of that name.
     * @param {any} copy
     * @param {any} [before] those that it has
     */
    expose(copy: any, before?: any): void;
}
/**
 * A live object of the peer's, which changes here as it changes there. Its attributes are those of
 * the object: `board.title`. To have methods of its own, register a subclass for the object's type.
 * It is given back when it is released, or garbage that nobody listens to.
 *
 * @template [State=any]
 */
export declare class LiveCopy<State = any> extends RemoteCache {
    constructor();
    /**
     * The state now: a frozen object, the same one as long as nothing has changed. What an update left
     * alone is the same in the next one. It needs no `this`.
     * @returns {State}
     */
    snapshot(): State;
    /**
     * Call `listener` after each update, with what has changed; gives what stops it. It needs no `this`.
     * @param {(changes: Change[]) => void} listener
     * @returns {() => void}
     */
    subscribe(listener: (changes: Change[]) => void): () => void;
    /** The copy is no longer wanted: nothing changes here any more, and no listener is called. @override */
    release(): void;
}
