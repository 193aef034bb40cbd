/** @file With little memory a step computes more again, and the same gradients. */

import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { caseFolders } from '../../../../../test/support/caseFolders.ts';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { openModel } from '../../model/openModel.ts';
import { planAdapter } from '../../model/planning/planAdapter.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import type { LossAndGradients } from '../step/gradientMean.ts';
import { ParameterSet } from '../parameters.ts';
import { Trainer } from '../trainer.ts';
import type { LossFragment } from '../graph/addLoss.ts';
import { buildTrainingGraph } from '../graph/trainingGraph.ts';
import type { Memory } from './index.ts';

const meanSquare: LossFragment = (g, outputs) =>
  Object.values(outputs)
    .filter(({ type }) => type === 'float32')
    .map((output) => g.ReduceMean(g.Mul(output, output), output.shape!.map((_, i) => i), false))
    .reduce((a, b) => g.Add(a, b)); // prettier-ignore

const names = new Set(['vit-v4', 'opt-v4', 'albert-shared-v4', 'bert-fused-ortopt']);

const folders = caseFolders().filter(([name]) => names.has(name));

describe.each(folders)('%s', (_, folder) => {
  it('has the same gradients', async () => {
    const model = await openModel(path.join(folder, 'model.onnx'));
    const { tensors } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
    const inputs = Object.fromEntries(Object.keys(model.inputs).map((name) => [name, tensors.get(name)!]));
    const { plan } = planAdapter(model, { r: 2, targetModules: 'all-linear', initLoraWeights: 'gaussian' });
    const base = model.onnx.model;
    const gradients = (memory: Memory): Promise<LossAndGradients> => gradientsWith(base, plan, inputs, memory);
    const all = await gradients('auto');
    for (const memory of [200_000, 20_000, 1000]) {
      const { recomputes, model: graph } = buildTrainingGraph({
        base,
        plan,
        loss: meanSquare,
        inputs,
        targets: {},
        memory,
      });
      const again = (graph.graph!.node ?? []).filter(({ name = '' }) => name.startsWith('again/'));
      expect(again.length > 0).toBe(recomputes);
      if (memory === 1000) expect(again.some(({ opType }) => opType === 'MatMul' || opType === 'Gemm')).toBe(true);
      const { loss, gradients: found } = await gradients(memory);
      expect(loss).toBeCloseTo(all.loss, 6);
      for (const [name, expected] of all.gradients) expectClose(found.get(name)!, expected);
    }
  });
});

async function gradientsWith(
  base: ModelProto,
  plan: Parameters<typeof buildTrainingGraph>[0]['plan'],
  inputs: Feeds,
  memory: Memory,
): Promise<LossAndGradients> {
  const random = new Random(1);
  const trainer = new Trainer({
    base,
    plan,
    loss: meanSquare,
    runtime: new OrtRuntime(),
    session: { provider: 'cpu', threads: 1 },
    memory,
    parameters: (all) => {
      const set = ParameterSet.initial(all, random);
      // At B = 0 nothing would depend on A.
      for (const { value } of set.all) for (let i = 0; i < value.length; i++) value[i] = random.uniform(-0.3, 0.3);
      set.refresh();
      return set;
    },
    name: 'test',
  });
  try {
    return await trainer.lossAndGradients(inputs, {});
  } finally {
    await trainer.release();
  }
}

function expectClose(actual: Float32Array, expected: Float32Array): void {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i]!)), 0);
  expect(worst).toBeLessThanOrEqual(1e-4 * largest);
}
