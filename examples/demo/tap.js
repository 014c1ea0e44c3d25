// Runs first in an example's page when the demo page shows it, and tells the frame around that page
// of every message. A plain script, so that nothing of the page runs before it.
(() => {
  let sockets = 0;
  const now = () => performance.timeOrigin + performance.now();

  /** The bytes as they are now: the page may change its buffer later. @param {any} data */
  const copy = (data) => (typeof data === "string" ? data : new Uint8Array(data).slice());

  /** @param {object} detail */
  function tell(detail) {
    window.frameElement?.dispatchEvent(new CustomEvent("wire", { detail }));
  }

  class TappedWebSocket extends WebSocket {
    #id = ++sockets;

    /**
     * @param {string | URL} url
     * @param {string | string[]} [protocols]
     */
    constructor(url, protocols) {
      super(url, protocols);
      const session = this.#id;
      this.addEventListener("open", () => tell({ kind: "opened", session, time: now() }));
      this.addEventListener("message", ({ data }) =>
        tell({ kind: "message", session, side: "server", data: copy(data), time: now() }),
      );
      this.addEventListener("close", ({ code, reason }) =>
        tell({ kind: "closed", session, text: `${code} ${reason}`.trim(), time: now() }),
      );
    }

    /** @param {any} data */
    send(data) {
      tell({
        kind: "message",
        session: this.#id,
        side: "page",
        data: copy(data),
        time: now(),
      });
      super.send(data);
    }
  }

  window.WebSocket = TappedWebSocket;
})();
