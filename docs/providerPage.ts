/** @file The page of the providers: by platform, with the order of attempts and fallbacks. */

import { format, resolveConfig } from 'prettier';
import { providersToTry } from '../packages/sdk/src/runtime/providers/providers.ts';

/** Providers that onnxruntime-node has, by Node's platform and architecture. */
export const builds: Readonly<Record<string, readonly string[]>> = {
  'linux x64': ['cpu', 'cuda', 'webgpu'],
  'linux arm64': ['cpu'],
  'win32 x64': ['cpu', 'dml', 'webgpu'],
  'win32 arm64': ['cpu', 'dml', 'webgpu'],
  'darwin arm64': ['cpu', 'coreml', 'webgpu'],
};

const systems: Readonly<Record<string, string>> = { linux: 'Linux', win32: 'Windows', darwin: 'macOS' };

/**
 * The page in Markdown, formatted as `file` is.
 *
 * @param placed rows of the last table, which only running on WebGPU can tell
 */
export async function providerPage(file: string, version: string, placed: readonly string[]): Promise<string> {
  return format(text(version, placed), { ...(await resolveConfig(file)), parser: 'markdown' });
}

function text(version: string, placed: readonly string[]): string {
  return `---
title: Providers
order: 70
---

# Providers

The execution providers of ONNX Runtime that the SDK runs graphs on. [The guide](../guides/providers.md) says how to install, choose and verify one.

## Platforms

Execution providers of onnxruntime-node ${version}. There is no build for Macs with Intel processors.

| platform | providers | \`auto\` tries |
| --- | --- | --- |
${Object.entries(builds).map(platformRow).join('\n')}

## Names

Values of \`provider\` in \`train\`, \`evaluate\` and \`model.session\`, and of \`--provider\`. [A plugin](../guides/plugin.md) may bring more.

| \`provider\` | ONNX Runtime's provider | runs on | needs | covered by the tests |
| --- | --- | --- | --- | --- |
| \`auto\` | the first of the table above that works | | | yes |
| \`cpu\` | \`CPUExecutionProvider\` | the processor | nothing | yes |
| \`webgpu\` | \`WebGpuExecutionProvider\` | any GPU, through Dawn | a driver for Vulkan (Linux), Direct3D 12 (Windows) or Metal (macOS) | yes, on Mesa's software driver |
| \`cuda\` | \`CUDAExecutionProvider\` | NVIDIA GPUs | [its library](../guides/providers.md#nvidia-cuda), CUDA 12, cuDNN 9 | no |
| \`dml\` | \`DmlExecutionProvider\` | GPUs with Direct3D 12 | nothing: DirectML is included | no |
| \`coreml\` | \`CoreMLExecutionProvider\` | GPU and Neural Engine of Apple silicon | nothing: CoreML is part of macOS | no |

## Failures

[Errors](./errors.md), or the reaction, of a session of \`model.session\`, which also takes \`fallback\`, \`verify\` and \`strict\`:

| case | \`provider\` by name | with other providers: \`auto\`, \`fallback\` | with \`strict\` |
| --- | --- | --- | --- |
| not in the build, library missing | \`PROVIDER_UNAVAILABLE\` | \`auto\` leaves it out; \`PROVIDER_UNAVAILABLE\` where \`fallback\` names it | \`PROVIDER_UNAVAILABLE\` |
| does not start, such as without a driver | \`PROVIDER_UNAVAILABLE\` | the next one, with a warning | \`PROVIDER_UNAVAILABLE\` |
| cannot load the graph | \`RUNTIME_FAILED\` | the next one, with a warning | \`RUNTIME_FAILED\` |
| fails in the first run | \`RUNTIME_FAILED\` | the next one, with a warning | \`RUNTIME_FAILED\` |
| first run differs from the CPU's | compared only with \`verify\`: \`PROVIDER_UNAVAILABLE\` | the next one, with a warning | \`PROVIDER_UNAVAILABLE\` |
| has no kernel for some operators | they run on the CPU | they run on the CPU | \`PROVIDER_UNAVAILABLE\` |

Operators that compute with integers only, such as shapes, may always run on the CPU: ONNX Runtime leaves them there by choice. A run with wrong inputs fails on any provider, and none takes over. \`evaluate\` behaves as a session. \`train\` takes the next one of \`auto\` if a graph cannot be loaded; its steps are not compared with the CPU's, and a failing one ends the run.

## Fallbacks

\`session.providerReport\` and \`run.providerReport\` count them in any model. For the small ViT of the quickstart, on WebGPU with 8 images, counted in operators:

| graph | on WebGPU | on the CPU | of these, integers only | without a kernel |
| --- | --- | --- | --- | --- |
${placed.join('\n')}

\`npx vitest run docs/providers.test.ts\` measures it again if WebGPU has a driver. Operators whose gradients fall back in part: [autodiff](../concepts/autodiff.md#on-webgpu); those whose kernels are wrong: [operators](./operators.md#wrong-on-webgpu).
`;
}

function platformRow([platform, built]: readonly [string, readonly string[]]): string {
  const [system, architecture] = platform.split(' ') as [string, string];
  const triedWith = (installed: boolean): string =>
    codes(providersToTry('auto', { built, cuda: { file: '', installed } }));
  const [without, withLibrary] = [triedWith(false), triedWith(true)];
  const tried = without === withLibrary ? without : `${without}; with CUDA's library ${withLibrary}`;
  return `| ${systems[system]}, ${architecture} | ${codes(built)} | ${tried} |`;
}

function codes(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ');
}
