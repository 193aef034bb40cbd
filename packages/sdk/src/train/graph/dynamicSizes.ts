/** @file Sizes that differ between batches, such as the number of tokens, and numbers that grow with them. */

/** Shapes of a batch by graph input. */
export type BatchShapes = ReadonlyMap<string, readonly number[]>;

/** An axis of a graph input. */
export type InputAxis = readonly [input: string, axis: number];

/** The axes that share a size. */
export type SizeAxes = readonly [InputAxis, ...InputAxis[]];

/** Sizes that differ between batches. */
export class DynamicSizes {
  /** The axes of each differing size. */
  readonly axes: readonly SizeAxes[];
  readonly #fixed: BatchShapes;

  private constructor(fixed: BatchShapes, axes: readonly SizeAxes[]) {
    this.#fixed = fixed;
    this.axes = axes;
  }

  /**
   * The differing sizes: axes that change together share one. Undefined if nothing differs, or more than sizes.
   * @param byRows whether axis 0 of all inputs is the batch, whose size then comes first even if constant
   */
  static of(batches: readonly BatchShapes[], byRows: boolean): DynamicSizes | undefined {
    const [first, ...others] = batches as [BatchShapes, ...BatchShapes[]];
    const bySizes = new Map<string, SizeAxes>();
    for (const [input, dims] of first) {
      if (others.some((each) => each.size !== first.size || each.get(input)?.length !== dims.length)) return undefined;
      for (const [axis, size] of dims.entries()) {
        const sizes = batches.map((each) => each.get(input)![axis]!);
        const isRows = byRows && axis === 0;
        if (!isRows && sizes.every((each) => each === size)) continue;
        const key = isRows ? '' : sizes.join();
        const known = bySizes.get(key);
        bySizes.set(key, known ? [...known, [input, axis]] : [[input, axis]]);
      }
    }
    return bySizes.size <= Number(byRows) ? undefined : new DynamicSizes(first, [...bySizes.values()]);
  }

  /** The sizes of a batch; undefined if it differs in anything else. */
  sizesOf(shapes: BatchShapes): readonly number[] | undefined {
    const sizes = this.axes.map(([[input, axis]]) => shapes.get(input)?.[axis] ?? 0);
    const own = this.at(sizes);
    const isSame = [...own].every(([input, dims]) => shapes.get(input)?.join() === dims.join());
    return isSame && shapes.size === own.size ? sizes : undefined;
  }

  /** The shapes of a batch of these sizes. */
  at(sizes: readonly number[]): BatchShapes {
    const shapes = new Map([...this.#fixed].map(([input, dims]) => [input, [...dims]]));
    for (const [i, axes] of this.axes.entries()) for (const [input, axis] of axes) shapes.get(input)![axis] = sizes[i]!;
    return shapes;
  }
}

/** Sizes of the graphs to build, all primes to avoid coincidences. */
export interface Probes {
  /** All combinations of two sizes per kind: bit i of the index selects kind i's second. */
  readonly corners: readonly (readonly number[])[];
  /** Sizes that verify the result: large upper bounds first, a small lower bound last. */
  readonly checks: readonly (readonly number[])[];
}

/**
 * Sizes to probe.
 * @param most largest sizes of a valid result
 * @param byRows whether the first is the batch size, which needs no small check
 * @param top sizes of the batch with the most to compute, if large sizes do not coincide
 */
export function probesOf(most: readonly number[], byRows: boolean, top?: readonly number[]): Probes {
  const drawn = primes(2 * most.length, 11);
  const corners = Array.from({ length: 2 ** most.length }, (_, bits) =>
    most.map((__, i) => drawn[2 * i + ((bits >> i) & 1)]!),
  );
  const small = primes(most.length, 3);
  const least = top ? small.at(-1)! : drawn.at(-1)!;
  const large: number[] = [];
  for (const size of top ?? most) large.push(primes(1, Math.max(size, least + 1, (large.at(-1) ?? 0) + 1))[0]!);
  // The other sizes of these are small.
  const alone = most.flatMap((size, i) => (size > large[i]! ? [corners[0]!.with(i, primes(1, size)[0]!)] : []));
  return { corners, checks: [large, ...alone, small.map((size, i) => (byRows && i === 0 ? drawn[0]! : size))] };
}

/** A number as a polynomial of the sizes: the sum over all subsets of factor · Π (size − first size). */
export interface Growth {
  readonly first: readonly number[];
  /** By the bits of the subset. */
  readonly factors: readonly number[];
}

/** The number at these sizes. */
export function valueAt({ first, factors }: Growth, sizes: readonly number[]): number {
  return factors.reduce((sum, factor, bits) => sum + (factor === 0 ? 0 : factor * productOf(bits, first, sizes)), 0);
}

/** The polynomial through values at the corners, verified at the checks; undefined if it fails or is not integral. */
export function growthOf({ corners, checks }: Probes, values: readonly number[]): Growth | undefined {
  const [first, last] = [corners[0]!, corners.at(-1)!];
  const factors = values.slice(0, corners.length);
  // Differences along each kind of size, in place.
  for (const i of first.keys())
    for (const bits of factors.keys()) if ((bits >> i) & 1) factors[bits]! -= factors[bits ^ (1 << i)]!;
  for (const bits of factors.keys()) factors[bits]! /= productOf(bits, first, last);
  const found = { first, factors };
  const isRight = checks.every((sizes, i) => valueAt(found, sizes) === values[corners.length + i]);
  return factors.every(Number.isSafeInteger) && isRight ? found : undefined;
}

function productOf(bits: number, first: readonly number[], sizes: readonly number[]): number {
  return sizes.reduce((product, size, i) => ((bits >> i) & 1 ? product * (size - first[i]!) : product), 1);
}

/** The first primes from a number up. */
function primes(count: number, from: number): number[] {
  const found: number[] = [];
  for (let each = from; found.length < count; each++) {
    let divisor = 2;
    while (divisor * divisor <= each && each % divisor !== 0) divisor++;
    if (divisor * divisor > each) found.push(each);
  }
  return found;
}
