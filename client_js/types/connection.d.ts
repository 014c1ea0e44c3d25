/**
 * `Connection`: what an application has of a session, whatever carries it.
 *
 * @module
 */
import { RemotePromise } from "./promises.js";
export type Referenceable = import("./flavors.js").Referenceable;
export type RemoteReference<Api> = import("./references.js").RemoteReference<Api>;
export type Transport = {
    /**
     * sends one message
     */
    send?: (message: any) => void;
    /**
     * the same, of what has no `send`
     */
    postMessage?: (message: any) => void;
    /**
     * set by pbweb; called with each message as `event.data`
     */
    onmessage: ((event: any) => void) | null;
    /**
     * set by pbweb where `readyState` is 0
     */
    onopen?: ((event: any) => void) | null;
    /**
     * set by pbweb; called with the code and the reason
     */
    onclose?: ((event: any) => void) | null;
    /**
     * set by pbweb
     */
    onerror?: ((event: any) => void) | null;
    /**
     * ends it
     */
    close?: (code?: number, reason?: string) => void;
    readyState?: number;
    /**
     * bytes that were given to `send` and are not sent
     */
    bufferedAmount?: number;
    binaryType?: any;
    protocol?: string;
};
export type ConnectionOptions = {
    /**
     * of this side, announced to the peer
     */
    limits?: Partial<import("./limits.js").Limits>;
    /**
     * objects to publish, such as `root`
     */
    names?: Record<string, Referenceable | Function>;
    /**
     * in place of `setUnjellyableForClass`
     */
    registry?: import("./failures.js").Registry;
    /**
     * the name by which the peer knows this side
     */
    software?: string;
    /**
     * unexpected exceptions of methods here;
     * without it they go to the console
     */
    log?: (error: unknown, where: string) => void;
    /**
     * called
     * when a session begins: before `connect` is done, and again whenever the session could not be
     * resumed, in which all references died. Without it the connection is over with its first session
     */
    onSession?: (root: RemoteReference<any>, connection: Connection<any>) => unknown;
    /**
     * makes another transport when one is lost; `connect` has it for an
     * address
     */
    dial?: () => Transport;
};
export type Credentials = {
    username: string;
    password: string;
} | {
    token: string;
} | {
    kind?: string;
    [field: string]: any;
};
/**
 * A connection and its session, which outlives the loss of a WebSocket where the server lets it:
 * the events `interrupted`, `resumed` and `ended` say so, and `status` comes with each of them, and
 * when a new session has begun.
 * @template [Api=any]
 */
export declare class Connection<Api = any> extends EventTarget {
    #private;
    /**
     * @param {Transport | undefined} transport
     * @param {ConnectionOptions} [options] `dial`, without a transport
     */
    constructor(transport: Transport | undefined, options?: ConnectionOptions);
    /**
     * "connected"; "interrupted": a connection is looked for, and calls wait; or "ended": all is over.
     * The event `status` says that it is another one.
     */
    get status(): "connected" | "ended" | "interrupted";
    /** Resolved when all is over: with `onSession` another session may follow one that has ended. */
    get closed(): Promise<import("./broker.js").Ending>;
    /** The machine behind the connection, with its `statistics()`. */
    get broker(): import("./broker.js").Broker;
    /**
     * The peer's root object. It costs no round trip, and calls need not wait for it.
     * @returns {RemotePromise<RemoteReference<Api>>}
     */
    getRootObject(): RemotePromise<RemoteReference<Api>>;
    /**
     * Log in at the peer's portal. Calls on the promise need not wait for it. There may be several
     * logins on one connection; to `release()` the avatar's reference, or to hold it no longer, logs
     * out. Raises UnauthorizedLogin, whatever is wrong.
     *
     * @template [Avatar=any]
     * @param {Credentials} [credentials] without any, or without fields, the login is anonymous
     * @param {Referenceable | Function} [mind] an object of this side's, for the avatar to call
     * @returns {RemotePromise<RemoteReference<Avatar>>}
     */
    login<Avatar = any>(credentials?: Credentials, mind?: Referenceable | Function): RemotePromise<RemoteReference<Avatar>>;
    /**
     * Prove once more who `avatar` is, before what was proved expires: nothing that came through it is
     * lost. Raises UnauthorizedLogin, and the login goes on as before; or DeadReferenceError, when it
     * has ended already.
     *
     * @param {RemoteReference<any> | RemotePromise<any>} avatar
     * @param {Credentials} credentials the same one's: a new token, as a rule
     * @returns {RemotePromise<null>}
     */
    renew(avatar: RemoteReference<any> | RemotePromise<any>, credentials: Credentials): RemotePromise<null>;
    /**
     * A reference to what the peer published under `name`; whether there is such an object, the
     * first call tells.
     * @param {string} name
     * @returns {RemoteReference<any>}
     */
    remoteForName(name: string): RemoteReference<any>;
    /**
     * Publish an object: the peer reaches it as `remoteForName(name)`.
     * @param {string} name
     * @param {Referenceable | Function} object
     */
    setNameForLocal(name: string, object: Referenceable | Function): void;
    /** Call `callback` once, when the session is over. @param {() => void} callback */
    notifyOnDisconnect(callback: () => void): void;
    /** Undo `notifyOnDisconnect`. @param {() => void} callback */
    dontNotifyOnDisconnect(callback: () => void): void;
    /** End the session. Calls in progress end with PBConnectionLost. */
    close(): Promise<void>;
    /**
     * Wait until the transport is open, and send this side's `version`.
     * @param {AbortSignal} [signal]
     * @returns {Promise<this>}
     */
    open(signal?: AbortSignal): Promise<this>;
}
