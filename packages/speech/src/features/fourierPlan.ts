/** @file How the transform of a frame is taken apart, and the numbers that its passes need. */

/** One pass of wasm/filterBank.wat, for one factor of the size; what the fields are is explained there. */
export interface FourierPass {
  readonly factor: 2 | 4 | 5;
  readonly m: number;
  readonly s: number;
  /** exp(−2πi·k·p / (factor·m)) for each p < m and k from 1 to factor − 1: real part, imaginary part. */
  readonly turns: Float32Array;
}

/** Whether frames of so many samples can be transformed: a multiple of 4 that no prime but 2 and 5 divides. */
export function isTransformable(size: number): boolean {
  return size > 0 && size % 4 === 0 && factorsOf(size / 2) !== undefined;
}

/** The passes that transform `size` complex numbers, a product of 2s and 5s. */
export function fourierPasses(size: number): FourierPass[] {
  let s = 1;
  return (factorsOf(size) ?? []).map((factor) => {
    const m = size / s / factor;
    const turns = new Float32Array(
      Array.from({ length: m }, (_, p) =>
        Array.from({ length: factor - 1 }, (_each, k) => turn((k + 1) * p, factor * m)),
      ).flat(2),
    );
    const pass = { factor, m, s, turns };
    s *= factor;
    return pass;
  });
}

/** exp(−2πi·k / size) for k from 1 to `size / 4`, which put the transform of a real frame together. */
export function realTurns(size: number): Float32Array {
  return new Float32Array(Array.from({ length: size / 4 }, (_, i) => turn(i + 1, size)).flat());
}

function turn(k: number, size: number): [number, number] {
  const angle = (-2 * Math.PI * k) / size;
  return [Math.cos(angle), Math.sin(angle)];
}

/** Large factors first: the fewest multiplications go to waste in a last pass of 2, whose turns are all 1. */
function factorsOf(size: number): (2 | 4 | 5)[] | undefined {
  const factors: (2 | 4 | 5)[] = [];
  let rest = size;
  for (const factor of [5, 4, 2] as const) {
    for (; rest % factor === 0; rest /= factor) factors.push(factor);
  }
  return rest === 1 ? factors : undefined;
}
