/**
 * What waits until it may go on, in the order in which it came.
 *
 * @module
 */

/** @typedef {ReturnType<typeof newLine>} Line */

export function newLine() {
  /** @type {{ run: (item: any) => unknown, item: any }[]} */
  const steps = [];
  let first = 0;
  let moving = false;

  /** Run the steps that may go; a loop and no recursion, at the same cost however long it is. */
  const move = () => {
    if (moving) return;
    moving = true;
    for (let step = steps[first]; step && step.run(step.item) !== false; step = steps[first]) {
      if (++first * 2 >= steps.length) {
        steps.splice(0, first);
        first = 0;
      }
    }
    moving = false;
  };

  return {
    move,
    /**
     * @template T
     * @param {(item: T) => unknown} run gives `false` when the item may not go yet
     * @param {T} item
     */
    push(run, item) {
      if (moving || first < steps.length) return void steps.push({ run, item });
      moving = true;
      const goes = run(item);
      moving = false;
      if (goes === false) steps.splice(first, 0, { run, item });
      else move();
    },
    get length() {
      return steps.length - first;
    },
  };
}
