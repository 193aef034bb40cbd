/** @file Which providers are tried, and what is said of those that cannot be. */

import { expect, it } from 'vitest';
import { type Availability, providersToTry, reasonOf } from './providers.ts';

const linux: Availability = {
  built: ['cpu', 'webgpu', 'cuda', 'tensorrt'],
  cuda: { file: 'bin/libonnxruntime_providers_cuda.so', installed: false },
};
const withCuda: Availability = { ...linux, cuda: { ...linux.cuda, installed: true } };
const windows: Availability = { built: ['cpu', 'dml', 'webgpu'], cuda: { file: 'cuda.dll', installed: false } };

it('auto prefers a GPU that is installed, and never WebGPU', () => {
  expect(providersToTry('auto', linux)).toEqual(['cpu']);
  expect(providersToTry('auto', withCuda)).toEqual(['cuda', 'cpu']);
  expect(providersToTry('auto', windows)).toEqual(['dml', 'cpu']);
});

it('a provider asked for is the only one tried', () => {
  expect(providersToTry('webgpu', linux)).toEqual(['webgpu']);
  expect(providersToTry('cuda', withCuda)).toEqual(['cuda']);
});

it('a misspelt provider is answered with the nearest', () => {
  expect(() => providersToTry('wegpu', linux)).toThrow(
    'There is no provider "wegpu". Did you mean "webgpu"? Providers are auto, cpu, cuda, dml, coreml, webgpu.',
  );
  // ONNX Runtime has it, but it is none of ours.
  expect(() => providersToTry('tensorrt', linux)).toThrow('There is no provider "tensorrt".');
});

it('CUDA without its library says which file is missing and how to get it', () => {
  expect(() => providersToTry('cuda', linux)).toThrow(
    'The provider "cuda" needs a library that is not installed: there is no "bin/libonnxruntime_providers_cuda.so". Run onnxruntime-node\'s install script with --onnxruntime-node-install=cuda12, or use cpu or webgpu.',
  );
});

it('a provider of another platform is answered with what this one has', () => {
  expect(() => providersToTry('coreml', linux)).toThrow(
    `onnxruntime-node for ${process.platform} ${process.arch} has no provider "coreml". Use cpu or webgpu.`,
  );
});

it("reasons come without the place in ONNX Runtime's sources", () => {
  const message =
    '/src/core/providers/webgpu/webgpu_context.cc:136 void ns::Initialize(const C&)::<lambda()> result.status == S::Success was false. Failed to get a WebGPU adapter: No supported adapters\n';
  expect(reasonOf(new Error(message))).toBe('Failed to get a WebGPU adapter: No supported adapters');
  expect(reasonOf('Load model failed.')).toBe('Load model failed');
});
