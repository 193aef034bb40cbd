/** @file The check of a model's gradients passes models of PEFT's cases, and sees a gradient that is wrong. */

import path from 'node:path';
import { expect, it } from 'vitest';
import type { ModuleInfo } from '../../model/model.ts';
import type { LossFragment } from '../../train/addLoss.ts';
import { type ConformanceCase, readCase } from '../conformance/case.ts';
import type { Difference } from '../conformance/compare.ts';
import { lossFragment } from '../conformance/loss.ts';
import { checkGradients } from './checkGradients.ts';

const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');

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

it('DoRA, whose norm has no gradient on purpose, is refused', async () => {
  await expect(check('lora-linear', () => ({ lora: { useDora: true, targetModules: ['up'] } }))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});
