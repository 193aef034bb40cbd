/** @file Adapters of quantised bases: how they start, and that the base stays as it is. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { scalingOf } from '../../adapter/formats/scaling.ts';
import { svd } from '../../linalg/decompositions.ts';
import { addScaled, type Matrix, matmul } from '../../linalg/matrix.ts';
import { type BaseStorage, golden, goldenMatrix, mlp } from '../../../fixtures/inits/mlp.ts';
import { weightMatrix } from '../../lora/init/weightMatrix.ts';
import { type Case, factorsOf, furthest, losses, mlpCase, outputOf } from '../../../fixtures/memorise.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-init-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const weightOf = (layer: string): ReturnType<typeof golden> => golden(`base.${layer}.weight`);
const caseOf = (storage: BaseStorage): Promise<Case> =>
  mlpCase(path.join(folder, `${storage}.onnx`), mlp(weightOf, storage));
const original = (await caseOf('float')).model;

/** How far a layer's weight is from that before quantising: all, and what an adapter leaves. */
const norm = ({ data }: Matrix): number => Math.hypot(...data);

describe.each([
  ['int8', ['fc1', 'fc2']],
  ['nBits', ['fc2']],
] as const)('a base in %s', (storage, targetModules) => {
  it.each(['pissa', 'olora', 'corda', 'eva', 'orthogonal'])('can start with %s, and keeps its file', async (name) => {
    const base = await caseOf(storage);
    const before = readFileSync(base.model.file);
    const options = { initBatches: 1 };
    const run = await losses(base, { initLoraWeights: name, targetModules }, { ...options, steps: 4 });
    expect(run.losses[0]).toBeCloseTo(base.lossOf(await outputOf(base)), 5);
    expect(run.losses[3]!).toBeLessThan(run.losses[0]!);
    const shorter = await losses(base, { initLoraWeights: name, targetModules }, { ...options, steps: 3 });
    expect(base.lossOf(await outputOf(base, shorter.adapter))).toBeCloseTo(run.losses[3]!, 5);
    expect(readFileSync(base.model.file).equals(before)).toBe(true);
  });

  it('starts with loftq nearer to the model before quantising, by the best delta of its rank', async () => {
    const base = await caseOf(storage);
    // So small a step that the adapter is still what it began with.
    const { adapter, losses: found } = await losses(
      base,
      { initLoraWeights: 'loftq', original, targetModules },
      { steps: 1, lr: 1e-12 },
    );
    expect(adapter.config.initLoraWeights).toBe(true);
    for (const site of base.model.sites()) {
      if (!(targetModules as readonly string[]).includes(site.path)) continue;
      const { A, B } = factorsOf(adapter, site.path);
      const lost = addScaled(goldenMatrix(`base.${site.path}.weight`), weightMatrix(site), -1);
      const left = addScaled(lost, matmul(B, A), -scalingOf(adapter.config, site.path).scaling);
      // Eckart and Young: no delta of rank 4 leaves less than the other singular values.
      const least = Math.hypot(...svd(lost).S.subarray(4));
      expect(norm(left)).toBeCloseTo(least, 5);
      expect(norm(left)).toBeLessThan(0.9 * norm(lost));
    }
    const wanted = golden('base.y');
    expect(furthest(await outputOf(base, adapter), wanted)).toBeLessThan(furthest(await outputOf(base), wanted));
    expect(found[0]).toBeCloseTo(base.lossOf(await outputOf(base, adapter)), 5);
  });
});

it('lora_ga takes gradients of weights that become floats, and refuses others', async () => {
  const base = await caseOf('int8');
  const run = await losses(base, { initLoraWeights: 'lora_ga' }, { steps: 2 });
  expect(run.losses[0]).toBeCloseTo(base.lossOf(await outputOf(base)), 5);
  expect(run.losses[1]!).toBeLessThan(run.losses[0]!);
  await expect(
    losses(await caseOf('nBits'), { initLoraWeights: 'lora_ga' }),
  ).rejects.toThrowErrorMatchingInlineSnapshot(
    `[OnnxLoraError: "fc1" cannot start with "lora_ga": the layer reads its weight as uint4, blocks of 16, which cannot have a gradient. Leave it out (excludeModules), change the rank, or take another initialisation.]`,
  );
});

it('loftq wants a base that is quantised, and the model before', async () => {
  const base = await caseOf('float');
  await expect(losses(base, { initLoraWeights: 'loftq', original })).rejects.toThrow(
    'stores the layers to adapt as "' + original.name + '" does (float32), so there is nothing lost',
  );
  await expect(losses(base, { initLoraWeights: 'loftq' })).rejects.toThrow('none is given. Name it with original');
});
