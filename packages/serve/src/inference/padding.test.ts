/** @file Tests of sequences that share a batch: their answers are those that each has alone. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Feeds, int64, type Model, openModel, OrtRuntime } from '@onnx-lora/sdk';
import { ModelBuilder, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import type { BatchReport } from '../scheduler/options.ts';
import { createScheduler } from '../scheduler/scheduler.ts';
import { compute, type Outputs, submit, type Work } from './compute.ts';
import { paddingOf } from './padding.ts';
import { Replicas } from './replicas.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-padding-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const models = path.join(import.meta.dirname, '../../../../docs/examples/models');
const runtime = new OrtRuntime();

/** Token vectors, and their mean over all positions or those of the mask. */
async function pooling(kind: 'masked mean' | 'mean', name = 'attention_mask'): Promise<Model> {
  const builder = new ModelBuilder();
  const { g } = builder;
  const ids = { name: 'input_ids', type: 'int64' as const, shape: ['batch', 'length'] };
  const mask = { ...ids, name };
  const vectors = g.Gather(builder.weight('table', [10, 4]), ids, 0);
  const weights = g.Unsqueeze(g.Cast(mask, 1), [2]);
  const shown = g.Mul(vectors, weights);
  const pooled =
    kind === 'mean'
      ? g.ReduceMean(vectors, [1], false)
      : g.Div(g.ReduceSum(shown, [1], false), g.ReduceSum(weights, [1], false));
  const [tokens, mean] = [shown, pooled].map((value) => g.Tanh(value)) as [typeof shown, typeof shown];
  const outputs = [
    { ...tokens, shape: ['batch', 'length', 4] },
    { ...mean, shape: ['batch', 4] },
  ];
  const folder = path.join(scratch, `${kind} ${name}`);
  return openModel(await publishModel(folder, { model: builder.model([ids, mask], outputs) }), { runtime });
}

const text = (length: number, rows = 1, own: (row: number) => number = () => length): Feeds => {
  const at = Array.from({ length: rows * length }, (_, i) => [Math.floor(i / length), i % length] as const);
  const dims = [rows, length];
  return {
    input_ids: int64(at.map(([row, i]) => 1 + ((row * 5 + i * 3 + length) % 9)), dims), // prettier-ignore
    attention_mask: int64(at.map(([row, i]) => (i < own(row) ? 1 : 0)), dims), // prettier-ignore
  };
};

test('what may be padded is found out by trying', async () => {
  const found = async (model: Model): Promise<string[] | undefined> => {
    await using session = await model.session();
    const padding = await paddingOf(model, session);
    return padding && [...padding.positions, '|', ...padding.whole];
  };
  const masked = await pooling('masked mean');
  const [tokens, mean] = Object.keys(masked.outputs);
  expect(await found(masked)).toEqual([tokens, '|', mean]);
  // This mean would be another with padding.
  expect(await found(await pooling('mean'))).toBeUndefined();
  expect(await found(await pooling('masked mean', 'mask'))).toBeUndefined();
  expect(await found(await openModel(path.join(models, 'minilm-tiny'), { runtime }))).toEqual(['last_hidden_state', '|']); // prettier-ignore
  expect(await found(await openModel(path.join(models, 'esm2-tiny'), { runtime }))).toEqual(['logits', '|']);
  expect(await found(await openModel(path.join(models, 'vit-mnist'), { runtime }))).toBeUndefined();
  expect(await found(await openModel(path.join(models, 'llama-tiny'), { runtime }))).toBeUndefined();
});

test('answers of a padded batch are those of each request alone', async () => {
  const model = await openModel(path.join(models, 'esm2-tiny'), { runtime });
  const adapters = {
    a: await randomAdapter(model, { lora: { r: 2, targetModules: ['query'] }, seed: 1 }),
    b: await randomAdapter(model, { lora: { r: 4, targetModules: ['query'] }, seed: 2 }),
  };
  const session = await model.session({ adapters });
  onTestFinished(() => session.release());
  const padding = (await paddingOf(model, session))!;
  const loaded = {
    id: 'esm2',
    session: new Replicas([session]),
    outputs: new Set(session.outputNames),
    takesRows: true,
    padding,
  };
  const batches: BatchReport[] = [];
  const scheduler = createScheduler<Work, Outputs>(compute, { observer: { batch: (each) => batches.push(each) } });
  const requests = [text(9), text(12), text(11, 2, (row) => 11 - 4 * row), text(3), text(12), text(4)].map(
    (feeds, i) => {
      return { feeds, adapter: [null, 'a', 'b'][i % 3]! };
    },
  );
  const fetches = ['logits'];
  const answers = await Promise.all(
    requests.map(({ feeds, adapter }) => submit(scheduler, { loaded, feeds, fetches, bound: undefined }, adapter, '')),
  );
  // With the last there would be more than a fifth of padding.
  expect(batches.map(({ jobs, isWhole }) => [jobs, isWhole])).toEqual([[5, true], [1, true]]); // prettier-ignore
  expect(batches[0]!.padding).toBeCloseTo(1 - (9 + 12 + 22 + 3 + 12) / (6 * 12), 10);
  for (const [i, { feeds, adapter }] of requests.entries()) {
    const { logits } = await session.run(feeds, { adapter });
    const got = answers[i]!['logits']!;
    expect(got.dims).toEqual(logits!.dims);
    const worst = (got.data as Float32Array).reduce((most, value, j) => Math.max(most, Math.abs(value - (logits!.data as Float32Array)[j]!)), 0); // prettier-ignore
    expect(worst).toBeLessThan(1e-4);
  }
});
