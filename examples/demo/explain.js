/**
 * What a frame says, in words.
 *
 * @module
 */

import { peerOf } from "./ledger.js";

/** @typedef {import("./ledger.js").Frame} Frame */

/** @type {Record<string, (frame: Frame) => string>} */
const SENTENCES = {
  version: greeted,
  message: called,
  answer: ({ side, items, call }) =>
    `The ${side}'s answer to the ${peerOf(side)}'s call ${items[1]}${call ? `, ${call.name}` : ""}.`,
  error: ({ side, items, call }) =>
    `The ${peerOf(side)}'s call ${items[1]}${call ? `, ${call.name}` : ""}, ended with an exception: ` +
    `it is raised again where the ${peerOf(side)} awaits the call.`,
  cancel: ({ side, items }) => `The ${side} no longer wants the answer to its call ${items[1]}.`,
  decref: ({ side }) =>
    `The ${side} gives references back: it holds them no longer. The number says how often it had ` +
    "been handed the object, so nothing goes wrong when the same object is on its way again.",
  cachemessage: updated,
  decache: ({ side }) =>
    `The ${side} gives a copy back: nothing here uses it any longer. It is kept up to date until the ` +
    `${peerOf(side)} has said uncache, so it is right if it is handed over once more meanwhile.`,
  uncache: ({ side }) =>
    `The ${side} has stopped observing: there are no more updates, and the ${peerOf(side)} drops the copy.`,
  ack: ({ side, items }) =>
    `The ${side} has received ${items[1]} frames so far and sent ${items[2]}: its peer need not keep ` +
    "them any longer.",
  ping: ({ side }) => `The ${side} asks whether the connection is alive.`,
  pong: ({ side }) => `The ${side} is alive.`,
  close: ({ side, items }) =>
    `The ${side} ends the session (${items[1]}${items[2] ? `: ${items[2]}` : ""}). Both sides forget ` +
    "every object and every call of it.",
  didNotUnderstand: ({ side, items }) => `The ${side} knows no frame called ${items[1]}.`,
};

/** @param {Frame} frame */
function greeted({ side, items }) {
  const { resume, resumed, why } = items[2] ?? {};
  if (resume) {
    return `The page goes on with the session whose connection was lost: it has received ${resume.received} frames of it, and sent ${resume.sent}.`;
  }
  if (resumed) {
    return `The server still has the session, and has received ${items[2].received} frames of it: the rest is sent again, and nothing is lost or done twice.`;
  }
  const more = why ? ` The one that was asked for cannot go on (${why}).` : "";
  return `The ${side} opens the session: it speaks version 1 of this protocol.${more}`;
}

/** @param {Frame} frame */
function called({ side, items, call }) {
  const [, id, target, name] = items;
  const number = id ? `, as its call ${id}` : ", and wants no answer";
  const what =
    askedText(items, side) ?? `calls ${name} on ${targetText(target, side, call?.on?.kind)}`;
  const more = call?.on?.kind === "stream" ? streamText(name, peerOf(side)) : "";
  return `The ${side} ${what}${number}.${more}${call?.cancelled ? " It was cancelled." : ""}`;
}

/** Logging in is a call, too. @param {any[]} items @param {import("./ledger.js").Side} side */
function askedText([, , target, name, args], side) {
  const owner = peerOf(side);
  if (target !== "root") return null;
  if (name === "login")
    return `asks the ${owner} to log in (${args?.[0]}; what proves it is masked here)`;
  if (name === "renew")
    return `renews a login before it expires (${args?.[1]}; what proves it is masked here)`;
  return null;
}

/** @param {string} name @param {import("./ledger.js").Side} owner */
function streamText(name, owner) {
  if (name === "next") {
    return ` The ${owner} makes no more items than it was asked for: so a slow reader holds up the one who makes them, and nothing piles up between.`;
  }
  return name === "stop" ? ` The ${owner} makes no more of them, and cleans up behind itself.` : "";
}

/** @param {Frame} frame */
function updated({ side, items, call }) {
  const [, id, cache, name] = items;
  const copy = `the ${peerOf(side)}'s copy of its object #${cache}`;
  if (call?.on?.live && name === "update") {
    return `The ${side} tells ${copy} what has changed since the last time: a path, and what is there now. All that one turn of its loop changed is one update.`;
  }
  if (call?.on?.live && name === "reset") {
    return `The ${side} brings ${copy} to the state of this moment: the ${peerOf(side)} was too slow for every single change.`;
  }
  const number = id ? `, as its call ${id}` : ", and wants no answer";
  return `The ${side} calls observe_${name} on ${copy}${number}: so the copy follows the original.`;
}

/**
 * @param {any} target
 * @param {import("./ledger.js").Side} side the caller
 * @param {import("./ledger.js").Kind} [kind]
 */
function targetText(target, side, kind = "object") {
  const owner = peerOf(side);
  if (typeof target === "string") return `what the ${owner} published as “${target}”`;
  if (target > 0) return `the ${owner}'s ${NOUNS[kind]} #${target}`;
  const id = target?.id ?? -target;
  return `whatever its call ${id} is answered with: it does not wait for that answer`;
}

/** What is said when an object is handed out. @type {Record<import("./ledger.js").Kind, (owner: string, holder: string, id: number) => string>} */
const HANDED_OUT = {
  object: (owner, holder, id) =>
    `It hands out the ${owner}'s object #${id}: the object stays where it is, and the ${holder} gets a reference.`,
  cache: (owner, holder, id) =>
    `The ${holder} gets a copy of the ${owner}'s object #${id}, and keeps it: each change of the original follows behind, so that reading it needs no call.`,
  stream: (owner, holder, id) =>
    `It hands out the ${owner}'s stream #${id}: its items are made as the ${holder} asks for them.`,
};

/** @type {Record<import("./ledger.js").Kind, string>} */
const NOUNS = { object: "object", cache: "object", stream: "stream" };

/** @param {Frame["changes"][number]} change */
function changeText({ holding: { owner, id, kind }, by, count }) {
  const holder = peerOf(owner);
  const what = `the ${owner}'s ${NOUNS[kind]} #${id}`;
  if (by > 0) {
    if (count === 1) return HANDED_OUT[kind](owner, holder, id);
    if (kind === "cache") {
      return `The ${holder} has a copy of ${what} already: only its number is sent, and it has been handed over ${count} times.`;
    }
    return `${HANDED_OUT[kind](owner, holder, id)} It has been handed out ${count} times now.`;
  }
  if (count) return `The ${holder} still holds ${what}, ${count} times.`;
  return `Nobody holds ${what} any more: the ${owner} lets go of it.`;
}

/** @param {Frame} frame */
function homeText({ side, items }) {
  const text = JSON.stringify(items);
  const owner = peerOf(side);
  const texts = [];
  if (text.includes('"$":"local"')) {
    texts.push(
      `An object of the ${owner}'s comes home: the ${owner}'s method is given the very object.`,
    );
  }
  if (text.includes('"$":"lcache"')) {
    texts.push(`A copy comes home: the ${owner}'s method is given the original.`);
  }
  return texts;
}

/** @param {Frame} frame */
function copyText({ side, items }) {
  if (!JSON.stringify(items).includes('"$":"copy"')) return [];
  return [
    `It brings a copy of an object of the ${side}'s: a type's name, and the state that its class lets out.`,
  ];
}

/**
 * Sentences, the most important first.
 * @param {Frame} frame
 * @returns {string[]}
 */
export function explain(frame) {
  // What a frame changes is said in its own words where it has some.
  const changes = /^(decache|uncache)$/.test(frame.name) ? [] : frame.changes;
  const sentence = SENTENCES[frame.name]?.(frame) ?? `A frame called ${frame.name}.`;
  const again =
    "It was sent before, and its connection was lost: it is sent again, and handled once.";
  return [
    sentence,
    ...(frame.again ? [again] : []),
    ...new Set(changes.map(changeText)),
    ...homeText(frame),
    ...copyText(frame),
  ];
}
