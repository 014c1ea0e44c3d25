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
/** @typedef {import("./broker.js").Broker} Broker */
/** What has an id of the peer's or of this side's, or a name, which is not counted. @typedef {number | string} Id */
/**
 * The objects that the peer can name: by the ids that it was given, and by published names.
 * @param {Pick<Broker, "limits" | "peer">} broker
 */
export declare function newExports(broker: Pick<Broker, "limits" | "peer">): {
    decref: (id: number, count: number) => undefined;
    readonly size: number;
    /**
     * @param {string} name
     * @param {object} object
     */
    publish(name: string, object: object): void;
    /**
     * The id, or name, under which `object` is handed out once more.
     * @param {object} object
     */
    introduce(object: object): Id;
    /**
     * Undo what `introduce` did for a frame that does not go out.
     * @param {number[]} ids in the order in which they were given
     */
    takeBack(ids: number[]): void;
    /**
     * @param {Id} id
     * @returns {object}
     */
    find(id: Id): object;
    clear(): void;
};
export type Held = {
    id: Id;
    count: number;
    weak?: WeakRef<RemoteReference<any>>;
};
/**
 * The RemoteReferences of one session, one for each id and each name.
 * @param {Broker} broker
 */
export declare function newImports(broker: Broker): {
    drop: (held: Held) => void;
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
     * Forget that a frame that is refused was received: what it held is given back elsewhere.
     * @param {number[]} ids
     */
    takeBack(ids: number[]): void;
    /**
     * How a reference stands in a frame to its owner.
     * @param {RemoteReference<any>} reference
     */
    idOf({ held }: RemoteReference<any>): Id;
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
