/**
 * Types only: what a RemoteReference<Api> can be called with and gives back.
 *
 * `Api` is an interface of the peer's methods, the type of a Referenceable with `remote_` methods,
 * or a function.
 *
 * @module
 */
export type CallOptions<Args extends any[] = any[]> = {
    args?: Args;
    /**
     * keyword arguments, for a peer whose language has them
     */
    kw?: Record<string, any>;
    /**
     * cancels the call, here and at the peer
     */
    signal?: AbortSignal;
    /**
     * seconds after which the call is cancelled, here and at the peer
     */
    timeout?: number;
    /**
     * on a RemotePromise: where in the answer the object stands
     */
    path?: (string | number)[];
};
export type Methods<Api> = 0 extends 1 & Api ? Record<string, (...args: any[]) => any> : Api extends (...args: any[]) => any ? {
    call: Api;
} : [keyof Api & `remote_${string}`] extends [never] ? Api : {
    [Key in keyof Api as Key extends `remote_${infer Name}` ? Name : never]: Api[Key];
};
export type Arguments<Method> = Method extends (...args: infer Args) => any ? {
    [At in keyof Args]: Argument<Args[At]>;
} : never;
export type Argument<T> = 0 extends 1 & T ? any : T | import("./promises.js").RemotePromise<T> | (T extends import("./references.js").RemoteReference<infer Api> ? Local<Api> : never) | (T extends import("./streams.js").RemoteStream<infer Item> ? Source<Item> : never);
export type Source<Item> = AsyncIterable<Item> | ReadableStream<Item> | ([Uint8Array] extends [Item] ? Blob : never);
export type Local<Api> = Api extends (...args: any[]) => any ? Api : [keyof Api & `remote_${string}`] extends [never] ? {
    [Name in keyof Api & string as `remote_${Name}`]: Api[Name];
} : Api;
export type Result<Method> = Method extends (...args: any[]) => infer Value ? Received<Awaited<Value>> : never;
export type Received<T> = 0 extends 1 & T ? any : T extends import("./references.js").RemoteReference<any> | Atom | import("./streams.js").RemoteStream ? T : T extends Blob ? import("./streams.js").RemoteStream<Uint8Array> : T extends AsyncIterable<infer Item> | ReadableStream<infer Item> ? import("./streams.js").RemoteStream<Received<Item>> : T extends (...args: any[]) => any ? import("./references.js").RemoteReference<T> : [keyof T & `remote_${string}`] extends [never] ? {
    [Key in keyof T]: Received<T[Key]>;
} : import("./references.js").RemoteReference<T>;
export type Atom = string | number | bigint | boolean | null | undefined | void | Date | Uint8Array | Error | Map<any, any> | Set<any> | import("./scalars.js").Held | import("./flavors.js").Copyable | import("./caching.js").Cacheable | import("./caching.js").RemoteCache;
/**
 * @template {any[]} [Args=any[]]
 * @typedef {object} CallOptions what a call may have beside its name
 * @property {Args} [args]
 * @property {Record<string, any>} [kw] keyword arguments, for a peer whose language has them
 * @property {AbortSignal} [signal] cancels the call, here and at the peer
 * @property {number} [timeout] seconds after which the call is cancelled, here and at the peer
 * @property {(string | number)[]} [path] on a RemotePromise: where in the answer the object stands
 */
/**
 * What a peer can call on an object with this type.
 * @template Api
 * @typedef {0 extends 1 & Api ? Record<string, (...args: any[]) => any>
 *   : Api extends (...args: any[]) => any ? { call: Api }
 *   : [keyof Api & `remote_${string}`] extends [never] ? Api
 *   : { [Key in keyof Api as Key extends `remote_${infer Name}` ? Name : never]: Api[Key] }} Methods
 */
/**
 * The arguments of a method: a promise of one does as well as the value itself.
 * @template Method
 * @typedef {Method extends (...args: infer Args) => any
 *   ? { [At in keyof Args]: Argument<Args[At]> } : never} Arguments
 */
/**
 * @template T
 * @typedef {0 extends 1 & T ? any
 *   : T | import("./promises.js").RemotePromise<T>
 *   | (T extends import("./references.js").RemoteReference<infer Api> ? Local<Api> : never)
 *   | (T extends import("./streams.js").RemoteStream<infer Item> ? Source<Item> : never)} Argument
 */
/**
 * What arrives as a stream of these items.
 * @template Item
 * @typedef {AsyncIterable<Item> | ReadableStream<Item>
 *   | ([Uint8Array] extends [Item] ? Blob : never)} Source
 */
/**
 * An object of this side's that does for a reference to `Api`.
 * @template Api
 * @typedef {Api extends (...args: any[]) => any ? Api
 *   : [keyof Api & `remote_${string}`] extends [never]
 *   ? { [Name in keyof Api & string as `remote_${Name}`]: Api[Name] } : Api} Local
 */
/**
 * What the promise of a call becomes.
 * @template Method
 * @typedef {Method extends (...args: any[]) => infer Value ? Received<Awaited<Value>> : never} Result
 */
/**
 * A value on the other side: objects that stay where they are become references.
 * @template T
 * @typedef {0 extends 1 & T ? any
 *   : T extends import("./references.js").RemoteReference<any> | Atom | import("./streams.js").RemoteStream ? T
 *   : T extends Blob ? import("./streams.js").RemoteStream<Uint8Array>
 *   : T extends AsyncIterable<infer Item> | ReadableStream<infer Item>
 *   ? import("./streams.js").RemoteStream<Received<Item>>
 *   : T extends (...args: any[]) => any ? import("./references.js").RemoteReference<T>
 *   : [keyof T & `remote_${string}`] extends [never]
 *   ? { [Key in keyof T]: Received<T[Key]> }
 *   : import("./references.js").RemoteReference<T>} Received
 */
/**
 * @typedef {string | number | bigint | boolean | null | undefined | void | Date | Uint8Array | Error
 *   | Map<any, any> | Set<any> | import("./scalars.js").Held | import("./flavors.js").Copyable
 *   | import("./caching.js").Cacheable | import("./caching.js").RemoteCache} Atom
 */
export {};
