/** @file How many threads a session gets, and whether they give their cores up. */

import { afterEach, expect, it, vi } from 'vitest';
import { nativeOptions } from './nativeOptions.ts';

const threads = (asked?: number): number | undefined =>
  nativeOptions({ bytes: new Uint8Array(), name: 'm' }, asked === undefined ? {} : { threads: asked }, 'cpu')
    .intraOpNumThreads;

afterEach(() => vi.unstubAllEnvs());

it('an option goes before the environment, and the environment before ONNX Runtime', () => {
  vi.stubEnv('ONNX_LORA_THREADS', '');
  expect([threads(), threads(3)]).toEqual([undefined, 3]);
  vi.stubEnv('ONNX_LORA_THREADS', '2');
  expect([threads(), threads(3)]).toEqual([2, 3]);
});

it.each(['0', '1.5', 'all', '1e9'])('ONNX_LORA_THREADS=%s is refused', (text) => {
  vi.stubEnv('ONNX_LORA_THREADS', text);
  expect(() => threads()).toThrow(`ONNX_LORA_THREADS is "${text}", but must be a whole number from 1 to 1024`);
});

it('threads that wait keep their cores unless told otherwise', () => {
  const key = 'session.intra_op.allow_spinning';
  const source = { bytes: new Uint8Array(), name: 'm' };
  expect(nativeOptions(source, {}, 'cpu').extra).not.toHaveProperty([key]);
  expect(nativeOptions(source, { spins: false }, 'cpu').extra).toHaveProperty([key], '0');
});
