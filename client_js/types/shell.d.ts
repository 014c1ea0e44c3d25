/**
 * The shell: it pumps a transport into a session, and finds another where one is lost
 * (docs/protocol.md, section 6). Below are no sockets, timers or console.
 *
 * @module
 */
export type Transport = import("./connection.js").Transport;
export type ConnectionOptions = import("./connection.js").ConnectionOptions;
export type Link = "none" | "dialing" | "open";
/**
 * Pumps a transport into a session, watches whether it is alive, and makes another where it can.
 * @param {any} transport a Transport; `dial` makes one where there is none
 * @param {ConnectionOptions} options
 * @param {{ begin: () => void, tell: (event: string) => void }} owner `begin` sets a new session up
 */
export declare function newShell(transport: any, { log, onSession, dial, ...options }: ConnectionOptions, owner: {
    begin: () => void;
    tell: (event: string) => void;
}): {
    closed: Promise<import("./broker.js").Ending>;
    open: (signal?: AbortSignal) => Promise<void>;
    leave: () => void;
    log: (error: unknown, where: string) => void;
    readonly session: {
        broker: import("./broker.js").Broker;
        takeMessages: () => (import("./session.js").Outgoing | undefined)[];
        receive: (data: unknown) => void;
        fail: (code: number, text: string, reconnect?: boolean) => void;
        end: (code: number, reason: string, reconnect?: import("./session.js").Ending["reconnect"], stays?: boolean) => void;
        detach: (code: number) => boolean;
        rejoin: () => void;
        wasGreeted(): void;
        readonly until: number;
        readonly away: boolean;
        probe: () => void;
        readonly heard: number | undefined;
    };
    readonly status: "connected" | "ended" | "interrupted";
};
