// Feeds messages to the JavaScript client and says what it sends. One long-lived process: each line
// that comes in is a JSON string, the text of a message; each that goes out the list of frames.
import { createInterface } from "node:readline";
import { FixtureRoot } from "../../client_js/test/support/fixture.js";
import { Peer, settled } from "../../client_js/test/support/peer.js";

for await (const line of createInterface({ input: process.stdin })) {
  const { message, limits } = JSON.parse(line);
  const peer = new Peer({ names: { root: new FixtureRoot() }, limits });
  await peer.open();
  peer.session.receive(message);
  await settled();
  const sent = peer.frames();
  const faults = peer.logged.map(({ error, where }) => `${where}: ${error?.stack ?? error}`);
  peer.session.end("the next one comes");
  console.log(JSON.stringify({ sent, faults }));
}
