/**
 * What a frame says, in words.
 *
 * @module
 */

import { peerOf } from "./ledger.js";

/** @typedef {import("./ledger.js").Frame} Frame */

/** @type {Record<string, (frame: Frame) => string>} */
const SENTENCES = {
  version: ({ side }) => `The ${side} opens the session: it speaks version 1 of this protocol.`,
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
function called({ side, items, call }) {
  const [, id, target, name] = items;
  const number = id ? `, as its call ${id}` : ", and wants no answer";
  return `The ${side} calls ${name} on ${targetText(target, side)}${number}.${call?.cancelled ? " It was cancelled." : ""}`;
}

/**
 * @param {any} target
 * @param {import("./ledger.js").Side} side the caller
 */
function targetText(target, side) {
  const owner = peerOf(side);
  if (typeof target === "string") return `what the ${owner} published as “${target}”`;
  if (target > 0) return `the ${owner}'s object #${target}`;
  const id = target?.id ?? -target;
  return `whatever its call ${id} is answered with: it does not wait for that answer`;
}

/** @param {Frame["changes"][number]} change */
function changeText({ holding: { owner, id }, by, count }) {
  const holder = peerOf(owner);
  if (by > 0) {
    const times = count === 1 ? "" : ` It has been handed out ${count} times now.`;
    return `It hands out the ${owner}'s object #${id}: the object stays where it is, and the ${holder} gets a reference.${times}`;
  }
  if (count) return `The ${holder} still holds the ${owner}'s object #${id}, ${count} times.`;
  return `Nobody holds the ${owner}'s object #${id} any more: the ${owner} lets go of it.`;
}

/** @param {Frame} frame */
function homeText({ side, items }) {
  const text = JSON.stringify(items);
  if (!text.includes('"$":"local"')) return [];
  const owner = peerOf(side);
  return [
    `An object of the ${owner}'s comes home: the ${owner}'s method is given the very object.`,
  ];
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
  const sentence = SENTENCES[frame.name]?.(frame) ?? `A frame called ${frame.name}.`;
  return [
    sentence,
    ...new Set(frame.changes.map(changeText)),
    ...homeText(frame),
    ...copyText(frame),
  ];
}
