/**
 * The table of the examples: their order, what the page says of each, and what to look for. To add
 * one, add its folder (app.py, client.py, index.html, README.md), its path in demo.py and a row here.
 *
 * A point of `points` is ticked when the first frame goes by that `sees` is true for; `…` stands
 * around code.
 *
 * @module
 */

import { eachTagged } from "./ledger.js";

/** @typedef {import("./ledger.js").Frame} Frame */

/**
 * @typedef {object} Example
 * @property {string} name its folder, and the part behind # in the address
 * @property {string} title
 * @property {string} group that it stands in; those of one group stand together
 * @property {string} target what `pbweb serve` is given for it alone
 * @property {string} lead
 * @property {boolean} [wide] whether its page needs more room than the others
 * @property {{ text: string, sees: (frame: Frame) => boolean }[]} points
 */

/** All tagged values of a frame. @param {any[]} items */
function tagged(items) {
  /** @type {Record<string, any>[]} */
  const found = [];
  eachTagged(items, (value) => void found.push(value));
  return found;
}

/** @param {Frame} frame */
const isCall = ({ name }) => name === "message";
/** @param {Frame} frame */
const handsOut = ({ changes }) => changes.some(({ by }) => by > 0);
/** @param {RegExp} type */
const failsWith =
  (type) =>
  (/** @type {Frame} */ { name, items }) =>
    name === "error" && type.test(items[2]?.type);
/** @param {Frame} frame */
const bringsHome = ({ items }) => JSON.stringify(items).includes('"$":"local"');
/** Whether a value of this tag stands in a frame. @param {string} tag */
const has =
  (tag) =>
  (/** @type {Frame} */ { items }) =>
    tagged(items).some(({ $: other }) => other === tag);
/** What an update says of a live object. @param {Frame} frame @returns {any[][]} */
const opsOf = ({ name, call, items }) =>
  name === "cachemessage" && call?.on?.live && items[3] === "update" ? items[4][0] : [];
/** @param {Frame} frame */
const fromServer = ({ side }) => side === "server";

/** The types of the copies in a frame. @param {any[]} items */
const copiesOf = (items) =>
  tagged(items).flatMap(({ $: tag, type }) => (tag === "copy" ? [type] : []));

/** @type {Example[]} */
export const EXAMPLES = [
  {
    name: "echo",
    title: "Echo",
    group: "Calls",
    target: "EchoRoot",
    lead: "With Perspective Broker, programs call each other's objects. Here a Python object lives in the server; the page calls one of its methods, and gets back what the method returns: one frame there, one frame back.",
    points: [
      {
        text: "A call is one frame: a number, the object (`root`, which the server published), the method, the arguments.",
        sees: isCall,
      },
      {
        text: "The answer bears the number of its call. That is how the two find each other.",
        sees: ({ name }) => name === "answer",
      },
      {
        text: "Plain JSON goes as it is. What JSON lacks has a tag, such as `int` for 2^70.",
        sees: ({ items }) => JSON.stringify(items).includes('"$":"int"'),
      },
      {
        text: "Three calls made together are one message. No call waits for another.",
        sees: (frame) => isCall(frame) && frame.message.frames.filter(isCall).length > 2,
      },
    ],
  },
  {
    name: "references",
    title: "References",
    group: "Calls",
    target: "One",
    lead: "A method may return an object. The object does not travel: it stays in the server, and the page gets a reference to it, by which it calls that very object. Here is what it looks like.",
    points: [
      {
        text: "`getTwo` was not answered with a Two, but with its number: a reference. The table shows who holds it.",
        sees: (frame) => frame.name === "answer" && handsOut(frame),
      },
      {
        text: "This call goes to that number: it runs on that very object, in the server.",
        sees: (frame) => isCall(frame) && frame.items[2] > 0,
      },
      {
        text: "Two calls in one message. The second is made on the answer to the first, which is not there yet.",
        sees: (frame) => isCall(frame) && frame.items[2] < 0,
      },
      {
        text: "`decref` gives the reference back. Nobody holds the object now, and the server lets go of it.",
        sees: ({ name }) => name === "decref",
      },
    ],
  },
  {
    name: "identity",
    title: "Identity",
    group: "Calls",
    target: "One",
    lead: "An object has one identity, wherever it goes. Handed out twice it is one reference, and a reference that comes back to its owner is the owner's own object again.",
    points: [
      {
        text: "Handed out a second time, under the same number. The table counts: 2 times.",
        sees: ({ changes }) => changes.some(({ count }) => count > 1),
      },
      {
        text: "The page gives the reference back as an argument: `local`, the receiver's own. In Python `two is self.two`.",
        sees: (frame) => isCall(frame) && bringsHome(frame),
      },
      {
        text: "The page hands out an object of its own. Both sides can: the numbers of each side are its own.",
        sees: (frame) => frame.side === "page" && handsOut(frame),
      },
      {
        text: "The page's object comes home, from deep inside an answer.",
        sees: (frame) => frame.name === "answer" && bringsHome(frame),
      },
    ],
  },
  {
    name: "callbacks",
    title: "Callbacks",
    group: "Calls",
    target: "One",
    lead: "It works the other way round, too. The page hands the server an object, or just a function, and the Python code calls it, here in your browser.",
    points: [
      {
        text: "The page hands out an object as an argument: the server gets a reference to it.",
        sees: (frame) => isCall(frame) && frame.side === "page" && handsOut(frame),
      },
      {
        text: "The server calls the page while the page still waits for its own answer: two lines side by side.",
        sees: (frame) => isCall(frame) && fromServer(frame),
      },
      {
        text: "The page answers the server, as any object does that is called.",
        sees: ({ name, side }) => name === "answer" && side === "page",
      },
      {
        text: "A plain function is a reference as well: its one method is `call`.",
        sees: (frame) => isCall(frame) && fromServer(frame) && frame.items[3] === "call",
      },
    ],
  },
  {
    name: "exceptions",
    title: "Exceptions",
    group: "Calls",
    target: "One",
    lead: "What a method raises is raised where the call is awaited. Expected errors are part of the conversation; unexpected ones end one call, never the connection.",
    points: [
      {
        text: "An exception crosses: its class by name, its text, and the names of its base classes.",
        sees: ({ name }) => name === "error",
      },
      {
        text: "A class that the page registered is raised as that class: `catch` and `instanceof` work.",
        sees: failsWith(/MyException$/),
      },
      {
        text: "A mistake in the server: the page gets type and text, the server's log has the traceback.",
        sees: failsWith(/ZeroDivisionError$/),
      },
      {
        text: "Only `remote_` methods can be called. All else is not there. The connection goes on.",
        sees: failsWith(/NoSuchMethod$/),
      },
    ],
  },
  {
    name: "stale",
    title: "Stale",
    group: "Calls",
    target: "StaleRoot",
    lead: "Connections end. Then every call in progress ends with an error that says what is known of it, and every reference is dead, and tells those who asked to be told.",
    points: [
      {
        text: "A call that nobody answers. Its line stays open, and holds up nothing.",
        sees: ({ items }) => items[3] === "waitForever",
      },
      {
        text: "A call with the number 0 wants no answer.",
        sees: (frame) => isCall(frame) && frame.items[1] === 0,
      },
      {
        text: "The server says why it ends the session. Both sides forget everything; the open call is lost.",
        sees: ({ name }) => name === "close",
      },
    ],
  },
  {
    name: "copies",
    title: "Copies",
    group: "Values",
    target: "PondRoot",
    lead: "Some objects are better sent than called: orders, messages, what stands on a card. Their class says what the peer gets to see, and the peer says which class of its own they arrive as.",
    points: [
      {
        text: "The pond comes as a copy: its type by name, and the state that its class lets out. How many toads there are stays at home.",
        sees: ({ items }) => copiesOf(items).includes("pond.FrogPond"),
      },
      {
        text: "Two friends who know each other: `def` the first time, `use` after that. They arrive as two objects, not as four.",
        sees: (frame) =>
          frame.name === "answer" && JSON.stringify(frame.items).includes('"$":"use"'),
      },
      {
        text: "What the page sends is checked against the Python class: text is no weight. That call fails, the next one works.",
        sees: failsWith(/InsecureJelly$/),
      },
      {
        text: "An error brings its attributes, in `state`: the page reads `error.most`.",
        sees: (frame) => frame.name === "error" && Boolean(frame.items[2]?.state),
      },
      {
        text: "A type that this page has not registered: it refuses the answer, and makes no class of a name that came over the wire.",
        sees: ({ items }) => copiesOf(items).includes("pond.Stork"),
      },
    ],
  },
  {
    name: "files",
    title: "Files",
    group: "Values",
    target: "FilesRoot",
    lead: "Files of any size, up and down. A file is a stream of bytes: the receiver asks for so many chunks, gets them, and asks again. So the sender is never far ahead, and neither side's memory grows.",
    points: [
      {
        text: "Send made-up bytes. The page passes a `stream`: a number, and no byte of it yet.",
        sees: (frame) => isCall(frame) && frame.side === "page" && has("stream")(frame),
      },
      {
        text: "The server calls `next` on it, with how many chunks it has room for. That is all of the backpressure.",
        sees: (frame) => isCall(frame) && fromServer(frame) && frame.items[3] === "next",
      },
      {
        text: "The chunks go beside the JSON of the answer, as they are: a binary message.",
        sees: (frame) => frame.name === "answer" && JSON.stringify(frame.items).includes('"at":'),
      },
      {
        text: "Get some from the server: a method that is an async generator, whose answer is a `stream`.",
        sees: (frame) => frame.name === "answer" && fromServer(frame) && has("stream")(frame),
      },
      {
        text: "Cancel one: `stop` lets the producer's `finally` run, and the stream is given back.",
        sees: (frame) => isCall(frame) && frame.items[3] === "stop",
      },
    ],
  },
  {
    name: "pond",
    title: "Pond",
    group: "Live",
    target: "PondRoot",
    lead: "A copy that stays right: the pond is in the server, each page has its own copy of it, and whoever changes the original tells every copy. Reading needs no call. Open the page twice.",
    points: [
      {
        text: "The whole pond comes once, as a `cache`: the state that its class lets out, and a number for what follows.",
        sees: has("cache"),
      },
      {
        text: "Let a duck in. The server calls `addDuck` on every copy; the caller's own has changed before the answer is there.",
        sees: ({ name }) => name === "cachemessage",
      },
      {
        text: "Get the pond once more: `cached`, its number and nothing else. It is the very same copy.",
        sees: has("cached"),
      },
      {
        text: "Send it home: `lcache`. The server's method is given the original.",
        sees: has("lcache"),
      },
      {
        text: "Give it back: `decache`. The server observes no longer, says `uncache`, and tells this page nothing more.",
        sees: ({ name }) => name === "uncache",
      },
    ],
  },
  {
    name: "board",
    title: "Board",
    group: "Live",
    target: "BoardRoot",
    wide: true,
    lead: "One board, in as many browsers as you like. The Python code moves a card from one list to another, as in any program; what has changed goes to every page by itself, encoded once. Open it twice, and drag a card.",
    points: [
      {
        text: "The whole board is one `cache`: columns, cards and people. The page is drawn from its copy, and asks for nothing else.",
        sees: has("cache"),
      },
      {
        text: "Take a card: the others see whose hand it is in. One attribute has changed, so one `set` is sent, with its path.",
        sees: (frame) => opsOf(frame).some(([path, op]) => op === "set" && path.at(-1) === "holds"),
      },
      {
        text: "Drop it in another column: out of one list, into another. What one turn of the loop changed is one update.",
        sees: (frame) => opsOf(frame).filter(([, op]) => op === "splice").length > 1,
      },
      {
        text: "The answer to the call stands behind the update: when it is there, the page's own copy has changed.",
        sees: ({ name, message, call }) =>
          name === "answer" &&
          call?.name === "move" &&
          message.frames.some((frame) => frame.name === "cachemessage"),
      },
      {
        text: "Open the page on its own as well: somebody came, and every page shows them.",
        sees: (frame) =>
          opsOf(frame).some(([path, op]) => op === "set" && path[0] === "people" && !path[2]),
      },
    ],
  },
  {
    name: "login",
    title: "Login",
    group: "People",
    target: "portal",
    lead: "To log in is to be handed an object, the avatar, and what it has no method for nobody can do with it. Guests read, users post, and admins take down what others posted.",
    points: [
      {
        text: "A login is a call of the root, with the credentials and an object of the page's, the mind. The calls on the avatar go out with it, and wait at the server.",
        sees: (frame) => isCall(frame) && frame.items[3] === "login",
      },
      {
        text: "The answer is the avatar, by reference. Each notice is a reference of this avatar's own: nobody can pass for another.",
        sees: (frame) => frame.name === "answer" && frame.call?.name === "login" && handsOut(frame),
      },
      {
        text: "Try a wrong password, post as a guest, take down what another posted: failed logins all look the same, a guest's avatar has no such method, and a notice is told who asks.",
        sees: failsWith(/UnauthorizedLogin$|NoSuchMethod$|NotYours$/),
      },
      {
        text: "Log in by a token, and renew it in time: one call, and no reference is lost.",
        sees: (frame) => isCall(frame) && frame.items[3] === "renew",
      },
      {
        text: "A login ends when the page lets go of the avatar, or when the token expires. All that the avatar handed out is dead, and `logout` runs: here it tells the page.",
        sees: ({ side, items }) => side === "server" && items[3] === "loggedOut",
      },
    ],
  },
  {
    name: "chat",
    title: "Chat",
    group: "People",
    target: "ChatRoot",
    lead: "A whole program out of what the other examples show. Who joins a room brings an object, which the server calls whenever something happens there, and gets a seat: to hold it is the right to speak.",
    points: [
      {
        text: "Joining hands the server an object of the page's: its listener. The server keeps it.",
        sees: (frame) => isCall(frame) && frame.side === "page" && handsOut(frame),
      },
      {
        text: "The answer is a seat, by reference. Nothing has to say again who speaks: who else could call it?",
        sees: (frame) => frame.name === "answer" && handsOut(frame),
      },
      {
        text: "Something was said, and the server calls everybody's listener. Nobody asks again and again.",
        sees: ({ side, items }) => side === "server" && items[3] === "said",
      },
      {
        text: "Open the page on its own as well, and join as somebody else: the server calls `came`.",
        sees: ({ side, items }) => side === "server" && items[3] === "came",
      },
    ],
  },
  {
    name: "resilience",
    title: "Resilience",
    group: "Faults",
    target: "ResilienceRoot",
    wide: true,
    lead: "Networks break, pages freeze, servers restart. A session outlives its connections: what was under way goes on, each call is done once, and the programs on both sides notice nothing. What cannot be kept is told truly. Break something.",
    points: [
      {
        text: "The server calls the page, the page the server, and a live object tells both what changes: once in a second, all the time.",
        sees: (frame) => isCall(frame) && fromServer(frame) && frame.items[3] === "beat",
      },
      {
        text: "Cut the link. The page connects again, and names its session, the secret that it has for it, and how many frames it has received.",
        sees: ({ name, side, items }) =>
          name === "version" && side === "page" && Boolean(items[2]?.resume),
      },
      {
        text: "The server goes on with that very session: the tables of who holds what stand as they were.",
        sees: ({ name, items }) => name === "version" && items[2]?.resumed === true,
      },
      {
        text: "The call that was under way has been done meanwhile. Its answer comes once, though its connection is gone.",
        sees: (frame) =>
          frame.name === "answer" &&
          fromServer(frame) &&
          frame.message.time - (frame.call?.frame.message.time ?? 0) > 1500,
      },
      {
        text: "Crash the server. It does not know this session: `resumed` is false, all that was held is dead, and a new session begins.",
        sees: ({ name, items }) =>
          name === "version" && items[2]?.resumed === false && Boolean(items[2].why),
      },
    ],
  },
];
