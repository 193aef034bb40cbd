/** @file A provider without float16 is told of before work begins. */

import { expect, test } from 'vitest';
import { OnnxLoraError } from '../../errors.ts';
import type { Runtime, Session, SessionOptions } from '../../runtime/session.ts';
import { requireHalf } from './machineArithmetic.ts';

/** A runtime whose sessions do this; it notes what they were asked for, and how often one was given back. */
function runtimeOf(
  create: () => void,
  run: () => void,
): { runtime: Runtime; asked: SessionOptions[]; released: () => number } {
  const asked: SessionOptions[] = [];
  let released = 0;
  const session = {
    run: async () => Promise.resolve(run()),
    release: async () => Promise.resolve(void released++),
  } as unknown as Session;
  const createSession: Runtime['createSession'] = async (_, options = {}) => {
    asked.push(options);
    create();
    return Promise.resolve(session);
  };
  return { runtime: { createSession }, asked, released: () => released };
}

const nothing = (): void => undefined;
const fails = (code: 'RUNTIME_FAILED' | 'PROVIDER_UNAVAILABLE', message: string) => (): never => {
  throw new OnnxLoraError(code, message);
};

test('one that has it is asked once, and may not leave the product to the CPU', async () => {
  const { runtime, asked, released } = runtimeOf(nothing, nothing);
  await Promise.all([requireHalf(runtime, 'webgpu'), requireHalf(runtime, 'webgpu')]);
  await requireHalf(runtime, 'webgpu');
  expect(asked).toEqual([{ provider: 'webgpu', strict: true }]);
  expect(released()).toBe(1);
  await requireHalf(runtime, 'cuda');
  expect(asked.map(({ provider }) => provider)).toEqual(['webgpu', 'cuda']);
});

test.each([
  ['RUNTIME_FAILED', 'ONNX Runtime failed on "a product in float16": Program MatMul requires f16, but the device does not support it.'],
  ['PROVIDER_UNAVAILABLE', 'The provider "coreml" has no kernel for 2 operators of "a product in float16".'],
] as const)('one without it is an error: %s', async (code, reason) => {
  const { runtime, released } = runtimeOf(nothing, fails(code, reason));
  await expect(requireHalf(runtime, 'coreml')).rejects.toMatchObject({
    code: 'PROVIDER_UNAVAILABLE',
    message: `precision "float16" needs a provider that computes in it, and "coreml" does not on this machine: ${reason} Leave precision out, or use another provider.`,
  });
  expect(released()).toBe(1);
}); // prettier-ignore

test('one that is not here is told of as always', async () => {
  const { runtime } = runtimeOf(fails('PROVIDER_UNAVAILABLE', 'The provider "cuda" needs a library.'), nothing);
  await expect(requireHalf(runtime, 'cuda')).rejects.toThrow('The provider "cuda" needs a library.');
});
