/** @file Gradients of adapters in the branches of a merged decoder, whose condition is only known when it runs. */

import { expect, test } from 'vitest';
import { cpuSession } from '../../../../../test/support/graphs.ts';
import { randomFloats } from '../../../../../test/support/storedWeights.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { LowRank } from '../../lora/methods/lora.ts';
import { findSites } from '../../match/sites.ts';
import { prepareForMatching } from '../../match/view.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64, tensor } from '../../runtime/tensor.ts';
import { ParameterSet } from '../parameters.ts';
import { buildTrainingGraph } from '../graph/trainingGraph.ts';

const file = new URL('../../../../../test/fixtures/whisperMerged/onnx/decoder_model_merged.onnx', import.meta.url)
  .pathname;

/** Two sequences of five tokens, with a past of three positions. */
function feedsOf({ graph }: ModelProto, usesPast: boolean): Feeds {
  const random = new Random(3);
  const floats = (...dims: number[]): Feeds[string] => float32(randomFloats(dims, random), dims);
  const feeds = (graph!.input ?? []).map(({ name = '' }): [string, Feeds[string]] => {
    if (name === 'input_ids') return [name, int64([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [2, 5])];
    if (name === 'use_cache_branch') return [name, tensor('bool', Uint8Array.of(Number(usesPast)), [1])];
    return [
      name,
      name === 'encoder_hidden_states' ? floats(2, 6, 32) : floats(2, 4, name.includes('encoder') ? 6 : 3, 8),
    ];
  });
  return Object.fromEntries(feeds);
}

test.each([
  ['without a past', false, 6],
  // Keys and values of the encoder's states then come from the past.
  ['with a past', true, 5],
] as const)('%s', async (_, usesPast, reached) => {
  const base = prepareForMatching(openOnnx(file).model as Parameters<typeof prepareForMatching>[0]);
  const feeds = feedsOf(base, usesPast);
  const sites = findSites(base.graph).filter(({ path }) => /layers\.0.*(q_proj|v_proj)|fc1/.test(path));
  expect(sites).toHaveLength(6);
  const { model, inputs, gradients, loss } = buildTrainingGraph({
    base,
    plan: sites.map((site) => new LowRank({ site, r: 2, dora: false })),
    inputs: feeds,
    targets: {},
    loss: (g, { logits }) => g.ReduceMean(g.Mul(logits!, g.Sigmoid(logits!)), [0, 1, 2], false),
  });
  expect(model.graph!.node!.filter(({ opType }) => opType === 'If')).toHaveLength(2);
  const session = await cpuSession(model);
  const parameters = ParameterSet.initial(inputs, new Random(1));
  for (const { value } of parameters.all) value.forEach((__, i) => (value[i] = 0.3 * Math.sin(i + 1)));
  const run = async (): Promise<Feeds> => {
    parameters.refresh();
    return session.run({ ...feeds, ...Object.fromEntries(parameters.all.map(({ input, fed }) => [input.name, fed])) });
  };
  const outputs = await run();
  let nonzero = 0;
  for (const { input, value } of parameters.all) {
    const gradient = outputs[gradients.get(input.name)!]!.data as Float32Array;
    expect(gradient).toHaveLength(value.length);
    // Against the central difference, for the largest element.
    const at = gradient.reduce((best, each, i) => (Math.abs(each) > Math.abs(gradient[best]!) ? i : best), 0);
    const before = value[at]!;
    const losses: number[] = [];
    for (const step of [0.02, -0.02]) {
      value[at] = before + step;
      losses.push((await run())[loss]!.data[0] as number);
    }
    value[at] = before;
    expect(Math.abs(gradient[at]! - (losses[0]! - losses[1]!) / 0.04), input.name).toBeLessThan(2e-5);
    if (gradient[at] !== 0) nonzero++;
  }
  expect(nonzero).toBe(2 * reached);
  await session.release();
});
