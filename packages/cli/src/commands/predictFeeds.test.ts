/** @file `predict` decodes each batch with its own feeds. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel } from '@onnx-lora/testing';
import { afterAll, expect, it } from 'vitest';
import { callJson } from '../../fixtures/call.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-feeds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('each batch is decoded with its own feeds', async () => {
  const model = await publishModel(path.join(folder, 'model'), { model: linearNet({ inputs: 1 }) });
  const plugin = path.join(folder, 'plugin.mjs');
  const lengths = '{ x: { type: "float32", dims: [files.length, 1], data: Float32Array.from(files, (each) => each.length) } }'; // prettier-ignore
  writeFileSync(
    plugin,
    `import { filePredictor } from '@onnx-lora/sdk/tasks';
    const processor = {
      feeds: async (files) => (${lengths}),
      decode: (outputs, inputs) => Array.from(inputs.x.data, (fed, row) => ({ fed, rows: outputs.logits.dims[0], row })),
    };
    const task = { name: 'lengths', description: 'Lengths.', create: () => ({}), predictor: (model, options) => filePredictor(model, processor, options) };
    export default { name: 'lengths', contract: 2, bindings: [], needs: {}, parts: { tasks: () => [task] } };`,
  );
  const files = ['a.txt', 'bc.txt', 'def.txt'].map((name) => path.join(folder, name));
  for (const file of files) writeFileSync(file, '');
  const answers = await callJson('predict', model, ...files, '--plugin', plugin, '--task', 'lengths', '--batch-size', '2'); // prettier-ignore
  const [first] = files.map(({ length }) => length) as [number];
  expect(answers).toMatchObject([
    { fed: first, rows: 2, row: 0 },
    { fed: first + 1, rows: 2, row: 1 },
    { fed: first + 2, rows: 1, row: 0 },
  ]);
});
