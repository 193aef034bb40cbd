/** @file Copies on the GPU: made once for a graph, freed when they are given up. */

import { describe, expect, it } from 'vitest';
import type { NativeOptions } from './engine.ts';
import { type OrtFeeds, type OrtModule, type OrtTensor, residentTensors } from './residentTensors.ts';

const options: NativeOptions = {
  executionProviders: ['webgpu'],
  graphOptimizationLevel: 'all',
  enableMemPattern: true,
  logSeverityLevel: 3,
  extra: {},
  enableProfiling: true,
  profileFilePrefix: '/nowhere/profile',
};

/** onnxruntime-node as far as it is used, with a list of what happens. */
function fakeOrt(failures = 0): { ort: OrtModule; log: string[] } {
  const log: string[] = [];
  let [left, count] = [failures, 0];
  const ort = {
    InferenceSession: {
      create: (
        _: Uint8Array,
        { preferredOutputLocation, enableProfiling }: Parameters<OrtModule['InferenceSession']['create']>[1],
      ) => {
        log.push(`open ${preferredOutputLocation}${enableProfiling ? ' profiled' : ''}`);
        return Promise.resolve({
          run: ({ x }: OrtFeeds) => {
            if (left-- > 0) return Promise.reject(new Error('out of memory'));
            const copy = `copy ${count++} of ${x!.dims.join()}`;
            log.push(copy);
            return Promise.resolve({ y: { type: x!.type, dims: x!.dims, dispose: () => log.push(`free ${copy}`) } });
          },
          release: () => Promise.resolve(void log.push('close')),
        });
      },
    },
  } as unknown as OrtModule;
  return { ort, log };
}

function tensor(dims: readonly number[], data: Float32Array | BigInt64Array = new Float32Array(4)): OrtTensor {
  return { type: data instanceof Float32Array ? 'float32' : 'int64', dims, data, dispose: () => undefined };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('copies', () => {
  it('are made once for a key, and freed with it or with the graph', async () => {
    const { ort, log } = fakeOrt();
    const resident = residentTensors<string>(ort, new Uint8Array(), options);
    const one = { a: tensor([2, 2]), b: tensor([4]) };
    const first = await resident.of('one', one);
    expect(await resident.of('one', one)).toBe(first);
    expect(first['a']).not.toBe(one.a);
    await resident.of('two', { a: tensor([1, 4]) });
    expect(log.splice(0)).toEqual(['open gpu-buffer', 'copy 0 of 2,2', 'copy 1 of 4', 'copy 2 of 1,4']);
    resident.drop('one');
    resident.drop('never asked for');
    await settled();
    expect(log.splice(0)).toEqual(['free copy 0 of 2,2', 'free copy 1 of 4']);
    await resident.of('one', one);
    await resident.release();
    await settled();
    expect(log.sort()).toEqual([
      'close',
      'copy 3 of 2,2',
      'copy 4 of 4',
      'free copy 2 of 1,4',
      'free copy 3 of 2,2',
      'free copy 4 of 4',
    ]);
  });

  it('are not made of tensors that are empty or hold integers', async () => {
    const { ort, log } = fakeOrt();
    const feeds = { rows: tensor([], BigInt64Array.of(0n)), none: tensor([8, 0], new Float32Array()) };
    const found = await residentTensors<string>(ort, new Uint8Array(), options).of('one', feeds);
    expect([found['rows'], found['none']]).toEqual([feeds.rows, feeds.none]);
    expect(found['rows']).toBe(feeds.rows);
    expect(log).toEqual(['open gpu-buffer']);
  });

  it('that failed are tried again', async () => {
    const { ort } = fakeOrt(1);
    const resident = residentTensors<string>(ort, new Uint8Array(), options);
    await expect(resident.of('one', { a: tensor([4]) })).rejects.toThrow('out of memory');
    expect(Object.keys(await resident.of('one', { a: tensor([4]) }))).toEqual(['a']);
  });

  it('a graph that keeps none opens nothing', async () => {
    const { ort, log } = fakeOrt();
    await residentTensors<string>(ort, new Uint8Array(), options).release();
    expect(log).toEqual([]);
  });
});
