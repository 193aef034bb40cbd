/** @file Computed weights lie in a file as long as a session reads them, and no longer. */

import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { modelFrom } from '../../../../../test/support/graphs.ts';
import { inferNode } from '../../ops/infer.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import { GraphBuilder } from '../builder.ts';
import type { ModelProto } from '../proto.ts';
import { rawBytes } from '../tensorData.ts';
import { withTensors } from '../tensors.ts';
import { sessionModel } from './onnxFile.ts';
import { readBytes } from '../bytes.ts';

const SIZE = 600;
const random = new Random(5);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
const x = { name: 'x', type: 'float32', shape: [2, SIZE] } as const;

/** x times two weights that are computed: one that is large, and one that is not. */
function model(): { readonly plain: ModelProto; readonly computed: ModelProto; readonly y: string } {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const [large, small] = [float32(numbers(SIZE * SIZE), [SIZE, SIZE]), float32(numbers(SIZE * 3), [SIZE, 3])];
  const y = g.MatMul(g.MatMul(x, g.constant(large)), g.constant(small));
  const plain = modelFrom(g, [x], [y]);
  const computed = withTensors(plain, (tensor) => {
    const bytes = readBytes(rawBytes(tensor)!);
    return { ...tensor, rawData: { length: bytes.length, compute: () => bytes } };
  });
  return { plain, computed, y: y.name };
}

const left = (): string[] => readdirSync(tmpdir()).filter((name) => name.includes('onnx-lora-weights'));

it('a session reads computed weights from a file, which it deletes', async () => {
  const { plain, computed, y } = model();
  const before = left();
  const [inline, source] = [sessionModel(plain), sessionModel(computed)];
  expect(inline.scratch).toBeUndefined();
  expect(existsSync(source.scratch!)).toBe(true);
  // The small one is in the graph.
  expect(source.bytes.length).toBeLessThan(10_000);
  const runtime = new OrtRuntime();
  const feeds = { x: float32(numbers(2 * SIZE), x.shape) };
  const outputs = [];
  for (const each of [inline, source]) {
    const session = await runtime.createSession({ ...each, name: 'computed' }, { provider: 'cpu', threads: 1 });
    outputs.push((await session.run(feeds))[y]!.data);
    await session.release();
  }
  expect(outputs[1]).toEqual(outputs[0]);
  expect(existsSync(source.scratch!)).toBe(false);
  expect(left()).toEqual(before);
});

it('a session that cannot be made deletes it, too', async () => {
  const { computed } = model();
  const broken = { ...computed, graph: { ...computed.graph, output: [{ name: 'nothing' }] } };
  const runtime = new OrtRuntime();
  for (const [graph, provider] of [
    [broken, 'cpu'],
    [computed, 'nope'],
  ] as const) {
    const source = sessionModel(graph);
    await expect(runtime.createSession({ ...source, name: 'computed' }, { provider })).rejects.toThrow(/nothing|nope/);
    expect(existsSync(source.scratch!)).toBe(false);
  }
});

it('a failure while weights are computed leaves nothing', () => {
  const before = left();
  const { plain } = model();
  const failing = withTensors(plain, (tensor) => ({
    ...tensor,
    rawData: {
      length: 1 << 21,
      compute: (): Uint8Array => {
        throw new Error('not today');
      },
    },
  }));
  expect(() => sessionModel(failing)).toThrow('not today');
  expect(left()).toEqual(before);
});
