/** @file Attention that ONNX Runtime's optimizers have fused: PEFT's adapter of torch's model acts, trains and merges. */

import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { exportWithInputs, float32, loadAdapter, merge, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { parseOrtAdapter } from '@onnx-lora/sdk/core';
import { openOnnx, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { visionFamilies } from '@onnx-lora/vision';
import { conformance, randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { caseFolders } from './support/caseFolders.ts';
import { runOnce } from './support/graphs.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures/fused');
const folders = new Map(caseFolders());
let scratch = '';

beforeAll(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-fused-'));
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** Folders of cases by name of graph: a case's numbers hold for the graph with its weights. */
function caseOf(graph: string): string {
  const numbers = graph.startsWith('vit-v4') ? 'vit-v4' : graph.startsWith('vit-v5') ? 'vit-dynamo-v5' : undefined;
  if (numbers === undefined) return path.join(fixtures, graph);
  const folder = path.join(scratch, graph);
  cpSync(folders.get(numbers)!, folder, { recursive: true });
  cpSync(path.join(fixtures, `${graph}.onnx`), path.join(folder, 'model.onnx'));
  return folder;
}

const layers = (of: (layer: number) => string, names: readonly string[]): string[] =>
  [0, 1].flatMap((layer) => names.map((name) => `${of(layer)}.${name}`));
const old = layers((layer) => `vit.encoder.layer.${layer}.attention.attention`, ['key', 'query', 'value']);
const recent = layers((layer) => `vit.layers.${layer}.attention`, ['k_proj', 'q_proj', 'v_proj']);

const words = layers((layer) => `bert.encoder.layer.${layer}.attention.self`, ['key', 'query', 'value']);

const graphs = [
  ['vit-v4-script-attention', old, 'Attention'],
  ['vit-v4-script-multi-head', old, 'MultiHeadAttention'],
  ['vit-v4-dynamo-attention', old, 'Attention'],
  ['vit-v4-dynamo-multi-head', old, 'MultiHeadAttention'],
  ['vit-v5-onnxscript-attention', recent, 'Attention'],
  ['bert-onnxscript-attention', words, 'Attention'],
  ['no-bias', recent, undefined],
  ['equal-biases', recent, undefined],
  ['keys-without-bias', ['k_proj', 'q_proj', 'v_proj'].map((name) => `self_attn.${name}`), undefined],
] as const;

/** The largest difference of two tensors, relative to the largest number of the second. */
function difference(found: Tensor, wanted: Tensor): number {
  const [a, b] = [found.data as Float32Array, wanted.data as Float32Array];
  expect(a.length).toBe(b.length);
  const most = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0) / most;
}

const projections = (model: Model): string[] =>
  model.modules().flatMap((each) => (each.path.includes('attention') || each.path.includes('self_attn') ? [each.path] : [])); // prettier-ignore

describe.each(graphs)('%s', (graph, names, operator) => {
  it("has PEFT's names, with a family or without", async () => {
    const file = path.join(caseOf(graph), 'model.onnx');
    const nodes = openOnnx(file).model.graph.node!;
    if (operator) expect(nodes.filter(({ opType }) => opType === operator)).toHaveLength(2);
    for (const families of [[], visionFamilies]) {
      const model = await openModel(file, { families });
      const found = projections(model).filter((each) => !/\.(?:o_proj|out_proj|dense)$/.test(each));
      expect(found.toSorted()).toEqual(names.toSorted());
    }
  });

  it("meets PEFT's numbers: forward, gradients, training, merged", async () => {
    const { checks } = await conformance(caseOf(graph));
    expect(checks.filter(({ status }) => status !== 'passed')).toEqual([]);
    expect(checks.map(({ check }) => check)).toEqual(
      expect.arrayContaining(['forward', 'gradients', 'train', 'merge']),
    );
  });
});

describe.each(graphs.filter(([graph]) => graph.startsWith('vit')))('%s', (graph, names) => {
  const input = float32(Array.from({ length: 2 * 3 * 32 * 32 }, (_, i) => Math.sin(i * 0.37)), [2, 3, 32, 32]); // prettier-ignore

  async function logits(model: Model, adapter?: Awaited<ReturnType<typeof randomAdapter>>): Promise<Tensor> {
    const session = await model.session(adapter ? { adapters: { adapter } } : {});
    try {
      return (await session.run({ pixel_values: input }, adapter ? { adapter: 'adapter' } : {}))['logits']!;
    } finally {
      await session.release();
    }
  }

  it.each([[['query', 'value']], [['q_proj', 'v_proj']]])(
    'an adapter of %s is saved, merged and exported',
    async (targetModules) => {
      const model = await openModel(path.join(caseOf(graph), 'model.onnx'), { families: visionFamilies });
      const adapter = await randomAdapter(model, { lora: { r: 3, targetModules }, seed: 2 });
      const name = `${graph}-${targetModules[0]}`;
      const place = path.join(scratch, name);
      await adapter.save(place);
      const saved = await loadAdapter(place);
      const wanted = names.filter((name) => !/\.(?:key|k_proj)$/.test(name));
      expect([...saved.tensors.keys()].toSorted()).toEqual(
        wanted.flatMap((name) => ['A', 'B'].map((each) => `base_model.model.${name}.lora_${each}.weight`)).toSorted(),
      );
      const [base, beside] = [await logits(model), await logits(model, saved)];
      expect(difference(beside, base)).toBeGreaterThan(1e-3);
      const file = `${place}.onnx`;
      await merge(model, saved, file);
      expect(difference(await logits(await openModel(file)), beside)).toBeLessThan(1e-5);
      const { files, adapters } = await exportWithInputs(model, { [name]: saved }, `${place}-inputs.onnx`);
      const { model: exported } = openOnnx(files[0]!);
      const given = parseOrtAdapter(readFileSync(adapters[name]!), adapters[name]!);
      const initializer = exported.graph.initializer!.map((each) => (given.has(each.name!) ? tensorProto(each.name!, given.get(each.name!)!) : each)); // prettier-ignore
      const filled = `${place}-filled.onnx`;
      writeOnnx(filled, { ...exported, graph: { ...exported.graph, initializer } });
      const run = (await runOnce(openOnnx(filled).model, { pixel_values: input }))['logits']!;
      expect(difference(run, beside)).toBeLessThan(1e-5);
    },
  );
});
