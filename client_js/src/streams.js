/**
 * Async iterators across the wire (docs/protocol.md, section 5): the side that makes the items, and
 * the side that reads them. What is asked for ahead bounds how far the producer is.
 *
 * @module
 */

import { CancelledError, InsecureJelly, PBError } from "./errors.js";
import { Referenceable } from "./flavors.js";
import { isId, isList } from "./frames.js";
import { ANSWER_BYTES, CHUNK_BYTES, STREAM_AHEAD, STREAM_DRAWN } from "./limits.js";
import { invoke } from "./methods.js";
import { parts } from "./parts.js";
import { RemoteReference } from "./references.js";

/** @typedef {import("./broker.js").Broker} Broker */

/**
 * What gives the items; of a ReadableStream or Blob, bytes in chunks of at most `most`.
 * @param {any} value
 * @param {number} most
 * @returns {AsyncIterator<any>}
 */
function iteratorOf(value, most) {
  if (value instanceof Blob) value = value.stream();
  if (!(value instanceof ReadableStream)) return value[Symbol.asyncIterator]();
  const reader = value.getReader();
  /** @type {Uint8Array} */
  let left = new Uint8Array();
  return {
    async next() {
      if (!left.length) {
        const read = await reader.read();
        if (!(read.value instanceof Uint8Array)) return /** @type {any} */ (read);
        left = read.value;
      }
      const value = left.subarray(0, most);
      left = left.subarray(most);
      return { value };
    },
    return: () => /** @type {Promise<any>} */ (reader.cancel()),
  };
}

/** Something to wait for, again and again. */
function newSignal() {
  /** @type {() => void} */
  let wake;
  /** @type {Promise<void>} */
  let next;
  const fire = () => {
    wake?.();
    next = new Promise((resolve) => {
      wake = resolve;
    });
  };
  fire();
  return { fire, next: () => next };
}

/** What the peer calls of a stream. */
export class Producer extends Referenceable {
  /**
   * @param {(n: number) => Promise<unknown>} next
   * @param {() => Promise<void>} stop
   */
  constructor(next, stop) {
    super();
    this.next = next;
    this.stop = stop;
  }

  /** Allow `n` items more. @param {number} n */
  remote_next(n) {
    if (!isId(n)) throw new TypeError("next: n must be a whole number from 1 on.");
    return this.next(n);
  }

  /** Want no more. */
  remote_stop() {
    return this.stop();
  }
}

/**
 * Draws items from `value`, as far as the peer allows it.
 * @param {Broker} broker
 * @param {any} value
 * @param {(item: unknown) => number} sizeOf how many bytes an item takes; 0 if it goes alone
 */
export function newProducer({ hooks, peer }, value, sizeOf) {
  const most = Math.min(ANSWER_BYTES, peer.limits.message >> 1);
  /** What was drawn, and how many bytes it takes. @type {[unknown, number][]} */
  let items = [];
  let bytes = 0;
  /** How many items may still be drawn, and how many were. */
  let credit = 0;
  let drawn = 0;
  let isDrawing = false;
  /** Nothing more is drawn. */
  let isOver = false;
  /** How it ended, when nobody was told. @type {unknown} */
  let failure;
  /** @type {AsyncIterator<any>} */
  let iterator;
  /** @type {Promise<void> | undefined} */
  let closing;
  /** The last call of `next`. @type {Promise<unknown>} */
  let last = Promise.resolve();
  const changed = newSignal();
  /** For callSignal(). @type {import("./methods.js").Invocation} */
  const call = {};

  const iterate = () => {
    iterator ??= iteratorOf(value, Math.min(CHUNK_BYTES, most));
    return iterator;
  };

  const draw = async () => {
    if (isDrawing) return;
    isDrawing = true;
    while (credit && bytes < most && items.length < STREAM_DRAWN && !isOver) {
      credit--;
      try {
        const { done, value } = await invoke(call, () => iterate().next(), "call", [], {});
        if (!done && !isOver) {
          const size = sizeOf(value) || most;
          items.push([value, size]);
          bytes += size;
        }
        isOver ||= !!done;
      } catch (error) {
        if (!isOver) failure = error;
        isOver = true;
      }
      drawn++;
      changed.fire();
    }
    isDrawing = false;
  };

  const answer = async () => {
    while (!items.length && !isOver) await changed.next();
    // What comes without a pause goes out together.
    for (let seen = -1; seen !== drawn; ) {
      seen = drawn;
      for (let tick = 0; tick < 9; tick++) await null;
    }
    let size = 0;
    let count = 0;
    for (const item of items) {
      if (count && size + item[1] > most) break;
      size += item[1];
      count++;
    }
    bytes -= size;
    const taken = items.splice(0, count).map(([item]) => item);
    draw();
    const error = failure;
    if (!count) failure = undefined;
    if (!count && error) throw error;
    return { items: taken, done: isOver && !items.length && !error };
  };

  const close = async () => {
    const isOpen = !isOver;
    isOver = true;
    items = [];
    if (failure) hooks.log(failure, "a stream that nobody reads");
    failure = undefined;
    changed.fire();
    call.controller?.abort(new CancelledError("The stream is not wanted any more."));
    if (isOpen) await iterate().return?.();
  };

  return new Producer(
    (n) => {
      credit += n;
      draw();
      const mine = last.then(answer);
      last = mine.catch(() => {});
      return mine;
    },
    () => {
      closing ??= close();
      closing.catch((error) => hooks.log(error, "the end of a stream"));
      return closing;
    },
  );
}

/**
 * A stream of the peer's: an async iterator, which is read once, as by `for await`. Items are asked
 * for ahead, at most 64 of them. What the producer throws is thrown behind the items that came before
 * it. Leaving the loop stops the producer and waits until its `finally` has run; so does `return()`.
 *
 * @template [T=any]
 * @implements {AsyncIterableIterator<T>}
 */
export class RemoteStream {
  #feed;
  #isRead = false;

  /**
   * @internal
   * @param {Broker} broker
   * @param {import("./references.js").Held} held
   */
  constructor(broker, held) {
    this.#feed = newFeed(new RemoteReference(broker, held));
  }

  /** The stream itself, once. @returns {this} */
  [Symbol.asyncIterator]() {
    if (this.#isRead) throw new PBError("This stream is read already: a stream is read once.");
    this.#isRead = true;
    return this;
  }

  /** The next item. @returns {Promise<IteratorResult<T, any>>} */
  next() {
    return this.#feed.next();
  }

  /**
   * Want no more. Done again, it is harmless.
   * @param {any} [value]
   * @returns {Promise<IteratorResult<T, any>>}
   */
  async return(value) {
    await this.#feed.stop();
    return { value, done: true };
  }

  /** The items as a ReadableStream, which can be piped. @returns {ReadableStream<T>} */
  readable() {
    const stream = this[Symbol.asyncIterator]();
    return new ReadableStream(
      {
        async pull(controller) {
          const { done, value } = await stream.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel() {
          await stream.return();
        },
      },
      { highWaterMark: 0 },
    );
  }
}

/**
 * What has come of a stream, and what was asked for. It does not hold the RemoteStream: that is given
 * back when nobody holds it, also while a `next` is under way.
 * @param {RemoteReference<any>} reference
 */
function newFeed(reference) {
  const { broker, held } = reference;
  /** @type {any[][]} */
  let batches = [];
  /** Where in the first of them. */
  let at = 0;
  /** How many items may still be asked for, how many were, and calls under way. */
  let room = STREAM_AHEAD;
  let granted = 0;
  let asked = 0;
  let isOver = false;
  /** @type {unknown} */
  let failure;
  const changed = newSignal();

  /** Nothing more will come; the peer may forget the stream. @param {unknown} [error] */
  const end = (error) => {
    if (isOver) return;
    isOver = true;
    failure = error;
    broker.release(held);
    changed.fire();
  };

  const ask = () => {
    if (isOver || asked > 1 || !room) return;
    const n = Math.min(room, STREAM_AHEAD >> 1);
    room -= n;
    granted += n;
    asked++;
    // A failure is looked at as soon as an answer is: the one behind it says that all is done.
    reference.callRemote("next", n).then(came, failed).catch(failed);
  };

  /** @param {unknown} error */
  const failed = (error) => end(broker.ending ? broker.lost("unknown") : error);

  /** @param {any} answer */
  const came = (answer) => {
    if (isOver) return;
    const { items, done } = answer ?? {};
    asked--;
    granted -= items?.length;
    if (!isList(items) || granted < 0 || !(items.length || done === true)) {
      throw new InsecureJelly("The answer to a stream's next is wrong.");
    }
    if (items.length) batches.push(items);
    if (done) end();
    ask();
    changed.fire();
  };

  return {
    async next() {
      while (!batches.length) {
        const error = failure;
        failure = undefined;
        if (error) throw error;
        if (isOver) return { value: undefined, done: true };
        ask();
        await changed.next();
      }
      const batch = /** @type {any[]} */ (batches[0]);
      const value = batch[at++];
      if (at === batch.length) {
        batches.shift();
        room += at;
        at = 0;
        ask();
      }
      return { value, done: false };
    },
    async stop() {
      const stopped = !isOver && reference.callRemote("stop");
      batches = [];
      end();
      failure = undefined;
      try {
        await stopped;
      } catch (error) {
        if (!broker.ending) throw error;
      }
    },
  };
}

Object.assign(parts, { newProducer, Producer, RemoteStream });
