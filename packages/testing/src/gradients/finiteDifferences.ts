/** @file Slopes of a function of many numbers by central differences. */

/**
 * How far each of four steps goes. Doubles leave eight digits at the small one. Singles need a wide one, so that their
 * rounding, of 1 in 10⁷, is little beside the difference.
 */
export const stepSizes: Readonly<Record<'float32' | 'float64', number>> = { float32: 4e-2, float64: 2e-3 };

/**
 * Steps for whole models: in doubles so small that hardly any of them crosses a bend, such as that of Relu.
 */
export const modelSteps: typeof stepSizes = { float32: 4e-2, float64: 1e-6 };

/**
 * Steps to try where slopes at {@link modelSteps} are not what they should be. In singles a wide step crosses bends, and a small
 * one drowns in rounding; which is worse depends on the model. A gradient that is wrong agrees at none of them.
 */
export const finerSteps: Readonly<Record<'float32' | 'float64', readonly number[]>> = {
  float32: [1e-2, 2.5e-3, 6e-4],
  float64: [],
};

/**
 * The slope of `f` along some of its coordinates, each by five points: the error is of order step⁴.
 *
 * @param at where; is changed while it runs, and is as it was afterwards
 * @param elements which coordinates
 * @param f reads `at`
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
