/**
 * Values to JSON (docs/protocol.md, section 2). One walk finds what JSON would spoil: plain data
 * comes back as it is, and only what needs a tag is rebuilt. Unjellying is in unjelly.js.
 *
 * @module
 */
import { RemotePromise } from "./promises.js";
/** Encodes the values of one frame. */
export declare class Jellier {
    #private;
    broker: import("./broker.js").Broker;
    limits: import("./limits.js").Limits;
    /** Bytes that travel outside the JSON. @type {Uint8Array[]} */
    attachments: Uint8Array[];
    /** Every id that was handed out in this frame. @type {number[]} */
    introduced: number[];
    /** Promises whose answers the frame names. @type {RemotePromise<any>[]} */
    named: RemotePromise<any>[];
    /** Containers that stand in the frame more than once. @type {Set<object>} */
    shared: Set<object>;
    /**
     * @param {import("./broker.js").Broker} broker
     * @param {Set<object>} [shared] what the first walk found, for the second
     */
    constructor(broker: import("./broker.js").Broker, shared?: Set<object>);
    /**
     * Encode a result.
     * @param {unknown} value
     */
    result(value: unknown): any;
    /**
     * Encode `args` or `kw`, which are a frame's own and no values.
     * @template {any[] | Record<string, any>} T
     * @param {string} label
     * @param {T} items
     * @returns {T}
     */
    items<T extends any[] | Record<string, any>>(label: string, items: T): T;
    /**
     * @param {any} value
     * @param {number} depth how many containers it stands in
     * @param {boolean} [hashed] as a key of a dict or a member of a set
     * @returns {any}
     */
    value(value: any, depth: number, hashed?: boolean): any;
}
/**
 * Arrays, Maps, Sets and plain objects; those of another window or worker, too.
 * @param {object} value
 */
export declare function isContainer(value: object): boolean;
