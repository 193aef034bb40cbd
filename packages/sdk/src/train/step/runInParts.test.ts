/** @file A model that runs in parts gives what it gives as a whole, and no part has more weights than it may. */

import path from 'node:path';
import { expect, test } from 'vitest';
import { difference, runOnce } from '../../../../../test/support/graphs.ts';
import { readSafetensors } from '../../adapter/formats/safetensors.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { runInParts } from './runInParts.ts';

const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');

test.each(['minilm-embed-v5', 'vit-v4', 'vit-dynamo-v5'])('%s in parts is as whole', async (name) => {
  const { model } = openOnnx(path.join(cases, name, 'model.onnx'));
  const { tensors } = await readSafetensors(path.join(cases, name, 'inputs.safetensors'));
  const read = new Set(model.graph!.input!.map((each) => each.name));
  const feeds: Feeds = Object.fromEntries([...tensors].filter(([each]) => read.has(each)));
  const whole = await runOnce(model, feeds);
  const weightsOf = ({ graph }: typeof model): number[] =>
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
