/** @file Computed weights lie in one file for all sessions that read them, and no longer than their graphs are there. */

import { readdirSync } from 'node:fs';
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
import { sessionModel } from '../../ops/session/sessionModel.ts';
import { readBytes } from '../bytes.ts';
import { collectGarbage } from '../../runtime/garbage.ts';

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

/** Paths of the files of weights that a session would map. */
function filesOf(source: { readonly bytes: Uint8Array }): readonly string[] {
  return [
    ...new Set(
      Buffer.from(source.bytes)
        .toString('latin1')
        .match(/\.onnx-lora-weights\.[\w.-]+?\.tmp/g),
    ),
  ];
}

it('sessions read computed weights from one file, which goes with the graphs', async () => {
  const feeds = { x: float32(numbers(2 * SIZE), x.shape) };
  const runtime = new OrtRuntime();
  const outputs: unknown[] = [];
  const compute = async (): Promise<string> => {
    const { plain, computed, y } = model();
    const sources = [plain, computed, computed].map(sessionModel);
    const [none, first, second] = sources.map(filesOf);
    expect(none).toEqual([]);
    expect(first).toHaveLength(1);
    expect(second).toEqual(first);
    expect(left()).toEqual(expect.arrayContaining([...first!]));
    // The small one is in the graph.
    expect(sources[1]!.bytes.length).toBeLessThan(10_000);
    for (const each of sources) {
      const session = await runtime.createSession({ ...each, name: 'computed' }, { provider: 'cpu', threads: 1 });
      outputs.push((await session.run(feeds))[y]!.data);
      await session.release();
    }
    return first![0]!;
  };
  const file = await compute();
  expect(outputs[1]).toEqual(outputs[0]);
  expect(outputs[2]).toEqual(outputs[0]);
  await expect
    .poll(() => {
      collectGarbage();
      return left().includes(file);
    })
    .toBe(false);
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
