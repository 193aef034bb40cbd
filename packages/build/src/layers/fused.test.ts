/** @file The fused form: which operators are there, and that plain ones stay where no kernel does the work. */

import path from 'node:path';
import { expect, test } from 'vitest';
import { buildGraphs } from '../buildGraphs.ts';

const fixtures = path.join(import.meta.dirname, '../../fixtures');

/** How often each operator of a graph occurs, of those whose name matches. */
async function counted(name: string, graph: string, wanted: RegExp): Promise<Record<string, number>> {
  const { graphs } = await buildGraphs(path.join(fixtures, name), { form: 'fused' });
  const counts: Record<string, number> = {};
  for (const { opType = '' } of graphs.get(graph)!.graph!.node!) {
    if (wanted.test(opType)) counts[opType] = (counts[opType] ?? 0) + 1;
  }
  return counts;
}

const attentions = /Attention|Softmax|Rotary|Simplified|ReduceMean/;

test.each<[string, string, Record<string, number>]>([
  ['vit-cls', 'model', { MultiHeadAttention: 2 }],
  ['bert-seqcls', 'model', { MultiHeadAttention: 2 }],
  ['llama', 'model', { MultiHeadAttention: 2, RotaryEmbedding: 4, SimplifiedLayerNormalization: 1, SkipSimplifiedLayerNormalization: 4 }], // prettier-ignore
  // Heads share keys, but are not of a size that the operator for them takes.
  ['qwen2-bf16', 'model', { MultiHeadAttention: 2, RotaryEmbedding: 4, SimplifiedLayerNormalization: 1, SkipSimplifiedLayerNormalization: 4 }], // prettier-ignore
  ['whisper', 'encoder_model', { MultiHeadAttention: 2 }],
  ['whisper', 'decoder_with_past_model', { MultiHeadAttention: 4 }],
  ['gpt2', 'model', { MultiHeadAttention: 2 }],
  // Scores have a cap, which only the other operator knows.
  ['gemma2', 'model', { GroupQueryAttention: 2, RotaryEmbedding: 4, SimplifiedLayerNormalization: 5, SkipSimplifiedLayerNormalization: 4 }], // prettier-ignore
])('%s, %s', async (name, graph, counts) => {
  expect(await counted(name, graph, attentions)).toEqual(counts);
});

test('a form that there is not', async () => {
  const form = 'small' as 'fused';
  await expect(buildGraphs(path.join(fixtures, 'vit-cls'), { form })).rejects.toThrow(/plain or fused, not "small"/);
});
