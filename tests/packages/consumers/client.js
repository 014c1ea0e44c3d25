// The client of somebody who has installed the npm package.
import { connect, Referenceable } from "pbweb";

class Mine extends Referenceable {
  remote_print(number) {
    return number;
  }
}

const connection = await connect(process.argv[2]);
const one = await connection.getRootObject();
console.log(import.meta.resolve("pbweb"));
console.log(await one.callRemote("getTwo").callRemote("three", 12));
console.log(await one.callRemote("takeTwo", new Mine()));
await connection.close();
