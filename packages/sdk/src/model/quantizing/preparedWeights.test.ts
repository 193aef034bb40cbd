/** @file Quantised weights are made once, and found again as they were. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet } from '@onnx-lora/testing';
import { afterAll, expect, it } from 'vitest';
import { PreparedCache } from '../../files/preparedCache.ts';
import { readBytes } from '../../graph/bytes.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import { floatTensor } from '../../match/weights/plain.ts';
import { type QuantizedForm, quantizeMatrix } from '../../ops/quantization/forms.ts';
import { openModel } from '../openModel.ts';
import { preparedWeights, type QuantizedWeight } from './preparedWeights.ts';
import { rowsOf } from './quantizedGraph.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-prepared-weights-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const nf4: QuantizedForm = { bits: 'nf4', blockSize: 64 };
const file = path.join(folder, 'model.onnx');
writeOnnx(file, linearNet({ inputs: 64, hidden: 96, layers: 2, outputs: 4 }));

async function prepared(form: QuantizedForm, from = file): Promise<{ made: number; weights: ReadonlyMap<string, QuantizedWeight> }> {
  const model = await openModel(from);
  const sites = model.sites().filter(({ kind }) => kind === 'linear');
  const made: string[] = [];
  // A cache of its own each time, as in another process.
  const cache = new PreparedCache(path.join(folder, 'cache'), 1e9);
  const quantized = (site: (typeof sites)[number]): Promise<QuantizedWeight> => {
    made.push(site.path);
    return Promise.resolve({ ...quantizeMatrix(rowsOf(site), form), error: made.length / 7 });
  };
  return { weights: (await preparedWeights(model, sites, form, quantized, { cache, smallest: 1 }))!, made: made.length };
} // prettier-ignore

it('has the same bytes and errors when it is found again; other settings and weights are made', async () => {
  const first = await prepared(nf4);
  const second = await prepared(nf4);
  expect([first.made, second.made]).toEqual([first.weights.size, 0]);
  const model = await openModel(file);
  for (const [module, { tensors, error }] of second.weights) {
    const site = model.sites().find((each) => each.path === module)!;
    const own = quantizeMatrix(rowsOf(site), nf4).tensors;
    expect(error).toBe(first.weights.get(module)!.error);
    expect(Object.keys(tensors)).toEqual(Object.keys(own));
    for (const name of ['codes', 'scales'] as const) {
      expect({ ...tensors[name], rawData: 0 }).toEqual({ ...own[name], rawData: 0 });
      expect(Buffer.compare(readBytes(tensors[name].rawData!), readBytes(own[name].rawData!)), module).toBe(0);
    }
  }
  expect((await prepared({ bits: 'nf4', blockSize: 32 })).made).toBe(first.made);
  const other = path.join(folder, 'other.onnx');
  const { model: changed } = openOnnx(file);
  const [weight, ...rest] = changed.graph.initializer!;
  writeOnnx(other, { ...changed, graph: { ...changed.graph, initializer: [floatTensor(weight!.name!, 'float32', new Float32Array(weight!.dims!.reduce((a, b) => a * b)), weight!.dims!), ...rest] } }); // prettier-ignore
  expect((await prepared(nf4, other)).made).toBe(first.made);
});
