/**
 * What waits until it may go on, in the order in which it came.
 *
 * @module
 */

/** @template T */
export class Line {
  /** @type {T[]} */
  #steps = [];
  #first = 0;
  #moving = false;

  /**
   * @param {(step: T) => void} run what may put more steps behind the others
   * @param {(step: T) => boolean} [mayGo]
   */
  constructor(run, mayGo = () => true) {
    this.run = run;
    this.mayGo = mayGo;
  }

  get length() {
    return this.#steps.length - this.#first;
  }

  /** @param {T} step */
  push(step) {
    this.#steps.push(step);
    this.move();
  }

  /** Run the steps that may go; a loop and no recursion, at the same cost however long it is. */
  move() {
    if (this.#moving) return;
    this.#moving = true;
    while (this.length && this.mayGo(/** @type {T} */ (this.#steps[this.#first]))) {
      this.run(this.#take());
    }
    this.#moving = false;
  }

  #take() {
    const step = /** @type {T} */ (this.#steps[this.#first++]);
    if (this.#first * 2 >= this.#steps.length) {
      this.#steps.splice(0, this.#first);
      this.#first = 0;
    }
    return step;
  }
}
