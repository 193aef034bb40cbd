/** @file The usual class of each letter: what a guess is worth that looks at nothing but the residue itself. */

/** Counts of classes by token. */
export class LetterClasses {
  readonly #classes: number;
  readonly #all: number[];
  readonly #byToken = new Map<number, number[]>();

  constructor(classes: number) {
    this.#classes = classes;
    this.#all = Array.from({ length: classes }, () => 0);
  }

  /** Takes in a sequence: its tokens and the class of each, NaN where it is not known. */
  learn(ids: readonly number[], classes: readonly number[]): void {
    for (const [token, id] of ids.entries()) {
      const found = classes[token]!;
      if (Number.isNaN(found)) continue;
      const counts = this.#byToken.get(id) ?? Array.from({ length: this.#classes }, () => 0);
      counts[found]!++;
      this.#byToken.set(id, counts);
      this.#all[found]!++;
    }
  }

  /** The most frequent class. */
  get majority(): number {
    return most(this.#all);
  }

  /** The most frequent class of a token; of all where the token never came. */
  of(id: number): number {
    return most(this.#byToken.get(id) ?? this.#all);
  }
}

function most(counts: readonly number[]): number {
  return counts.indexOf(Math.max(...counts));
}
