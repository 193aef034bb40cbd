/** @file The check of a model's gradients passes models of PEFT's cases, and sees a gradient that is wrong. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { type ModuleInfo, openModel } from '@onnx-lora/sdk';
import type { LossFragment } from '@onnx-lora/sdk/tasks';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { type ConformanceCase, readCase } from '../conformance/case.ts';
import type { Difference } from '../conformance/compare.ts';
import { lossFragment } from '../conformance/loss.ts';
import { randomFeeds } from '../random.ts';
import { ModelBuilder } from '../models/modelBuilder.ts';
import { checkGradients } from './checkGradients.ts';

const cases = path.join(import.meta.dirname, '../../../../test/fixtures/cases');

async function check(
  name: string,
  change: (subject: ConformanceCase) => Partial<Parameters<typeof checkGradients>[1]>,
): Promise<Difference[]> {
  const subject = await readCase(path.join(cases, name), {});
  const { model, feeds, targets } = subject;
  const loss = lossFragment(subject.loss!);
  return checkGradients(model, { loss, inputs: feeds, targets, elements: 3, ...change(subject) });
}

const problems = (found: readonly Difference[]): (string | undefined)[] => found.map(({ problem }) => problem);

it.each([
  // Attention with GELU, a saved head; embeddings of patches by a convolution that nothing trained reaches.
  ['vit-v4', { r: 2, targetModules: ['query', 'dense'], modulesToSave: ['classifier'] }, 1e-3],
  ['lora-linear', { r: 2, targetModules: ['up', 'down'], bias: 'lora_only' }, 1e-3],
  ['lora-conv2d-dilated', { r: 2, targetModules: ({ kind }: ModuleInfo) => kind === 'conv2d' }, 1e-3],
  // Fused attention, taken apart.
  ['bert-fused-ortopt', { r: 2, targetModules: ['query'] }, 1e-3],
] as const)('%s', async (name, lora, ofLargest) => {
  const found = await check(name, () => ({ lora }));
  expect(found.length).toBeGreaterThan(1);
  expect(problems(found)).toEqual(found.map(() => undefined));
  for (const { tolerance } of found) expect(tolerance).toEqual({ ofLargest });
});

it('in single precision, steps that cross bends are followed by smaller ones', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-bends-'));
  try {
    const builder = new ModelBuilder();
    const { g } = builder;
    const x = { name: 'x', type: 'float32' as const, shape: ['batch', 8] };
    const hidden = g.Relu(g.MatMul(x, builder.weight('fc', [8, 32], 0.3)));
    // LRN has no kernel in double precision.
    const y = g.Reshape(g.emit('LRN', [g.Reshape(hidden, [-1, 32, 1, 1])], { size: 1 }), [-1, 32]);
    writeOnnx(path.join(folder, 'bends.onnx'), builder.model([x], [{ ...y, shape: ['batch', 32] }]));
    const model = await openModel(path.join(folder, 'bends.onnx'));
    const [output] = Object.keys(model.outputs);
    const found = await checkGradients(model, {
      lora: { r: 2, loraAlpha: 2, targetModules: ({ kind }: ModuleInfo) => kind === 'linear' },
      loss: (b, outputs) => b.ReduceMean(outputs[output!]!, [0, 1], false),
      inputs: randomFeeds(model, { sizes: { batch: 4 } }),
      targets: {},
      elements: 16,
    });
    expect(found.length).toBe(2);
    expect(problems(found)).toEqual(found.map(() => undefined));
    for (const { tolerance } of found) expect(tolerance).toEqual({ ofLargest: 5e-3 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('a gradient that is 1 % too large fails', async () => {
  const found = await check('lora-linear', ({ loss }) => {
    const right = lossFragment(loss!);
    const wrong: LossFragment = (g, outputs, targets) => {
      const { logits } = outputs;
      const more = g.Sub(g.Mul(logits!, 1.01), g.stopGradient(g.Mul(logits!, 0.01)));
      return right(g, { logits: more }, targets);
    };
    return { lora: { r: 2, targetModules: ['up'] }, loss: wrong };
  });
  expect(problems(found).filter((problem) => problem !== undefined)).toHaveLength(found.length);
  expect(problems(found)[0]).toMatch(/lora_A.* is .*, expected .* \(error .*, allowed .*\)/);
});

it('a loss that is no number is told', async () => {
  await expect(
    check('lora-linear', ({ loss }) => ({
      lora: { r: 2, targetModules: ['up'] },
      loss: (g, outputs, targets) => g.Mul(lossFragment(loss!)(g, outputs, targets), NaN),
    })),
  ).rejects.toMatchObject({ code: 'LOSS_NOT_FINITE' });
});

it.each(['lora-linear', 'vit-dora-v4', 'lora-conv2d-dilated'])(
  'DoRA takes the norm of the weight as a constant: %s',
  async (name) => {
    const found = await check(name, () => ({
      lora: { r: 2, useDora: true, targetModules: ({ kind }: ModuleInfo) => /linear|conv/.test(kind) },
    }));
    expect(found.filter(({ name: each }) => each.includes('magnitude')).length).toBeGreaterThan(0);
    expect(problems(found)).toEqual(found.map(() => undefined));
  },
);
