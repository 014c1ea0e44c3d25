/**
 * What this side handed out, and what it holds of the peer's (docs/protocol.md, section 3).
 *
 * @module
 */
/// <reference lib="esnext.disposable" preserve="true" />
import { Referenceable } from "./flavors.js";
import { Callable } from "./promises.js";
export type Broker = import("./broker.js").Broker;
export type Id = number | string;
export type Export = {
    id: Id;
    object: any;
    count: number;
    observer?: import("./caching.js").RemoteCacheObserver;
    /**
     * what the peer calls, when it is a stream
     */
    producer?: import("./streams.js").Producer;
};
/** @typedef {import("./broker.js").Broker} Broker */
/** What has an id of the peer's or of this side's, or a name, which is not counted. @typedef {number | string} Id */
/**
 * What was handed out, and how often; `observer` is there when it is a Cacheable.
 * @typedef {object} Export
 * @property {Id} id
 * @property {any} object
 * @property {number} count
 * @property {import("./caching.js").RemoteCacheObserver} [observer]
 * @property {import("./streams.js").Producer} [producer] what the peer calls, when it is a stream
 */
/**
 * The objects that the peer can name: by the ids that it was given, and by published names.
 * @param {Pick<Broker, "limits" | "peer" | "hooks">} broker
 */
export declare function newExports(broker: Pick<Broker, "limits" | "peer" | "hooks">): {
    decref: (id: number, count: number, isCache?: boolean) => boolean;
    readonly size: number;
    /**
     * @param {string} name
     * @param {object} object
     */
    publish(name: string, object: object): void;
    /**
     * What `object` is handed out as once more.
     * @param {object} object
     * @param {() => import("./streams.js").Producer} [produce] for a stream
     * @returns {Export}
     */
    introduce(object: object, produce?: () => import("./streams.js").Producer): Export;
    /**
     * Undo what `introduce` did for a frame that does not go out.
     * @param {number[]} ids in the order in which they were given
     */
    takeBack(ids: number[]): void;
    /**
     * @param {Id} id
     * @param {boolean} [isCache]
     * @returns {object}
     */
    find(id: Id, isCache?: boolean): object;
    clear(): void;
};
export type Held = {
    broker: Broker;
    id: Id;
    count: number;
    /**
     * how many of them are to be given back when the calls that name it are out
     */
    leaving?: number;
    /**
     * the reference, or the live copy
     */
    weak?: WeakRef<any>;
    /**
     * what takes the updates
     */
    cache?: import("./caching.js").RemoteCache;
    /**
     * the class, if that is no RemoteReference
     */
    Kind?: new (broker: Broker, held: Held) => object;
    /**
     * what makes a live copy of it, for the application
     */
    newCopy?: () => object;
};
/**
 * The RemoteReferences and RemoteCaches of one session, one for each id and each name.
 * @param {Broker} broker
 */
export declare function newImports(broker: Broker): {
    /** Give back what was there at `release`: more may have come since. @param {Held} held */
    leave: (held: Held) => void;
    /** @param {Id} id */
    has: (id: Id) => boolean;
    /** How many objects of the peer's are held, those with a name left out. */
    readonly size: number;
    /**
     * The reference to what the peer hands out once more, or has published.
     * @param {Id} id
     * @param {{ references?: number }} [limits]
     * @returns {RemoteReference<any>}
     */
    receive(id: Id, limits?: {
        references?: number;
    }): RemoteReference<any>;
    /**
     * The stream that the peer hands out once more.
     * @param {number} id
     * @param {new (broker: Broker, held: Held) => object} Kind
     */
    receiveStream(id: number, Kind: new (broker: Broker, held: Held) => object): any;
    /**
     * The copy of a cache that the peer hands out once more.
     * @param {number} id
     */
    receiveCache(id: number): any;
    /**
     * The peer hands out a cache; gives what then gives the copy for the application.
     * @param {number} id
     * @param {import("./caching.js").RemoteCache} cache
     * @param {() => object} [newCopy]
     */
    addCache(id: number, cache: import("./caching.js").RemoteCache, newCopy?: () => object): () => any;
    /** What takes the updates of a cache. @param {number} id */
    find(id: number): import("./caching.js").RemoteCache;
    /** The owner is done with a copy that was given back. @param {number} id */
    uncache(id: number): void;
    /**
     * Forget that a frame that is refused was received: what it held is given back elsewhere.
     * @param {number[]} ids
     */
    takeBack(ids: number[]): void;
    /**
     * How a reference or a cache stands in a frame to its owner.
     * @param {Held} held
     */
    idOf(held: Held): Id;
    clear(): void;
};
/** An object that lives with the peer. @template [Api=any] @extends {Callable<Api>} */
export declare class RemoteReference<Api = any> extends Callable<Api> {
    /** @internal */
    held: Held;
    /** Always undefined; it tells TypeScript what the peer's object can do. @returns {Api | undefined} */
    get api(): Api | undefined;
    /** Let the peer forget the object. Calls in progress go on; later ones fail. */
    release(): void;
    /** For `using`. Older browsers have neither that nor the symbol; there this is never called. */
    [Symbol.dispose](): void;
    /** Call `callback` with this reference, once, when its session is over. @param {(reference: this) => void} callback */
    notifyOnDisconnect(callback: (reference: this) => void): void;
    /** Undo `notifyOnDisconnect`. @param {(reference: this) => void} callback */
    dontNotifyOnDisconnect(callback: (reference: this) => void): void;
}
/**
 * Whether a value crosses as a reference.
 * @param {unknown} value
 * @returns {value is Function | Referenceable | RemoteReference<any>}
 */
export declare const isReference: (value: unknown) => value is Function | Referenceable | RemoteReference<any>;
