/** @file PVeRA in training, where it draws, held to PEFT's numbers with the same noise. */

import { expect, it } from 'vitest';
import { sited } from './support/formAdapters.ts';
import { modelOf } from './support/graphs.ts';
import { WeightBuilder } from './support/storedWeights.ts';
import type { Value } from '../packages/sdk/src/graph/builder.ts';
import { ByTuner } from '../packages/sdk/src/lora/methods/byTuner.ts';
import { OrtRuntime } from '../packages/sdk/src/runtime/ort.ts';
import { float32, sizeOf, type Tensor } from '../packages/sdk/src/runtime/tensor.ts';
import { ParameterSet } from '../packages/sdk/src/train/parameters.ts';
import { Trainer } from '../packages/sdk/src/train/trainer.ts';
import { pvera } from '../packages/methods/src/tuners/sharedProjections/pvera.ts';

/** sin(start + 1.7·i), as the numbers of PEFT were computed from. */
function wave(dims: readonly number[], start: number, factor = 1): Tensor {
  return float32(
    Float32Array.from({ length: sizeOf(dims) }, (_, i) => factor * Math.sin(start + 1.7 * i)),
    dims,
  );
}

it('the mean of tanh y, and its gradients', async () => {
  const g = new WeightBuilder(17, '/fc/');
  const x: Value = { name: 'x', type: 'float32', shape: [2, 4] };
  const weight = (dims: readonly number[], start: number): Value => g.floats([...(wave(dims, start).data as Float32Array)], dims); // prettier-ignore
  const y = g.emit('Gemm', [x, weight([3, 4], 1), weight([3], 2)], { transB: 1 });
  g.nodes[0]!.name = '/fc/Gemm';
  const model = modelOf({ opset: 17, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  const chosen = { tuner: pvera, settings: { ...pvera.defaults, r: 2 } };
  const [tuning] = ByTuner.all([{ site: sited(model).sites[0]!, module: 'fc' }], chosen) as [ByTuner];
  const saved = new Map([
    ['pvera_A', wave([4, 4], 5, 0.5)],
    ['pvera_B', wave([3, 2], 6, 0.5)],
    ['pvera_lambda_d', wave([4], 7)],
    ['pvera_lambda_b', wave([3], 8)],
  ]);
  const trainer = new Trainer({
    base: model,
    plan: [tuning],
    loss: (builder, outputs) => builder.ReduceMean(builder.Tanh(Object.values(outputs)[0]!), [0, 1], false),
    runtime: new OrtRuntime(),
    session: { provider: 'cpu', threads: 1 },
    drawMask: ({ dims, keep }) => {
      expect(keep).toBe('noise');
      return wave(dims, 9).data as Float32Array;
    },
    parameters: (inputs) => ParameterSet.of({ tunings: [{ tuning, saved, names: [] }] }, inputs),
    name: 'linear',
  });
  const { loss, gradients } = await trainer.lossAndGradients({ x: wave([2, 4], 3) }, {});
  await trainer.release();
  // PEFT 0.21.2 in float64, in training mode.
  expect(loss).toBeCloseTo(-0.245134717, 5);
  const expected = {
    'fc.pvera_lambda_d': [0.010766666, -0.075511965, 0.004142174, -0.000025576],
    'fc.pvera_lambda_b': [-0.026764165, 0.097796028, -0.001235674],
  };
  for (const [name, numbers] of Object.entries(expected)) {
    const found = gradients.get(name)!;
    numbers.forEach((each, i) => {
      expect(found[i]).toBeCloseTo(each, 5);
    });
  }
});
