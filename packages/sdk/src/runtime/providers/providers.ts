/** @file Execution providers available on this machine, and the missing requirements of others. */

import { existsSync } from '../../platform/files.ts';
import { architecture, availableParallelism, emitWarning, system } from '../../platform/system.ts';
import { cudaLibrary } from '../../platform/engine.ts';
import { OnnxLoraError, nearest } from '../../errors.ts';
import type { ConcreteProvider, FallenBackNode, SessionOptions } from '../session.ts';

const concrete: readonly ConcreteProvider[] = ['cpu', 'cuda', 'dml', 'coreml', 'webgpu'];

/** Provider names of ONNX Runtime, and `auto`. */
export const providerNames: readonly string[] = ['auto', ...concrete];

/** A provider in a separate library, downloaded by an install script. */
export interface SeparateLibrary {
  readonly file: string;
  readonly installed: boolean;
}

/** onnxruntime-node's capabilities on this machine. */
export interface Availability {
  readonly built: readonly string[];
  readonly cuda: SeparateLibrary;
}

/** Looks for onnxruntime-node's separate libraries. */
export function availability(built: readonly string[]): Availability {
  const file = cudaLibrary();
  return { built, cuda: { file, installed: existsSync(file) } };
}

/**
 * The providers to try, best first. `auto` excludes WebGPU: without a GPU it runs on a software rasterizer, far slower
 * than the CPU provider.
 * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` for an unknown provider, and for one that cannot work here
 */
export function providersToTry(wanted: string, { built, cuda }: Availability): readonly ConcreteProvider[] {
  if (wanted === 'auto') {
    const hasCuda = built.includes('cuda') && cuda.installed;
    return [...(hasCuda ? (['cuda'] as const) : []), ...(built.includes('dml') ? (['dml'] as const) : []), 'cpu'];
  }
  const provider = concrete.find((name) => name === wanted);
  if (!provider) throw noSuchProvider(wanted);
  const usable = concrete.filter((name) => built.includes(name) && (name !== 'cuda' || cuda.installed));
  if (!built.includes(provider)) {
    throw new OnnxLoraError(
      'PROVIDER_UNAVAILABLE',
      `onnxruntime-node for ${system} ${architecture} has no provider "${provider}". Use ${usable.join(' or ')}.`,
    );
  }
  if (provider === 'cuda' && !cuda.installed) {
    throw new OnnxLoraError(
      'PROVIDER_UNAVAILABLE',
      `The provider "cuda" needs a library that is not installed: there is no "${cuda.file}". Run onnxruntime-node's install script with --onnxruntime-node-install=cuda12, or use ${usable.join(' or ')}.`,
    );
  }
  return [provider];
}

/** The error for an unknown provider; plugins' providers are suggested too. */
export function noSuchProvider(wanted: string, ofPlugins: readonly string[] = []): OnnxLoraError {
  const names = [...providerNames, ...ofPlugins];
  // Names are short: suggest only the nearest.
  const [near] = nearest(wanted, names, 1);
  const isOpenvino = /^openvino(:|$)/.test(wanted);
  const hint = isOpenvino
    ? ' It is in the package @onnx-lora/openvino: install it, and name it among the plugins (--plugin @onnx-lora/openvino).'
    : near === undefined
      ? ''
      : ` Did you mean "${near}"?`;
  return new OnnxLoraError(
    'PROVIDER_UNAVAILABLE',
    `There is no provider "${wanted}".${hint} Providers are ${names.join(', ')}.`,
  );
}

/** More threads mostly wait for each other. */
const MAX_THREADS = 256;

/**
 * Checks provider and thread count before anything is read.
 * @param ofPlugins names of plugins' providers
 * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` for an unknown provider, `CONFIG_INVALID` for an impossible thread count
 */
export function checkMachine(
  { provider, threads }: { readonly provider?: string | undefined; readonly threads?: number | undefined },
  ofPlugins: readonly string[] = [],
): void {
  if (provider !== undefined && ![...providerNames, ...ofPlugins].includes(provider)) {
    throw noSuchProvider(provider, ofPlugins);
  }
  if (threads === undefined || (Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS)) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `threads must be a whole number from 1 to ${MAX_THREADS}, but it is ${threads}. This machine has ${availableParallelism()} processors; leave threads out to use all of them.`,
  );
}

const remedies: Readonly<Record<ConcreteProvider, string>> = {
  cpu: 'Install onnxruntime-node again',
  cuda: 'Check that the NVIDIA driver, CUDA 12 and cuDNN 9 are installed and found (nvidia-smi, LD_LIBRARY_PATH)',
  dml: 'Update Windows and the graphics driver',
  coreml: 'Update macOS',
  webgpu: 'Install a driver for Vulkan, Direct3D 12 or Metal',
};

/** The error for a built-in provider that cannot start. */
export function providerFailed(provider: ConcreteProvider, cause: unknown): OnnxLoraError {
  return new OnnxLoraError(
    'PROVIDER_UNAVAILABLE',
    `The provider "${provider}" does not work on this machine: ${reasonOf(cause)}. ${remedies[provider]}, or use cpu.`,
    { cause },
  );
}

/** The error for a provider with outputs that differ from the CPU's. */
export function wrongOutputs(
  provider: ConcreteProvider,
  found: { readonly model: string; readonly output: string; readonly difference: number; readonly tolerance: number },
): OnnxLoraError {
  return new OnnxLoraError(
    'PROVIDER_UNAVAILABLE',
    `The provider "${provider}" computes "${found.output}" of "${found.model}" differently from the CPU: by ${found.difference.toPrecision(2)} of its largest value, where ${found.tolerance} is accepted. Use cpu, or accept more (verify: { tolerance }).`,
  );
}

/** The error for a provider that leaves operators to the CPU in strict mode. */
export function usesTheCpu(provider: ConcreteProvider, model: string, nodes: readonly FallenBackNode[]): OnnxLoraError {
  const shown = nodes.slice(0, 3).map(({ op, name }) => `${op} "${name}"`);
  const more = nodes.length > shown.length ? ` and ${nodes.length - shown.length} more` : '';
  return new OnnxLoraError(
    'PROVIDER_UNAVAILABLE',
    `The provider "${provider}" has no kernel for ${nodes.length} operators of "${model}", which ran on the CPU: ${shown.join(', ')}${more}. Allow that (strict: false), or use cpu.`,
  );
}

/** The reason in an ONNX Runtime error, without source location and final full stop. */
export function reasonOf(error: unknown): string {
  const message = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
  // "/onnxruntime_src/…/file.cc:136 function(…) condition was false. The actual reason"
  return message.replace(/^\S*\.(?:cc|h):\d+ .* was false\. /, '').replace(/[.\s]+$/, '');
}

/** Message prefix of a failed run; other failures of a session, such as an ended thread, are not the feeds' fault. */
export const RUN_FAILED = 'ONNX Runtime failed on';

/** Whether ONNX Runtime failed to compute the given feeds. */
export function isRunFailure(error: unknown): boolean {
  return error instanceof OnnxLoraError && error.code === 'RUNTIME_FAILED' && error.message.startsWith(RUN_FAILED);
}

/** Warns through the options' `onWarning`, or else as the process. */
export function warn({ onWarning }: Pick<SessionOptions, 'onWarning'>, message: string): void {
  if (onWarning) onWarning(message);
  else emitWarning(message);
}
