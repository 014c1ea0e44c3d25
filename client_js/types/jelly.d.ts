/**
 * Values to JSON (docs/protocol.md, section 2). A frame of plain data goes to JSON.stringify after
 * one look at it; one with anything else is walked, and copied with tags in the places that need
 * them: twice, if something stands in it more than once. Unjellying is in unjelly.js.
 *
 * @module
 */
import { RemotePromise } from "./promises.js";
export type Key = string | number;
/** @typedef {string | number} Key */
/**
 * One walk through the values of a frame.
 * @param {import("./broker.js").Broker} broker
 * @param {{ shared?: Set<object>, states?: Map<object, any>, fresh?: number[] }} [first] in the
 *   second walk: the first
 */
declare const newWalk: (broker: import("./broker.js").Broker, { shared, states, fresh }?: {
    shared?: Set<object>;
    states?: Map<object, any>;
    fresh?: number[];
}) => {
    broker: import("./broker.js").Broker;
    limits: import("./limits.js").Limits;
    /** Where it is. @type {Key[]} */
    path: Key[];
    /** Bytes that travel outside the JSON. @type {Uint8Array[]} */
    attachments: Uint8Array[];
    /** Every id that was handed out in this frame. @type {number[]} */
    introduced: number[];
    /** Promises whose answers the frame names. @type {RemotePromise<any>[]} */
    named: RemotePromise<any>[];
    /** Those of the copies and of the fresh caches, each of which is asked for it once. @type {Map<object, any>} */
    states: Map<object, any>;
    /** The caches that the peer gets first with this frame; held until it is out. @type {number[]} */
    fresh: number[];
    /** Those of them that stand in the frame by now. @type {Set<unknown>} */
    cached: Set<unknown>;
    /** In how many copies it is. */
    copies: number;
    isFirst: boolean;
    /** What stands in the frame more than once; the first walk finds it. */
    shared: Set<object> | undefined;
    /** Containers met so far; in the second walk the shared ones, with the ids of their `def`. @type {Map<object, number>} */
    met: Map<object, number>;
};
export type Walk = ReturnType<typeof newWalk>;
/**
 * Send a `message`, an `answer` or an `error` with its state. When that fails, no table has changed.
 * @param {import("./broker.js").Broker} broker
 * @param {any[]} frame
 * @param {number} [answered] the id of the peer's call that it answers
 * @param {RemotePromise<any>[]} [named] gets the promises whose answers the frame names
 */
export declare function postJelly(broker: import("./broker.js").Broker, frame: any[], answered?: number, named?: RemotePromise<any>[]): number;
/**
 * A copy of an array or a plain object, with each item converted.
 * @param {any} raw
 * @param {(value: any, key: any) => any} convert
 * @param {any} [out] the copy
 */
export declare function mapItems(raw: any, convert: (value: any, key: any) => any, out?: any): any;
/**
 * What changes later in containers does not change in this.
 * @param {any} value
 * @param {Map<object, any>} [seen]
 * @returns {any}
 */
export declare function snapshot(value: any, seen?: Map<object, any>): any;
/** @param {any} raw */
export declare const copyOf: (raw: any) => any;
/**
 * An `await` or JSON.stringify must never call a reference.
 * @param {Key} key
 * @param {unknown} value
 */
export declare const isTrap: (key: Key, value: unknown) => boolean;
export declare const TRAP = "a reference cannot stand under the key \"then\" or \"toJSON\"";
/**
 * Arrays, Maps, Sets and plain objects; those of another window or worker, too.
 * @param {object} value
 */
export declare function isContainer(value: object): boolean;
export {};
