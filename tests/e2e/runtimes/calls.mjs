// The same calls in every runtime; the client is imported as it stands, and nothing is passed in.
import {
  Cacheable,
  connect,
  Referenceable,
  RemoteCache,
  setUnjellyableForClass,
} from "../../../client_js/src/pbweb.js";

const url = globalThis.Deno ? Deno.args[0] : process.argv[2];

class Mine extends Referenceable {
  remote_print(number) {
    return number + 1;
  }
}

class PondCopy extends RemoteCache {
  observe_add(frog) {
    this.frogs.push(frog);
  }
}
setUnjellyableForClass("Pond", PondCopy);

class Pond extends Cacheable {
  frogs = ["mine"];
  stopped = new Promise((resolve) => {
    this.stoppedObserving = resolve;
  });
  getStateToCacheAndObserveFor(_, observer) {
    this.observer = observer;
    return { frogs: this.frogs };
  }
}

const connection = await connect(url);
const root = await connection.getRootObject();
const bytes = await root.callRemote("echo", new Uint8Array(3000).fill(7));

const pond = await root.callRemote("getPond");
const [, observers] = await root.callRemote("addFrog", "robin");
const isPond = await root.callRemote("isPond", pond);
pond.release();
const mine = new Pond();
const isMine = (await root.callRemote("hold", mine)) === mine;
const told = await mine.observer.callRemote("add", "more");
const held = await root.callRemote("frogs");
await root.callRemote("letGo");
await mine.stopped;

const counted = [];
for await (const number of root.callRemote("count", 1000)) if (counted.push(number) === 3) break;

const report = {
  text: await root.callRemote("echo", "hello"),
  large: String(await root.callRemote("echo", 2n ** 70n)),
  bytes: bytes.length,
  home: (await root.callRemote("echo", root)) === root,
  called: await root.callRemote("callBack", new Mine(), 12),
  cache: [...pond.frogs, observers, isPond],
  owned: [...held, told, isMine],
  after: await root.callRemote("addFrog", "late"),
  file: await root.callRemote("sizes", new Blob([new Uint8Array(150_000)])),
  sizes: await root.callRemote("sizes", (await root.callRemote("count", 3)).readable()),
  counted: [...counted, await root.callRemote("ended")],
  error: await root.callRemote("nothing").catch((error) => error.type),
};
await connection.close();
console.log(JSON.stringify(report));
