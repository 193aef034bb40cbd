/** @file Files that would end the process are refused before the runtime sees them. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelFrom } from '../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { writeOnnx } from '../graph/file/onnxFile.ts';
import { openModel } from '../model/openModel.ts';
import { tensor } from '../runtime/tensor.ts';
import { inferNode } from './infer.ts';

let folder: string;
beforeAll(() => void (folder = mkdtempSync(path.join(tmpdir(), 'fatal-'))));
afterAll(() => rmSync(folder, { recursive: true }));

const x: Value = { name: 'x', type: 'int64', shape: ['n'] };
const longs = (g: GraphBuilder, ...values: bigint[]): Value =>
  g.constant(tensor('int64', BigInt64Array.from(values), [values.length]));
const ints = (g: GraphBuilder, ...values: number[]): Value =>
  g.constant(tensor('int32', Int32Array.from(values), [values.length]));
const MIN = -(2n ** 63n);

async function opened(build: (g: GraphBuilder) => Value): Promise<string> {
  const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: 'n/' });
  const y = build(g);
  const file = path.join(folder, 'model.onnx');
  writeOnnx(file, modelFrom(g, [x], [y]));
  const session = await (await openModel(file)).session();
  await session.release();
  return 'loads';
}

test.each<[string, RegExp, (g: GraphBuilder) => Value]>([
  ['Div', /Div "n\/Div_\d+" divides the smallest int64, -9223372036854775808, by -1, which would end this process/, (g) => g.Div(longs(g, 5n, MIN), longs(g, 1n, -1n))],
  ['Div of int32', /the smallest int32, -2147483648, by -1/, (g) => g.Div(ints(g, -(2 ** 31)), ints(g, -1))],
  ['Mod', /Mod "n\/Mod_\d+" divides the smallest int64/, (g) => g.emit('Mod', [longs(g, MIN), longs(g, -1n)])],
  ['Div by what is computed', /the smallest int64/, (g) => g.Div(longs(g, MIN), g.Sub(longs(g, 4n), longs(g, 5n)))],
  ['Div by 0', /divides whole numbers by 0/, (g) => g.Div(x, longs(g, 3n, 0n))],
  ['Div by a computed 0', /divides whole numbers by 0/, (g) => g.Div(x, g.Sub(longs(g, 4n), longs(g, 4n)))],
  ['SplitToSequence', /cuts a list into parts of the length 0/, (g) => g.emit('SequenceAt', [g.emit('SplitToSequence', [x, g.scalar(0, 'int64')]), g.scalar(0, 'int64')])],
])('%s', async (_, message, build) => {
  await expect(opened(build)).rejects.toMatchObject({
    code: 'MODEL_INVALID',
    message: expect.stringMatching(new RegExp(`model\\.onnx": .*${message.source}`)),
  });
}); // prettier-ignore

test.each<[string, (g: GraphBuilder) => Value]>([
  ['the smallest by another number', (g) => g.Div(longs(g, MIN), longs(g, 2n))],
  ['another number by -1', (g) => g.Div(longs(g, MIN, 4n), longs(g, 1n, -1n))],
  ['floats by 0', (g) => g.Div(g.scalar(1, 'float32'), g.scalar(0, 'float32'))],
])('%s is computed', async (_, build) => expect(await opened(build)).toBe('loads'));
