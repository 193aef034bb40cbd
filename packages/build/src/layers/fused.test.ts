/** @file The fused form: which operators are there, that plain ones stay where no kernel does the work, and its gradients. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { openModel, OrtRuntime } from '@onnx-lora/sdk';
import { GradientStep, ParameterSet, parseSafetensors, planAdapter } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { expect, test } from 'vitest';
import { buildGraphs } from '../buildGraphs.ts';
import { buildPluginWith } from '../plugin.ts';

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

/** Gradients of the mean square of a fixture's logits, by adapters of all its layers. */
async function gradientsOf(name: string, form: 'plain' | 'fused'): Promise<ReadonlyMap<string, Float32Array>> {
  const folder = path.join(fixtures, name);
  const runtime = new OrtRuntime();
  const model = await openModel(folder, { plugins: [buildPluginWith([], { form })], runtime });
  const { plan } = planAdapter(model, { r: 2, targetModules: 'all-linear' });
  const step = new GradientStep({
    base: model.onnx.model,
    plan,
    loss: (g, { logits }) => g.ReduceMean(g.Mul(logits!, logits!), logits!.shape!.map((_, axis) => axis), false), // prettier-ignore
    runtime,
    parameters: (inputs) => {
      const parameters = ParameterSet.initial(inputs, new Random(1));
      for (const { value } of parameters.all) value.forEach((_, i) => (value[i] = 0.2 * Math.sin(i * i + 1)));
      return parameters;
    },
    name,
  });
  const { tensors } = parseSafetensors(readFileSync(path.join(folder, 'golden.safetensors')), 'golden');
  const runs = [...tensors.keys()].flatMap((key) => /^(.*)\.input\./.exec(key)?.[1] ?? []);
  const given = Object.keys(model.inputs).flatMap((input) => {
    const found = tensors.get(`${runs[0]}.input.${input}`);
    return found ? [[input, found] as const] : [];
  });
  const { gradients } = await step.lossAndGradients(Object.fromEntries(given), {});
  await step.release();
  return gradients;
}

test.each(['vit-cls', 'bert-seqcls', 'llama', 'qwen3'])('gradients of %s are those of the plain form', async (name) => {
  const [plain, fused] = [await gradientsOf(name, 'plain'), await gradientsOf(name, 'fused')];
  expect([...fused.keys()].sort()).toEqual([...plain.keys()].sort());
  for (const [key, want] of plain) {
    const largest = want.reduce((most, each) => Math.max(most, Math.abs(each)), 1e-3);
    fused.get(key)!.forEach((each, i) => expect(Math.abs(each - want[i]!) / largest, key).toBeLessThan(1e-4));
  }
});
