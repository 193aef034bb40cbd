/** @file Which sizes of batches differ from one to the next, such as the number of tokens, and how numbers grow with them. */

/** Shapes of a batch, by the graph's inputs. */
export type BatchShapes = ReadonlyMap<string, readonly number[]>;

/** An axis of one of the graph's inputs. */
export type InputAxis = readonly [input: string, axis: number];

/** The axes that have one size. */
export type SizeAxes = readonly [InputAxis, ...InputAxis[]];

/** Sizes that differ between batches, and what these have in common. */
export class OpenSizes {
  /** The axes of each size that differs. */
  readonly axes: readonly SizeAxes[];
  readonly #fixed: BatchShapes;

  private constructor(fixed: BatchShapes, axes: readonly SizeAxes[]) {
    this.#fixed = fixed;
    this.axes = axes;
  }

  /**
   * What differs between batches: axes that have changed alike have one size. Undefined where nothing does, or something other
   * than sizes.
   *
   * @param byRows whether the first axis of all is the number of rows, which then comes first, also where it has not changed
   */
  static of(batches: readonly BatchShapes[], byRows: boolean): OpenSizes | undefined {
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
    return bySizes.size <= Number(byRows) ? undefined : new OpenSizes(first, [...bySizes.values()]);
  }

  /** The sizes that a batch has; undefined where it differs in something else. */
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

/** Sizes for which graphs are built. All are primes, so that none is by chance what something else is. */
export interface Probes {
  /** One of two sizes of each kind, in all ways together: where bit i of the place is set, that of kind i is its second. */
  readonly corners: readonly (readonly number[])[];
  /** Others by which is checked what follows: larger ones first, up to which it holds, and small ones last, from which on it does. */
  readonly checks: readonly (readonly number[])[];
}

/**
 * Sizes to probe.
 *
 * @param most up to which sizes it is to hold, at least
 * @param byRows whether the first is the number of rows, of which few are no other case than many
 * @param top sizes of one batch with much to compute, where batches that have most of one size have less of the others
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
  // The others of these are small.
  const alone = most.flatMap((size, i) => (size > large[i]! ? [corners[0]!.with(i, primes(1, size)[0]!)] : []));
  return { corners, checks: [large, ...alone, small.map((size, i) => (byRows && i === 0 ? drawn[0]! : size))] };
}

/** How a number grows with sizes: the sum over all sets of them of a factor times the product of (size − first size). */
export interface Growth {
  readonly first: readonly number[];
  /** By the bits of the set. */
  readonly factors: readonly number[];
}

/** The number at these sizes. */
export function valueAt({ first, factors }: Growth, sizes: readonly number[]): number {
  return factors.reduce((sum, factor, bits) => sum + (factor === 0 ? 0 : factor * productOf(bits, first, sizes)), 0);
}

/** How a number grows that has these values at the corners and at the checks; undefined where it grows otherwise, or by fractions. */
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

/** The first primes from a number on. */
function primes(count: number, from: number): number[] {
  const found: number[] = [];
  for (let each = from; found.length < count; each++) {
    let divisor = 2;
    while (divisor * divisor <= each && each % divisor !== 0) divisor++;
    if (divisor * divisor > each) found.push(each);
  }
  return found;
}
