// What somebody writes who has installed the npm package, and what must not compile.

import { type Connection, connect, PBError, Referenceable, type RemoteReference } from "pbweb";

interface Two {
  three(number: number): number;
}
interface One {
  getTwo(): RemoteReference<Two>;
  takeTwo(two: RemoteReference<{ print(number: number): number }>): number;
}

class Mine extends Referenceable {
  remote_print(number: number): number {
    return number;
  }
}

const connection: Connection<One> = await connect<One>("ws://localhost:8000/pb");
using one = await connection.getRootObject();
try {
  const product: number = await one.callRemote("getTwo").callRemote("three", 12);
  const called: number = await one.callRemote("takeTwo", new Mine());
  console.log(product, called);
  // @ts-expect-error no such method
  await one.callRemote("getThree");
  // @ts-expect-error a wrong argument
  await one.callRemote("getTwo").callRemote("three", "12");
} catch (error) {
  if (error instanceof PBError) console.log(error.type);
}
await connection.close();
