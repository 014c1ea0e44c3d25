/**
 * First in, first out, at the same cost however long it is.
 *
 * @module
 */

/** @template T */
export class Queue {
  /** @type {T[]} */
  #items = [];
  #first = 0;

  get length() {
    return this.#items.length - this.#first;
  }

  /** @param {T} item */
  push(item) {
    this.#items.push(item);
  }

  /** @returns {T | undefined} */
  peek() {
    return this.#items[this.#first];
  }

  /** @returns {T | undefined} */
  shift() {
    const item = this.#items[this.#first];
    if (this.length) this.#items[this.#first++] = /** @type {any} */ (undefined);
    if (this.#first > 1000 && this.#first * 2 > this.#items.length) {
      this.#items.splice(0, this.#first);
      this.#first = 0;
    }
    return item;
  }
}
