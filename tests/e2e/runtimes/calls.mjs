// The same calls in every runtime; the client is imported as it stands, and nothing is passed in.
import { connect, Referenceable } from "../../../client_js/src/pbweb.js";

const url = globalThis.Deno ? Deno.args[0] : process.argv[2];

class Mine extends Referenceable {
  remote_print(number) {
    return number + 1;
  }
}

const connection = await connect(url);
const root = await connection.getRootObject();
const bytes = await root.callRemote("echo", new Uint8Array(3000).fill(7));
const report = {
  text: await root.callRemote("echo", "hello"),
  large: String(await root.callRemote("echo", 2n ** 70n)),
  bytes: bytes.length,
  home: await root.callRemote("echo", root) === root,
  called: await root.callRemote("callBack", new Mine(), 12),
  error: await root.callRemote("nothing").catch((error) => error.type),
};
await connection.close();
console.log(JSON.stringify(report));
