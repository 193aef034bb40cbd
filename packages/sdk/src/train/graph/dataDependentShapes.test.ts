/** @file A loss on an output whose length depends on the data is told what it can be computed from. */

import { expect, test } from 'vitest';
import { formAdapter, sited } from '../../../../../test/support/formAdapters.ts';
import { modelOf } from '../../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import type { LossFragment } from './addLoss.ts';
import { shapeOf } from '../losses/operands.ts';
import { buildTrainingGraph } from './trainingGraph.ts';

const form = { kind: 'linear', weightShape: [4, 4] } as const;

/** The scores above a threshold, as detectors give them. */
function kept(loss: LossFragment, isWeighted = false): () => unknown {
  const g = new WeightBuilder(18, '/fc/');
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', 4] };
  const scores = g.MatMul(x, g.floats(randomFloats([4, 4], new Random(2)), [4, 4]));
  const flat = g.Reshape(scores, [-1]);
  const places = g.Reshape(g.emit('NonZero', [g.emit('Greater', [flat, g.scalar(0, 'float32')])]), [-1]);
  const left = g.Gather(flat, places, 0);
  const weight = (): Value => g.Transpose(g.floats(randomFloats([4, 1], new Random(3)), [4, 1]), [1, 0]);
  const y = isWeighted ? g.MatMul(g.Reshape(left, [-1, 1]), weight()) : left;
  const base = sited(modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers })); // prettier-ignore
  const placed = base.place(formAdapter(form));
  const plan = placed.tunings.map(({ tuning }) => tuning);
  return () => buildTrainingGraph({ base: base.model, plan, loss, inputs: { x: float32(new Float32Array(8), [2, 4]) }, targets: {} }); // prettier-ignore
}

test.each<[string, LossFragment]>([
  ['its own sizes', (g, outputs) => g.ReduceMean(g.Reshape(Object.values(outputs)[0]!, [...shapeOf(Object.values(outputs)[0]!)]), [0], false)], // prettier-ignore
  ['its gradient', (g, outputs) => g.ReduceMean(g.Mul(Object.values(outputs)[0]!, Object.values(outputs)[0]!), [0], false)], // prettier-ignore
])('%s', (_, loss) => {
  expect(kept(loss)).toThrow(
    expect.objectContaining({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(
        /How long the output "[^"]+" is depends on the data: NonZero "[^"]+" decides it.*from a value before it: "[^"]+" \[8\].*outputs: \["[^"]+"\].*model\.withOutputs/,
      ),
    }),
  );
});

test('a transpose of weights behind the open length is no value to compute a loss from', () => {
  const loss: LossFragment = (g, outputs) => g.ReduceMean(g.Mul(Object.values(outputs)[0]!, Object.values(outputs)[0]!), [0, 1], false); // prettier-ignore
  const message = expect.stringMatching(/from a value before it: "[^"]*Reshape[^"]*" \[8\]/) as string;
  expect(kept(loss, true)).toThrow(expect.objectContaining({ message }));
  expect(kept(loss, true)).not.toThrow(/Transpose/);
});
