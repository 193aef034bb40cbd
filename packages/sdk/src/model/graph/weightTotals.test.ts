/** @file Counts of weights in every kind of storage. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { modelOf } from '../../../../../test/support/graphs.ts';
import { WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import type { Value } from '../../graph/builder.ts';
import { writeOnnx } from '../../graph/file/onnxFile.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { float32 } from '../../runtime/tensor.ts';
import { openModel } from '../openModel.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-totals-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test('floats, codes and Constant nodes count; scales, zero points and shapes do not; the metadata is readable', async () => {
  const x: Value = { name: 'x', type: 'float32', shape: [2, 6] };
  const g = new WeightBuilder(18, '/');
  const codes = g.codes('int8', new Int8Array(30).fill(2), [6, 5]);
  const weight = g.emit('DequantizeLinear', [codes, g.floats([0.1], []), g.codes('int8', [0], [])]);
  const quantised = g.Add(g.MatMul(x, weight), g.floats([1, 2, 3, 4, 5], [5]));
  g.nodes.push({
    opType: 'Constant',
    output: ['kept'],
    attribute: [{ name: 'value', type: 4, t: tensorProto('', float32(new Float32Array(20).fill(1), [5, 4])) }],
  });
  const y = g.Reshape(g.MatMul(quantised, { name: 'kept', type: 'float32', shape: [5, 4] }), [2, 2, 2]);
  const model = modelOf({ opset: 18, inputs: [x], outputs: [y.name], nodes: g.nodes, initializers: g.initializers });
  const alphabet = 'abc'.repeat(1000);
  const file = path.join(folder, 'model.onnx');
  writeOnnx(file, { ...model, metadataProps: [{ key: 'character', value: alphabet }] });
  const opened = await openModel(file);
  expect(opened.modules()).toMatchObject([{ parameters: 35 }, { parameters: 20 }]);
  expect(opened.parameterCount).toBe(30 + 5 + 20);
  // Codes, scale, zero point, bias, the Constant's floats, the shape's int64.
  expect(opened.weightBytes).toBe(30 + 4 + 1 + 20 + 80 + 24);
  expect(opened.metadata).toEqual({ character: alphabet });
});
