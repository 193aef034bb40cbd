/**
 * @file Holds the SDK with this plugin against kept numbers: outputs, loss, gradients, steps of training, merged weights.
 *
 * The first run writes the case into `test/cases`, from a reference that owes nothing to what is checked: edited weights and
 * finite differences. Commit it; then the test tells when a later version computes something else. Remove it to have it
 * written anew.
 */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { int64 } from '@onnx-lora/sdk';
import { conformance, makeCase, randomFeeds } from '@onnx-lora/sdk/testing';
import { beforeAll, expect, test } from 'vitest';
import plugin from '../src/index.classification.ts';
import { makeExample } from './support.ts';

const folder = fileURLToPath(new URL('cases/{{family}}', import.meta.url));

beforeAll(async () => {
  if (existsSync(path.join(folder, 'case.json'))) return;
  const { model } = await makeExample();
  await makeCase(folder, {
    model,
    lora: { r: 1, targetModules: ['encoder.1', 'head'] },
    feeds: randomFeeds(model),
    labels: int64([0, 2], [2]),
    loss: { kind: 'cross-entropy', output: 'logits' },
  });
});

test('the case', async () => {
  const { checks, passed } = await conformance(folder, { plugins: [plugin] });
  expect(checks.filter(({ status }) => status === 'failed')).toEqual([]);
  expect(passed).toBeGreaterThan(0);
});
