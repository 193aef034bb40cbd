/** @file Sessions of ONNX Runtime: what they compute with each option, and how failures are told. */

import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import { sessionModel } from '../ops/session/sessionModel.ts';
import { inferNode } from '../ops/infer.ts';
import { OrtRuntime } from './ort.ts';
import type { SessionOptions } from './session.ts';
import { float32, type Tensor } from './tensor.ts';

const runtime = new OrtRuntime();

/** y = x·W + b for W = [[1, 2], [3, 4]] and b = [10, 20]. */
function affine(): { bytes: Uint8Array; name: string } {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'n/' });
  const x: Value = { name: 'x', type: 'float32', shape: [1, 2] };
  const weight = g.constant(float32([1, 2, 3, 4], [2, 2]));
  const y = g.Add(g.MatMul(x, weight), g.constant(float32([10, 20], [2])));
  const port = (name: string): object => ({
    name,
    type: {
      tensorType: { elemType: dataTypeNumber('float32'), shape: { dim: [{ dimValue: 1 }, { dimValue: 2 }] } },
    },
  });
  const model = {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'affine',
      node: g.nodes,
      initializer: g.initializers,
      input: [port('x')],
      output: [port(y.name)],
    },
  };
  return { ...sessionModel(model), name: 'affine.onnx' };
}

async function run(options: SessionOptions): Promise<Tensor> {
  const session = await runtime.createSession(affine(), options);
  try {
    const outputs = await session.run({ x: float32([1, 10], [1, 2]) });
    return outputs[session.outputNames[0]!]!;
  } finally {
    await session.release();
  }
}

describe('options', () => {
  it.each<SessionOptions>([
    {},
    { provider: 'cpu', prepack: false },
    { purpose: 'training' },
    { purpose: 'training', prepack: false, threads: 1 },
  ])('%o computes the same', async (options) => {
    const { data, dims } = await run(options);
    // [1 + 30 + 10, 2 + 40 + 20]
    expect([...data]).toEqual([41, 62]);
    expect(dims).toEqual([1, 2]);
  });

  it('a session says which provider it runs on', async () => {
    const session = await runtime.createSession(affine(), { provider: 'cpu' });
    onTestFinished(() => session.release());
    expect(session.provider).toBe('cpu');
  });
});

describe('failures', () => {
  it('a graph that is none is RUNTIME_FAILED with the name of the file', async () => {
    const source = { bytes: Uint8Array.of(1, 2, 3), name: 'broken.onnx' };
    await expect(runtime.createSession(source, { provider: 'cpu' })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: expect.stringMatching(/^ONNX Runtime cannot load "broken\.onnx": .*[^.]\.$/) as string,
    });
  });

  it('a missing input is named', async () => {
    const session = await runtime.createSession(affine(), { provider: 'cpu' });
    onTestFinished(() => session.release());
    await expect(session.run({ z: float32([1], [1]) })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: '"affine.onnx" needs the input "x". It takes x; given were z.',
    });
  });

  it('inputs of another shape are RUNTIME_FAILED', async () => {
    const session = await runtime.createSession(affine(), { provider: 'cpu' });
    onTestFinished(() => session.release());
    await expect(session.run({ x: float32([1, 2, 3], [1, 3]) })).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
  });

  it('a misspelt provider is PROVIDER_UNAVAILABLE', async () => {
    const options = { provider: 'cudo' } as unknown as SessionOptions;
    await expect(runtime.createSession(affine(), options)).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message: expect.stringContaining('There is no provider "cudo". Did you mean "cuda"') as string,
    });
  });
});

// The Vulkan loader takes its drivers from here; other platforms have no such switch.
describe.runIf(process.platform === 'linux' && process.arch === 'x64')('WebGPU without a driver', () => {
  beforeAll(() => {
    process.env['VK_DRIVER_FILES'] = '/nonexistent.json';
    process.env['VK_ICD_FILENAMES'] = '/nonexistent.json';
  });

  it('is PROVIDER_UNAVAILABLE with the reason and a remedy', async () => {
    await expect(runtime.createSession(affine(), { provider: 'webgpu' })).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message:
        'The provider "webgpu" does not work on this machine: Failed to get a WebGPU adapter: No supported adapters. Install a driver for Vulkan, Direct3D 12 or Metal, or use cpu.',
    });
  });
});
