/** @file Adapters of linear layers, y = x·W + (x·A)·B, and of embeddings, y = E[ids] + A[ids]·B. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { type LayerKind, transposedFactors } from './kind.ts';

/** Linear layers: A `[r, in]`, B `[out, r]`. */
export const linear: LayerKind = {
  names: { lora_A: 'lora_A', lora_B: 'lora_B' },
  perRow: true,
  leastRank: () => 0,
  matrix: ({ weightShape: [out, width], weight }) => ({
    out: out!,
    width: width!,
    layout: weight.layout === 'in-out' ? 'in-out' : 'out-in',
    groups: 1,
  }),
  ...transposedFactors(({ weightShape: [out, width] }, factor, r) => (factor === 'lora_A' ? [r, width!] : [out!, r])),
  perOutputShape: ({ weightShape: [out] }) => [out!],
  refuses: (_, adapter) => twoVariants(adapter),
  product: (g, _, x, A, B) => g.MatMul(g.MatMul(x, A), B),
  whole: (g, _, x, weight) => g.MatMul(x, g.Transpose(weight, [1, 0])),
  adaptedNorm: (g, { weight: { layout } }, weight, A, B) => matrixNorm(g, weight, g.MatMul(A, B), layout === 'in-out'),
  outputBias: (_, __, bias) => bias,
};

/** PEFT excludes DoRA together with a bias of B. */
export function twoVariants({ dora, bias }: { readonly dora: boolean; readonly bias: boolean }): string | undefined {
  return dora && bias ? 'has both DoRA and a lora_B.bias, which exclude each other' : undefined;
}

/** ‖W + Δ‖ per output for Δ `[in, out]`. @param isInOut whether W is `[in, out]` too, rather than `[out, in]` */
function matrixNorm(g: GraphBuilder, weight: Value, delta: Value, isInOut: boolean): Value {
  const adapted = g.Add(weight, isInOut ? delta : g.Transpose(delta, [1, 0]));
  return g.Sqrt(g.ReduceSumSquare(adapted, [isInOut ? 0 : 1], false));
}

/** Table E `[vocabulary, dim]`, A `[r, vocabulary]`, B `[dim, r]`. Other readers of a tied table keep the base's. */
export const embedding: LayerKind = {
  names: { lora_A: 'lora_embedding_A', lora_B: 'lora_embedding_B' },
  // Each row of a batch would need its own lookup table.
  perRow: false,
  leastRank: () => 0,
  matrix: ({ weightShape: [vocabulary, dim] }) => ({ out: dim!, width: vocabulary!, layout: 'in-out', groups: 1 }),
  ...transposedFactors(({ weightShape: [vocabulary, dim] }, factor, r) =>
    factor === 'lora_A' ? [r, vocabulary!] : [dim!, r],
  ),
  perOutputShape: ({ weightShape: [, dim] }) => [dim!],
  refuses: (_, { bias }) => (bias ? 'is an embedding, whose lora_B has no bias' : undefined),
  product: (g, _, ids, A, B) => g.MatMul(g.Gather(A, ids, 0), B),
  whole: (g, _, ids, table) => g.Gather(table, ids, 0),
  adaptedNorm: (g, _, table, A, B) => matrixNorm(g, table, g.MatMul(A, B), true),
  outputBias: (_, __, bias) => bias,
  // The reverse of other layers: A is zero, so that only rows that are looked up change.
  initial: (_, factor, size, random) => {
    const values = new Float32Array(size);
    return factor === 'lora_A' ? values : values.map(() => random.normal());
  },
};
