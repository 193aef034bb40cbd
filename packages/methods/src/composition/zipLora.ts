/** @file ZipLoRA: two LoRAs side by side, each with a factor for every column, so that they get into each other's way less. */

import { Adapter, combineAdapters, float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { addScaled, createOptimizer, matmul, scaleColumns } from '@onnx-lora/sdk/plugin';
import { factorsOf, type ModuleFactors } from '../mixtures/factors.ts';

/** How {@link zipLora} looks for the factors of columns. */
export interface ZipLoraOptions {
  /** How much |m₁·m₂| counts beside what is lost of the two changes; 0.01 by default. */
  readonly lambda?: number;
  /** Steps of Adam; 100 by default. */
  readonly steps?: number;
  /** Its learning rate; 0.01 by default. */
  readonly lr?: number;
}

type Pair<T> = readonly [T, T];

/**
 * Merges two LoRAs of linear layers into one: ΔW = ΔW₁·diag(m₁) + ΔW₂·diag(m₂) in each layer that both adapt, where the factors of
 * columns m begin at 1 and make
 *
 * Σᵢ ‖(ΔW − ΔWᵢ)·Xᵢ‖² ÷ ‖ΔWᵢ·Xᵢ‖² + λ·|m₁·m₂|
 *
 * small. ZipLoRA's Xᵢ are what the layer reads of each adapter's own examples. Here they are the rows of ΔWᵢ, which training has
 * made of such inputs, so that no example is needed. The rank of the result is the sum of both.
 *
 * Shah et al., "ZipLoRA: Any Subject in Any Style by Effectively Merging LoRAs" (2023), arXiv:2311.13600; for the rows in place of
 * inputs Cheng et al., "Whoever Started the Interference Should End It" (2025), arXiv:2503.08099.
 *
 * @example
 * const both = zipLora(await loadAdapter('subject'), await loadAdapter('style'));
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for numbers out of their range; `INPUT_INVALID` for what is no LoRA of linear layers alone;
 *   `ADAPTER_MISMATCH` for adapters of different bases
 */
export function zipLora(first: Adapter, second: Adapter, options: ZipLoraOptions = {}): Adapter {
  const own = checked(options);
  const sum = (adapters: readonly Adapter[]): Adapter =>
    combineAdapters(
      adapters.map((adapter, i) => ({ adapter, name: ['first', 'second'][i]! })),
      { method: 'cat' },
    );
  // Whether they fit each other is told before anything is computed.
  sum([first, second]);
  // Alone, an adapter is the same in float32 and with scaling 1.
  const plain = [first, second].map((each) => sum([each]));
  const [ones, others] = plain.map((each, i) => factorsOf(each, ['first', 'second'][i]!));
  const found = new Map(
    [...ones!].flatMap(([module, one]) => {
      const other = others!.get(module);
      return other ? [[module, mergers([one, other], own)] as const] : [];
    }),
  );
  return sum(plain.map((each, i) => withColumns(each, (module) => found.get(module)?.[i])));
}

function checked({ lambda = 0.01, steps = 100, lr = 0.01 }: ZipLoraOptions): Required<ZipLoraOptions> {
  const wrong = (name: string, what: string, value: number): OnnxLoraError =>
    new OnnxLoraError('CONFIG_INVALID', `${name} of zipLora must be ${what}, but it is ${value}.`);
  if (!(lambda >= 0 && Number.isFinite(lambda))) throw wrong('lambda', 'a number of at least 0', lambda);
  if (!(Number.isSafeInteger(steps) && steps >= 0)) throw wrong('steps', 'a whole number of at least 0', steps);
  if (!(lr > 0 && Number.isFinite(lr))) throw wrong('lr', 'a number above 0', lr);
  return { lambda, steps, lr };
}

/** m₁ and m₂ of one layer, `[in]` each. */
function mergers(both: Pair<ModuleFactors>, { lambda, steps, lr }: Required<ZipLoraOptions>): Pair<Float32Array> {
  const width = both[0].A.columns;
  const m = new Float32Array(2 * width).fill(1);
  const of = (j: number): Float32Array => m.subarray(j * width, (j + 1) * width);
  // ‖Σⱼ Bⱼ·Tⱼ·Bᵢᵀ‖² = Σⱼₖ tr(Tⱼᵀ·Pⱼₖ·Tₖ·Pᵢᵢ) with Pⱼₖ = Bⱼᵀ·Bₖ, so that no whole weight is made.
  const P = both.map((left) => both.map((right) => matmul(left.B, right.B, { transposeA: true })));
  const norms = both.map(({ A }, i) => {
    const T = matmul(A, A, { transposeB: true });
    return dot(T.data, matmul(matmul(P[i]![i]!, T), P[i]![i]!).data) || 1;
  });
  const adam = createOptimizer('adam');
  for (let step = 0; step < steps; step++) {
    const side = Math.sign(dot(of(0), of(1)));
    const gradient = Float64Array.from(m, (_, at) => lambda * side * m[(at + width) % m.length]!);
    for (const [i, { A }] of both.entries()) {
      const T = both.map((each, j) => matmul(scaleColumns(each.A, of(j).map((value) => value - Number(i === j))), A, { transposeB: true })); // prettier-ignore
      for (const [j, each] of both.entries()) {
        const PT = addScaled(matmul(P[j]![0]!, T[0]!), matmul(P[j]![1]!, T[1]!), 1);
        const G = matmul(matmul(PT, P[i]![i]!), A);
        each.A.data.forEach((value, at) => (gradient[j * width + (at % width)]! += (2 * value * G.data[at]!) / norms[i]!)); // prettier-ignore
      }
    }
    // Each turn of the iterator moves a part of them.
    for (const _ of adam.update('m', m, Float32Array.from(gradient), { lr, weightDecay: 0, dims: [2, width] }));
  }
  return [of(0), of(1)];
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** The adapter with the columns of A times the factors of their module, where it has such. */
function withColumns(
  { config, tensors, baseDigest, notes }: Adapter,
  factors: (module: string) => Float32Array | undefined,
): Adapter {
  // prettier-ignore
  const changed = [...tensors].map(([name, tensor]): [string, Tensor] => {
    const m = factors(/^base_model\.model\.(.+)\.lora_A\.weight$/.exec(name)?.[1] ?? '');
    if (!m) return [name, tensor];
    return [name, float32(Float32Array.from(tensor.data as Float32Array, (value, at) => value * m[at % m.length]!), tensor.dims)]; // prettier-ignore
  });
  return new Adapter(config, new Map(changed), baseDigest, notes);
}
