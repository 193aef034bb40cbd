/** @file Numerical derivatives by central differences. */

/** Step sizes. Singles need a wide one, so that their rounding is small against the difference. */
export const stepSizes: Readonly<Record<'float32' | 'float64', number>> = { float32: 4e-2, float64: 2e-3 };

/** Step sizes for whole models: in doubles, small enough to cross hardly any kink, such as that of Relu. */
export const modelSteps: typeof stepSizes = { float32: 4e-2, float64: 1e-6 };

/** Steps to try on a mismatch: in singles, wide ones cross kinks and small ones drown in rounding. */
export const finerSteps: Readonly<Record<'float32' | 'float64', readonly number[]>> = {
  float32: [1e-2, 2.5e-3, 6e-4],
  float64: [],
};

/**
 * Derivatives of `f` by some coordinates, by five-point differences with an error of order step⁴.
 * @param at the point, which `f` reads; it is changed meanwhile, and restored
 * @param elements the coordinates
 */
export async function slopes(
  at: Float32Array | Float64Array,
  elements: readonly number[],
  step: number,
  f: () => Promise<number>,
): Promise<Float64Array> {
  const found = new Float64Array(elements.length);
  for (const [k, i] of elements.entries()) {
    const original = at[i]!;
    const value = async (steps: number): Promise<number> => {
      at[i] = original + steps * step;
      return f();
    };
    try {
      const near = (await value(1)) - (await value(-1));
      const far = (await value(2)) - (await value(-2));
      found[k] = (8 * near - far) / (12 * step);
    } finally {
      at[i] = original;
    }
  }
  return found;
}
