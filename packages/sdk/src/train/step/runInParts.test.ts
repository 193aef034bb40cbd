/** @file A model that runs in parts gives what it gives as a whole, and no part has more weights than it may. */

import path from 'node:path';
import { expect, test } from 'vitest';
import { difference, modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import { sessionModel } from '../../ops/session/sessionModel.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { inferNode } from '../../ops/infer.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { type Feeds, float32 } from '../../runtime/tensor.ts';
import { runInParts } from './runInParts.ts';

const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');

test.each(['minilm-embed-v5', 'vit-v4', 'vit-dynamo-v5'])('%s in parts is as whole', async (name) => {
  const { model } = openOnnx(path.join(cases, name, 'model.onnx'));
  const { tensors } = await readSafetensors(path.join(cases, name, 'inputs.safetensors'));
  const read = new Set(model.graph!.input!.map((each) => each.name));
  const feeds: Feeds = Object.fromEntries([...tensors].filter(([each]) => read.has(each)));
  const whole = await runOnce(model, feeds);
  const weightsOf = ({ graph }: ModelProto): number[] =>
    graph!.initializer!.map(({ dims }) => (dims ?? []).reduce((product, each) => product * each, 1));
  const largest = Math.max(...weightsOf(model));
  const all = weightsOf(model).reduce((sum, each) => sum + each);
  let [parts, most] = [0, 0];
  const found = await runInParts(
    model,
    feeds,
    async (part, fed) => {
      parts++;
      most = Math.max(
        most,
        weightsOf(part).reduce((sum, each) => sum + each, 0),
      );
      return runOnce(part, fed);
    },
    largest,
  );
  for (const [output, tensor] of Object.entries(whole)) expect(difference(found[output], tensor)).toBeLessThan(1e-5);
  expect(Object.keys(found)).toEqual(Object.keys(whole));
  expect(parts).toBeGreaterThanOrEqual(all / largest / 2);
  // A node may have a weight and a bias of its own.
  expect(most).toBeLessThan(Math.min(all, 1.1 * largest));
});

test('a part reads sizes that another has computed', async () => {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const x: Value = { name: 'x', type: 'float32', shape: ['rows', 'columns', 4] };
  const weight = (value: number): Value => g.constant(float32(new Float32Array(16).fill(value), [4, 4]));
  const sizes = g.Slice(g.Shape(x), [0], [-1], [0]);
  const first = g.MatMul(g.Reshape(x, [-1, 4]), weight(1));
  const last = g.Reshape(g.MatMul(first, weight(2)), g.Concat([sizes, g.ints([4])], 0));
  const y = g.Neg(g.Reshape(last, [6, 4]));
  const feeds = { x: float32([...Array(24).keys()], [2, 3, 4]) };
  const model = modelFrom(g, [x], [y]);
  const run = async (part: ModelProto, fed: Feeds): Promise<Feeds> => {
    const source = { ...sessionModel(part), name: 'part' };
    const session = await new OrtRuntime().createSession(source, { provider: 'cpu', purpose: 'training' });
    try {
      return await session.run(fed);
    } finally {
      await session.release();
    }
  };
  const [found, whole] = [await runInParts(model, feeds, run, 16), await run(model, feeds)];
  expect(found[y.name]!.dims).toEqual([6, 4]);
  expect(difference(found[y.name], whole[y.name])).toBe(0);
});
