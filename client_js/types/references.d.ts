/**
 * What this side handed out, and what it holds of the peer's (docs/protocol.md, section 3).
 *
 * @module
 */
export type Broker = import("./broker.js").Broker;
export type RemotePromise<T> = import("./promises.js").RemotePromise<T>;
export type Methods<Api> = import("./api.js").Methods<Api>;
export type Arguments<Method> = import("./api.js").Arguments<Method>;
export type Result<Method> = import("./api.js").Result<Method>;
export type CallOptions<Args extends any[] = any[]> = import("./api.js").CallOptions<Args>;
/** The objects that the peer can name: by the ids that it was given, and by published names. */
export declare class Exports {
    #private;
    /** How many objects are handed out. */
    get size(): number;
    /**
     * @param {string} name
     * @param {object} object
     */
    publish(name: string, object: object): void;
    /**
     * The id, or name, under which `object` is handed out once more.
     * @param {object} object
     * @param {number} limit
     * @returns {number | string}
     */
    introduce(object: object, limit: number): number | string;
    /**
     * Undo what `introduce` did for a frame that does not go out.
     * @param {number[]} ids in the order in which they were given
     */
    takeBack(ids: number[]): void;
    /**
     * @param {number} id
     * @param {number} count
     */
    decref(id: number, count: number): void;
    /**
     * @param {number | string} id
     * @returns {object}
     */
    find(id: number | string): object;
    clear(): void;
}
export type Held = {
    id: number | string;
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
     * @param {number | string} id
     * @param {number} limit
     * @returns {RemoteReference<any>}
     */
    receive(id: number | string, limit: number): RemoteReference<any>;
    /**
     * Forget that a frame that is refused was received: what it held is given back elsewhere.
     * @param {number[]} ids
     */
    takeBack(ids: number[]): void;
    /** @param {Held} held whose reference was garbage collected */
    collected(held: Held): void;
    /**
     * Whether `reference` is the one that stands for its id.
     * @param {RemoteReference<any>} reference
     */
    has(reference: RemoteReference<any>): boolean;
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
    /** Let the peer forget the object. Calls in progress end; later ones fail. */
    release(): void;
    /** Call `callback` with this reference, once, when its session is over. @param {(reference: this) => void} callback */
    notifyOnDisconnect(callback: (reference: this) => void): void;
    /** @param {(reference: this) => void} callback */
    dontNotifyOnDisconnect(callback: (reference: this) => void): void;
}
