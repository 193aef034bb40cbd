/** @file Adapters of embeddings: y = E[ids] + A[ids]·B. */

import { type LayerKind, transposedFactors } from './kind.ts';
import { matrixNorm } from './linear.ts';

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
