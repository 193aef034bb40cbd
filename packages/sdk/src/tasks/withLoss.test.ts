import { expect, it } from 'vitest';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { inferNode } from '../ops/infer.ts';
import { taskOf } from '../../fixtures/memorise.ts';
import { float32 } from '../runtime/tensor.ts';
import { l1, meanSquaredError } from '../train/losses/index.ts';
import type { Task } from '../plugin/preparedTask.ts';
import type { TaskModel } from '../plugin/taskModel.ts';
import { withLoss } from './withLoss.ts';

const model: TaskModel = { name: 'model', inputs: {}, outputs: {} };
const y: Value = { name: 'y', type: 'float32', shape: [2, 1] };

/** A class, whose methods need `this`, with a loss that is a mean over rows. */
function regression(): Task<number> {
  const plain = taskOf(4, { x: float32([1, 2, 3, 4], [4, 1]) }, { y: float32([5, 6, 7, 8], [4, 1]) }, (g, out, to) =>
    meanSquaredError(g, out['y']!, to['y']!),
  );
  return {
    name: 'regression',
    prepare: async (about) => ({
      ...(await plain.prepare(about)),
      lossWeight: ({ y: targets }) => targets!.dims[0]!,
    }),
  };
}

it('changes the loss and nothing else', async () => {
  const task = withLoss(regression(), (g, outputs, targets) => l1(g, outputs['y']!, targets['y']!));
  const prepared = await task.prepare(model);
  expect(task.name).toBe('regression');
  expect(prepared.train.length).toBe(4);
  const batch = await prepared.collate([3, 0]);
  expect([...batch.inputs['x']!.data]).toEqual([4, 1]);
  expect(prepared.lossWeight!(batch.targets)).toBe(2);
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
  prepared.loss(g, { y }, { y });
  expect(g.nodes.map(({ opType }) => opType)).toContain('Abs');
});

it('computes no parts of a batch whose rows are compared', async () => {
  const task = withLoss(regression(), (g, outputs, targets) => l1(g, outputs['y']!, targets['y']!), {
    comparesRows: true,
  });
  expect(await task.prepare(model)).not.toHaveProperty('lossWeight');
});
