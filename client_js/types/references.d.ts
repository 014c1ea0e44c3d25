/**
 * What this side handed out, and what it holds of the peer's (docs/protocol.md, section 3).
 *
 * @module
 */
/// <reference lib="esnext.disposable" preserve="true" />
import { Referenceable } from "./flavors.js";
export type Broker = import("./broker.js").Broker;
export type RemotePromise<T> = import("./promises.js").RemotePromise<T>;
export type Methods<Api> = import("./api.js").Methods<Api>;
export type Arguments<Method> = import("./api.js").Arguments<Method>;
export type Result<Method> = import("./api.js").Result<Method>;
export type CallOptions<Args extends any[] = any[]> = import("./api.js").CallOptions<Args>;
export type Id = number | string;
/** @typedef {import("./broker.js").Broker} Broker */
/**
 * @template T
 * @typedef {import("./promises.js").RemotePromise<T>} RemotePromise
 */
/**
 * @template Api
 * @typedef {import("./api.js").Methods<Api>} Methods
 */
/**
 * @template Method
 * @typedef {import("./api.js").Arguments<Method>} Arguments
 */
/**
 * @template Method
 * @typedef {import("./api.js").Result<Method>} Result
 */
/**
 * @template {any[]} [Args=any[]]
 * @typedef {import("./api.js").CallOptions<Args>} CallOptions
 */
/** What has an id of the peer's or of this side's, or a name, which is not counted. @typedef {number | string} Id */
/** The objects that the peer can name: by the ids that it was given, and by published names. */
export declare class Exports {
    #private;
    /** How many objects are handed out, published ones left out. */
    size: number;
    /**
     * @param {string} name
     * @param {object} object
     */
    publish(name: string, object: object): void;
    /**
     * The id, or name, under which `object` is handed out once more.
     * @param {object} object
     * @param {number} limit
     */
    introduce(object: object, limit: number): Id;
    /**
     * Undo what `introduce` did for a frame that does not go out.
     * @param {number[]} ids in the order in which they were given
     */
    takeBack(ids: number[]): void;
    /**
     * @param {number} id
     * @param {number} count
     */
    decref(id: number, count: number): undefined;
    /**
     * @param {Id} id
     * @returns {object}
     */
    find(id: Id): object;
    clear(): void;
}
export type Held = {
    id: Id;
    count: number;
    weak: WeakRef<RemoteReference<any>>;
    imports: Imports;
};
/** The RemoteReferences of one session, one for each id and each name. */
export declare class Imports {
    #private;
    broker: import("./broker.js").Broker;
    /** How many objects of the peer's are held, those with a name left out. */
    size: number;
    /** @param {Broker} broker */
    constructor(broker: Broker);
    /**
     * The reference to what the peer hands out once more, or has published.
     * @param {Id} id
     * @param {number} limit
     * @returns {RemoteReference<any>}
     */
    receive(id: Id, limit: number): RemoteReference<any>;
    /**
     * Forget that a frame that is refused was received: what it held is given back elsewhere.
     * @param {number[]} ids
     */
    takeBack(ids: number[]): void;
    /** Forget a reference, and give back as many as were received. @param {Held} held */
    drop(held: Held): void;
    /**
     * How a reference stands in a frame to its owner.
     * @param {RemoteReference<any>} reference
     */
    idOf(reference: RemoteReference<any>): string | number;
    /** @param {RemoteReference<any>} reference */
    release(reference: RemoteReference<any>): void;
    clear(): void;
}
/** An object that lives with the peer. @template [Api=any] */
export declare class RemoteReference<Api = any> {
    /** @internal */
    broker: import("./broker.js").Broker;
    /** @internal */
    id: string | number;
    /** @internal */
    released: boolean;
    /** Always undefined; it tells TypeScript what the peer's object can do. @returns {Api | undefined} */
    get api(): Api | undefined;
    /**
     * Call a method of the object. The promise is rejected with what the method raised, a PBError;
     * calls on the promise, and calls that take it as an argument, need not wait for it.
     *
     * @template {keyof Methods<Api> & string} Name
     * @param {Name} name without the prefix `remote_`
     * @param {Arguments<Methods<Api>[Name]>} args
     * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
     */
    callRemote<Name extends keyof Methods<Api> & string>(name: Name, ...args: Arguments<Methods<Api>[Name]>): RemotePromise<Result<Methods<Api>[Name]>>;
    /**
     * The long form of `callRemote`.
     *
     * @template {keyof Methods<Api> & string} Name
     * @param {Name} name
     * @param {CallOptions<Arguments<Methods<Api>[Name]>>} [options]
     * @returns {RemotePromise<Result<Methods<Api>[Name]>>}
     */
    call<Name extends keyof Methods<Api> & string>(name: Name, options?: CallOptions<Arguments<Methods<Api>[Name]>>): RemotePromise<Result<Methods<Api>[Name]>>;
    /**
     * Call a method and want no answer, not even an error: the peer logs it.
     *
     * @template {keyof Methods<Api> & string} Name
     * @param {Name} name
     * @param {Arguments<Methods<Api>[Name]>} args
     */
    callRemoteOnly<Name extends keyof Methods<Api> & string>(name: Name, ...args: Arguments<Methods<Api>[Name]>): void;
    /** Let the peer forget the object. Calls in progress go on; later ones fail. */
    release(): void;
    /** For `using`. Older browsers have neither that nor the symbol; there this is never called. */
    [Symbol.dispose](): void;
    /** Call `callback` with this reference, once, when its session is over. @param {(reference: this) => void} callback */
    notifyOnDisconnect(callback: (reference: this) => void): void;
    /** @param {(reference: this) => void} callback */
    dontNotifyOnDisconnect(callback: (reference: this) => void): void;
}
/**
 * Whether a value crosses as a reference.
 * @param {unknown} value
 * @returns {value is Function | Referenceable | RemoteReference<any>}
 */
export declare const isReference: (value: unknown) => value is Function | Referenceable | RemoteReference<any>;
