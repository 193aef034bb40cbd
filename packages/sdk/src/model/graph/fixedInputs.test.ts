/** @file Inputs of a fixed value: the branch that they choose is the model, and adapters fit both. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomAdapter } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { difference } from '../../../../../test/support/graphs.ts';
import { ifModel } from '../../../../../test/support/subgraphs.ts';
import { randomFloats } from '../../../../../test/support/storedWeights.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { inferGraph } from '../../ops/inferGraph.ts';
import { Random } from '../../runtime/random.ts';
import { float32, int64, tensor } from '../../runtime/tensor.ts';
import { merge } from '../merging/merge.ts';
import { openModel } from '../openModel.ts';

let folder: string;
let file: string;
const random = new Random(8);
const x = float32(randomFloats([3, 4], random), [3, 4]);

/** As detectors of speech have it: a branch with weights of its own for each sampling rate. */
function twoRates(): ReturnType<typeof ifModel> {
  const weights = [randomFloats([4, 4], random), randomFloats([4, 4], random)];
  const model = ifModel(
    (g, value) => g.Tanh(g.MatMul(value, g.floats(weights[0]!, [4, 4]))),
    (g, value) => g.MatMul(value, g.floats(weights[1]!, [4, 4])),
  );
  const graph = model.graph!;
  const isWanted: NodeProto = { opType: 'Equal', name: '/Equal', input: ['sr', 'rate'], output: ['wanted'] };
  graph.node = [isWanted, ...graph.node!];
  graph.input![1] = { name: 'sr', type: { tensorType: { elemType: 7, shape: {} } } };
  graph.initializer = [...(graph.initializer ?? []), tensorProto('rate', int64([16000], []))];
  graph.output = [{ name: 'y', type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'batch' }, { dimValue: 4 }] } } } }]; // prettier-ignore
  return model;
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'fixed-'));
  file = path.join(folder, 'model.onnx');
  writeOnnx(file, twoRates());
});
afterAll(() => rmSync(folder, { recursive: true }));

test('the model computes what it does when it is fed the value', async () => {
  const whole = await openModel(file);
  const session = await whole.session();
  for (const rate of [16000, 8000]) {
    const fixed = await openModel(file, { fixedInputs: { sr: BigInt(rate) } });
    expect(Object.keys(fixed.inputs)).toEqual(['x']);
    expect(fixed.onnx.model.graph.node!.map(({ opType }) => opType)).not.toContain('If');
    expect(fixed.modules()).toHaveLength(1);
    expect(await fixed.digest()).toBe(await whole.digest());
    const own = await fixed.session();
    const expected = (await session.run({ x, sr: int64([rate], []) }))['y'];
    expect(difference((await own.run({ x }))['y'], expected)).toBe(0);
    await own.release();
  }
  await session.release();
});

test('an adapter of the fixed model fits the whole one, and merges into either', async () => {
  const [whole, fixed] = [await openModel(file), await openModel(file, { fixedInputs: { sr: 16000 } })];
  const adapter = await randomAdapter(fixed, { lora: { r: 2, targetModules: 'all-linear' } });
  const out = (name: string): string => path.join(folder, name);
  await merge(fixed, adapter, out('fixed.onnx'));
  await merge(whole, adapter, out('whole.onnx'));
  const session = await fixed.session({ adapters: { adapter } });
  const unmerged = (await session.run({ x }, { adapter: 'adapter' }))['y'];
  await session.release();
  const merged = await openModel(out('fixed.onnx'));
  expect(Object.keys(merged.inputs)).toEqual(['x']);
  for (const [model, feeds] of [
    [merged, { x }],
    [await openModel(out('whole.onnx')), { x, sr: int64([16000], []) }],
  ] as const) {
    // prettier-ignore
    const own = await model.session();
    expect(difference((await own.run(feeds))['y'], unmerged)).toBeLessThan(1e-6);
    await own.release();
  }
});

test.each([
  [{ srr: 16000 }, /no input "srr" to fix\. Did you mean "sr"\? Its inputs are x, sr\./],
  [{ sr: 1.5 }, /"sr" of ".*" cannot be fixed to 1\.5: it takes whole numbers/],
  [{ sr: [1, 2] }, /it takes 1 values/],
  [{ sr: tensor('int32', Int32Array.of(16000), []) }, /takes sr as int64 \[\], but it is int32 \[\]/],
  [{ sr: 2n ** 70n }, /out of range of int64/],
  [{ x: 1 }, /its sizes \[batch, 4\] are not known/],
])('a value that does not fit is refused: %o', async (fixedInputs, message) => {
  await expect(openModel(file, { fixedInputs })).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    message: expect.stringMatching(message),
  });
});

test('of an If, a branch that cannot take what is fed is not the one that is run', () => {
  const model = twoRates();
  const [own, other] = model.graph!.node!.at(-1)!.attribute!;
  const makesMatrix = other!.g!.node!.find(({ opType }) => opType === 'MatMul')!;
  // The weight of the other rate is for five features.
  other!.g!.initializer = [];
  model.graph!.initializer!.push(tensorProto('five', float32(new Float32Array(20), [5, 4])));
  makesMatrix.input = ['x', 'five'];
  expect(own!.name).toBe('then_branch');
  const types = inferGraph(model, { shapes: { x: [3, 4], sr: [] } });
  expect(types.get('y')?.shape).toEqual([3, 4]);
  expect(types.get('wanted')?.ints).toEqual([1]);
});
