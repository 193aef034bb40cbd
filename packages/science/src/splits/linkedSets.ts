/** @file Sets of numbers that grow together as pairs of them are linked. */

/** The numbers from 0 to `count - 1`, each in a set of its own until links join them. */
export class LinkedSets {
  readonly #parents: number[];

  constructor(count: number) {
    this.#parents = Array.from({ length: count }, (_, i) => i);
  }

  /** The least number of the set that a number is in. */
  first(number: number): number {
    const parents = this.#parents;
    let at = number;
    while (parents[at]! !== at) {
      // Paths are halved as they are walked.
      parents[at] = parents[parents[at]!]!;
      at = parents[at]!;
    }
    return at;
  }

  /** Joins the sets of two numbers. */
  link(a: number, b: number): void {
    const [one, other] = [this.first(a), this.first(b)];
    this.#parents[Math.max(one, other)] = Math.min(one, other);
  }
}
