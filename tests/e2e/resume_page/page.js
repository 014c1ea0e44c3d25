// A page that says what becomes of its connection; the tests call what it puts into `window`.
import { connect, Referenceable } from "/pb/pbweb.js";

class Me extends Referenceable {
  told = [];
  remote_told(number) {
    this.told.push(number);
    return number;
  }
}

const output = document.querySelector("output");
const me = new Me();
/** Events with the status, ids that the server gave to this page, and what calls ended with. */
Object.assign(window, { me, events: [], ids: [], ends: {}, persisted: [] });

window.connection = await connect("pb", {
  names: { me },
  async onSession(root) {
    window.root = root;
    window.ids.push(await root.callRemote("enter", me));
  },
});
const show = () => (output.textContent = window.connection.status);
for (const name of ["interrupted", "resumed", "ended"]) {
  window.connection.addEventListener(name, () => window.events.push(name));
}
window.connection.addEventListener("status", show);
addEventListener("pageshow", (event) => window.persisted.push(event.persisted));

/** Make a call whose end is noted under `key`. */
window.note = (key, ...call) => {
  window.root.callRemote(...call).then(
    (value) => (window.ends[key] = ["answer", value]),
    (error) => (window.ends[key] = [error.type, error.outcome]),
  );
};

/** So many calls, every other one of which is called back before it is answered. */
window.work = async (from, to) => {
  const calls = [];
  for (let number = from; number < to; number++) {
    calls.push(window.root.callRemote(number % 2 ? "note" : "ask", number));
    if (number % 5 === 0) await calls.at(-1);
  }
  return Promise.all(calls);
};
show();
