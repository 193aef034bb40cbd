/** @file Counts pixels by true and found class, and what follows from the counts: IoU, Dice, accuracy. */

/** How well one class is found. */
export interface ClassOverlap {
  /** Pixels of the class. */
  readonly pixels: number;
  /** Intersection over union of its true and its found pixels. */
  readonly iou: number;
  /** Twice the intersection over the sum of both. */
  readonly dice: number;
}

/** Counts of pixels, `[true class, found class]`. */
export class PixelConfusion {
  readonly classes: number;
  readonly #counts: Float64Array;

  constructor(classes: number) {
    this.classes = classes;
    this.#counts = new Float64Array(classes * classes);
  }

  /** Counts the pixels of one image; those whose true class is none of the classes, such as 255, do not count. */
  add(truth: Uint8Array, found: Uint8Array): void {
    for (let i = 0; i < truth.length; i++) {
      if (truth[i]! < this.classes) this.#counts[truth[i]! * this.classes + found[i]!]!++;
    }
  }

  /** Adds the counts of another. */
  join(other: PixelConfusion): void {
    other.#counts.forEach((count, i) => (this.#counts[i]! += count));
  }

  /** Pixels of class `truth` that were taken for `found`. */
  count(truth: number, found: number): number {
    return this.#counts[truth * this.classes + found]!;
  }

  /** Of each class; IoU and Dice are NaN for one that neither occurs nor was found. */
  perClass(): readonly ClassOverlap[] {
    const range = Array.from({ length: this.classes }, (_, i) => i);
    return range.map((c) => {
      const sum = (count: (other: number) => number): number => range.reduce((total, other) => total + count(other), 0);
      const [pixels, found] = [sum((other) => this.count(c, other)), sum((other) => this.count(other, c))];
      const both = this.count(c, c);
      return { pixels, iou: both / (pixels + found - both), dice: (2 * both) / (pixels + found) };
    });
  }

  /** Share of all pixels whose class was found. */
  accuracy(): number {
    const total = this.#counts.reduce((sum, count) => sum + count, 0);
    let right = 0;
    for (let c = 0; c < this.classes; c++) right += this.count(c, c);
    return right / total;
  }
}

/** Mean over the classes that occur or were found; NaN where there is none. */
export function meanOver(classes: readonly ClassOverlap[], value: 'iou' | 'dice'): number {
  const known = classes.map((each) => each[value]).filter((each) => !Number.isNaN(each));
  return known.reduce((sum, each) => sum + each, 0) / known.length;
}
