/** @file Mistakes of a task's author are errors that name the mistake. */

import { describe, expect, it } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { inferNode } from '../../ops/infer.ts';
import { type DataType, float32, int64 } from '../../runtime/tensor.ts';
import * as losses from './index.ts';

const builder = (): GraphBuilder => new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'loss/' });
const value = (name: string, shape: Value['shape'], type: DataType = 'float32'): Value => ({ name, type, shape });
const [logits, labels] = [value('logits', [2, 3]), value('labels', [2], 'int64')];
const [a, b, square] = [value('a', [2, 3]), value('b', [2]), value('s', [2, 2])];
const [frames, said] = [value('frames', [2, 9, 4]), value('said', [2, 3], 'int64')];

// prettier-ignore
describe.each<[message: string, build: (g: GraphBuilder) => Value]>([
  ['there must be a label for each row', (g) => losses.crossEntropy(g, logits, value('labels', [3], 'int64'))],
  ['from the graph alone', (g) => losses.crossEntropy(g, value('logits', ['batch', 3]), labels)],
  ['labelSmoothing is a share from 0 to 1, but it is 2', (g) => losses.crossEntropy(g, logits, labels, { labelSmoothing: 2 })],
  ['there are 2 weights for the 3 classes', (g) => losses.crossEntropy(g, logits, labels, { weight: [1, 2] })],
  ['compares values of one shape, but "logits" is [2, 3] and "b" [2]', (g) => losses.crossEntropy(g, logits, b)],
  ['Mean squared error compares values of one shape', (g) => losses.meanSquaredError(g, a, b)],
  ['the mask "mask" of shape [3] does not fit', (g) => losses.l1(g, a, a, { mask: value('mask', [3]) })],
  ['delta is a difference above 0', (g) => losses.huber(g, a, a, { delta: 0 })],
  ['beta is a difference of at least 0', (g) => losses.smoothL1(g, a, a, { beta: -1 })],
  ['there are 2 posWeights for the last axis', (g) => losses.binaryCrossEntropy(g, a, a, { posWeight: [1, 2] })],
  ['gamma is a power of at least 0', (g) => losses.sigmoidFocal(g, a, a, { gamma: -1 })],
  ['Dice loss needs [batch, classes, ...], but "a" has 2 axes', (g) => losses.dice(g, a, a)],
  ['do not fit pairs of shape [2]', (g) => losses.cosineEmbedding(g, a, a, value('labels', [3], 'int64'))],
  ['InfoNCE compares rows', (g) => losses.infoNce(g, b, b)],
  ['temperature is a number above 0', (g) => losses.infoNce(g, a, a, { temperature: 0 })],
  ['needs similarities [batch, batch], but "a" is [2, 3]', (g) => losses.contrastive(g, a)],
  ['needs similarities [batch, batch], but "a" is [2, 3]', (g) => losses.sigmoidContrastive(g, a)],
  ['metric learning needs embeddings [batch, width] and labels [batch]', (g) => losses.batchHardTriplet(g, a, a)],
  ['temperature is a number above 0', (g) => losses.supervisedContrastive(g, a, labels, { temperature: 0 })],
  ['p is a power of at least 1', (g) => losses.tripletMargin(g, a, a, a, { p: 0.5 })],
  ['temperature is a number above 0', (g) => losses.distillation(g, a, a, { temperature: -1 })],
  ['hardShare is a share from 0 to 1', (g) => losses.distillation(g, a, a, { labels, hardShare: 3 })],
  ['a hardShare needs labels', (g) => losses.distillation(g, a, a, { hardShare: 0.5 })],
  ['needs at least one loss', (g) => losses.weightedSum(g, [])],
  ['CTC needs logits [batch, frames, classes]', (g) => losses.ctc(g, square, said)],
  ['CTC needs logits [batch, frames, classes]', (g) => losses.ctc(g, frames, value('said', [3, 3], 'int64'))],
  ['CTC needs a length for each row', (g) => losses.ctc(g, frames, said, { inputLengths: value('n', [3], 'int64') })],
  ['the blank of CTC is a class from 0 to 3, but it is 4', (g) => losses.ctc(g, frames, said, { blank: 4 })],
])('%s', (message, build) => {
  it('is said', () => {
    expect(() => build(builder())).toThrow(message);
  });
});

it('a label that is no class ends the run', async () => {
  const run = async (build: (g: GraphBuilder) => Value, scores: Value, y: Value, bad: number): Promise<number> => {
    const g = builder();
    const loss = build(g);
    const model = modelFrom(g, [scores, y], [loss]);
    const [rows, ...rest] = scores.shape as number[];
    const size = rest.reduce((product, each) => product * each, rows!);
    const dims = y.shape as number[];
    const count = dims.reduce((product, each) => product * each, 1);
    const outputs = await runOnce(model, {
      [scores.name]: float32(new Float32Array(size), scores.shape as number[]),
      [y.name]: int64([bad, ...new Array<number>(count - 1).fill(1)], dims),
    });
    return outputs[loss.name]!.data[0] as number;
  };
  await expect(run((g) => losses.crossEntropy(g, logits, labels), logits, labels, 2)).resolves.toBeCloseTo(
    Math.log(3),
    6,
  );
  await expect(run((g) => losses.crossEntropy(g, logits, labels), logits, labels, 3)).rejects.toThrow(/out of/i);
  await expect(run((g) => losses.crossEntropy(g, logits, labels), logits, labels, -1)).rejects.toThrow(/out of/i);
  // Not as its last 32 bits say, which are those of 2 and of 1.
  await expect(run((g) => losses.crossEntropy(g, logits, labels), logits, labels, 2 ** 32 + 2)).rejects.toThrow(
    /out of/i,
  );
  await expect(run((g) => losses.ctc(g, frames, said), frames, said, 2 ** 32 + 1)).rejects.toThrow(/out of/i);
  await expect(run((g) => losses.ctc(g, frames, said), frames, said, 3)).resolves.toSatisfy(Number.isFinite);
  await expect(run((g) => losses.ctc(g, frames, said), frames, said, 4)).rejects.toThrow(/out of/i);
});
