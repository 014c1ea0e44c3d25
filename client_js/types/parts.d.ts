/**
 * What the core does not bring itself: streams.js and live.js put themselves here when they are loaded.
 * So who bundles `core.js` gets what is imported, and no more.
 *
 * @module
 */
export type Parts = {
    newProducer?: typeof import("./streams.js").newProducer;
    Producer?: typeof import("./streams.js").Producer;
    RemoteStream?: typeof import("./streams.js").RemoteStream;
    LiveCore?: typeof import("./live.js").LiveCore;
};
/**
 * @typedef {object} Parts
 * @property {typeof import("./streams.js").newProducer} [newProducer]
 * @property {typeof import("./streams.js").Producer} [Producer]
 * @property {typeof import("./streams.js").RemoteStream} [RemoteStream]
 * @property {typeof import("./live.js").LiveCore} [LiveCore]
 */
/** @type {Parts} */
export declare const parts: Parts;
/**
 * Whether a value crosses as a stream.
 * @param {any} value
 */
export declare const isStream: (value: any) => boolean;
