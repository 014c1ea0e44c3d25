/**
 * What the core does not bring itself: streams.js and live.js put themselves here when they are loaded.
 * So who bundles `core.js` gets what is imported, and no more.
 *
 * @module
 */

/**
 * @typedef {object} Parts
 * @property {typeof import("./streams.js").newProducer} [newProducer]
 * @property {typeof import("./streams.js").Producer} [Producer]
 * @property {typeof import("./streams.js").RemoteStream} [RemoteStream]
 * @property {typeof import("./live.js").LiveCore} [LiveCore]
 */

/** @type {Parts} */
export const parts = {};

/**
 * Whether a value crosses as a stream.
 * @param {any} value
 */
export const isStream = (value) =>
  !!value[Symbol.asyncIterator] || value instanceof Blob || value instanceof ReadableStream;
