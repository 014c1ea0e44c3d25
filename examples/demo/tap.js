// Runs first in an example's page when the demo page shows it, and tells the frame around that page
// of every message. A plain script, so that nothing of the page runs before it.
(() => {
  let sockets = 0;
  const now = () => performance.timeOrigin + performance.now();

  /**
   * What is told of a message: its text, or of one with bytes its beginning, which is JSON, as it is
   * now; what stands behind it may be a part of a large file (docs/protocol.md, section 8).
   * @param {any} data
   */
  function told(data) {
    if (typeof data === "string") return { data };
    const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(data)
      ? data
      : new Uint8Array(data);
    const length = byteLength < 4 ? 0 : new DataView(buffer, byteOffset).getUint32(0, true);
    const end = byteOffset + Math.min(4 + length, byteLength);
    return { data: new Uint8Array(buffer.slice(byteOffset, end)), bytes: byteLength };
  }

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
        tell({ kind: "message", session, side: "server", ...told(data), time: now() }),
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
        ...told(data),
        time: now(),
      });
      super.send(data);
    }
  }

  window.WebSocket = TappedWebSocket;
})();
