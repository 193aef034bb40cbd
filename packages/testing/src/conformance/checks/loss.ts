/** @file Checks the loss on the adapter's outputs against torch, without gradients. */

import type { Runtime, Feeds, Tensor } from '@onnx-lora/sdk';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { sessionModel, inferNode, opsetOf } from '@onnx-lora/sdk/plugin';
import { port } from '../../graphs.ts';
import { released } from '../../scratch.ts';
import type { ConformanceCase } from '../case.ts';
import { type Check, judge, notApplicable } from '../check.ts';
import { compareTensors } from '../compare.ts';
import { caseLoss } from '../loss.ts';
import { caseAdapter, outputsOf, toleranceOf } from '../outputs.ts';

export const loss: Check = {
  name: 'loss',
  async run(subject, { runtime }) {
    const expected = subject.expected.get('lora.loss');
    if (!expected) return notApplicable('the case expects no lora.loss');
    const fragment = caseLoss(subject);
    const outputs = await outputsOf(subject.model, subject, await caseAdapter(subject));
    return judge([
      compareTensors(
        'loss',
        await lossOf(subject, fragment, outputs, runtime),
        expected,
        toleranceOf(subject, 'output'),
      ),
    ]);
  },
};

async function lossOf(
  subject: ConformanceCase,
  fragment: ReturnType<typeof caseLoss>,
  outputs: Feeds,
  runtime: Runtime,
): Promise<Tensor | undefined> {
  const { opsetImport = [], irVersion } = subject.model.onnx.model;
  const g = new GraphBuilder({ opset: opsetOf(subject.model.onnx.model), infer: inferNode, prefix: 'loss/' });
  const feeds: Feeds = {
    ...outputs,
    ...Object.fromEntries(Object.entries(subject.targets).map(([name, tensor]) => [`target/${name}`, tensor])),
  };
  const values = (tensors: Feeds, prefix: string): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, { type, dims }]) => [name, { name: `${prefix}${name}`, type, shape: dims }]),
    );
  const value = fragment(g, values(outputs, ''), values(subject.targets, 'target/'));
  const input = Object.entries(feeds).map(([name, { type, dims }]) => port({ name, type, shape: dims }));
  const model = {
    ...(irVersion === undefined ? {} : { irVersion }),
    opsetImport,
    graph: { name: 'loss', node: g.nodes, initializer: g.initializers, input, output: [{ name: value.name }] },
  };
  const session = await runtime.createSession({ ...sessionModel(model), name: `${subject.id} loss` }, { threads: 1 });
  return released(session, async () => (await session.run(feeds))[value.name]);
}
