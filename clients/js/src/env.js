/* What a client takes from the world, in a browser and in Node.
 *
 * Rule: the only file that reads a clock, makes a socket or looks at what is global.
 */

const LONGEST_MS = 2 ** 31 - 1; // what a timer can count to; beyond that it fires at once

/**
 * @param {import("./types.js").SocketClass} [Socket] instead of the global WebSocket
 * @returns {import("./types.js").Env}
 */
export function world(Socket = globalThis.WebSocket) {
  return {
    /* Not wall time: set back by an hour, it would make an hour of every silence and every wait. */
    now: () => performance.now(),
    random: Math.random,
    setTimeout: (run, ms) => setTimeout(run, Math.min(ms, LONGEST_MS)),
    clearTimeout: (timer) => clearTimeout(timer),
    connect(url, protocol) {
      if (!Socket) throw new Error("there is no WebSocket here: give the option `WebSocket`");
      return new Socket(url, protocol);
    },
    watch(network) {
      const page = globalThis.window; // nothing tells of the network elsewhere
      if (!page) return () => {};
      const { online, offline } = network;
      page.addEventListener("online", online);
      page.addEventListener("offline", offline);
      return () => {
        page.removeEventListener("online", online);
        page.removeEventListener("offline", offline);
      };
    },
  };
}
