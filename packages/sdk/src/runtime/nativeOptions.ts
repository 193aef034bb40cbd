/** @file ONNX Runtime settings of the SDK; docs/concepts/runtime.md has the measurements. */

import { environment } from '../platform/system.ts';
import { OnnxLoraError } from '../errors.ts';
import type { NativeOptions } from './engine.ts';
import type { ConcreteProvider, SessionOptions, SessionSource } from './session.ts';

/** The graph and ONNX Runtime's options for one provider. */
export function nativeSession(
  source: SessionSource,
  options: SessionOptions,
  provider: ConcreteProvider,
): { readonly bytes: Uint8Array; readonly options: NativeOptions } {
  const { prepack = true } = options;
  const { bytes = source.bytes, widens } = (provider === 'cpu' && source.onCpu?.({ prepack })) || {};
  return { bytes, options: nativeOptions(source, widens ? { ...options, mergesEqual: false } : options, provider) };
}

/** ONNX Runtime's session options for one provider. */
export function nativeOptions(
  source: SessionSource,
  {
    purpose = 'inference',
    prepack = true,
    optimize = true,
    mergesEqual = true,
    spins = true,
    threads = threadsOfEnvironment(),
  }: SessionOptions,
  provider: ConcreteProvider,
): NativeOptions {
  const training = purpose === 'training';
  const extra: Record<string, string> = {
    // The default, 4, also rounds the inputs of 4- and 8-bit products to 8 bits; 1 keeps float32.
    'session.qdq_matmulnbits_accuracy_level': '1',
  };
  if (source.folder !== undefined) extra['session.model_external_initializers_file_folder_path'] = source.folder;
  if (!spins) extra['session.intra_op.allow_spinning'] = '0';
  if (!prepack) extra['session.disable_prepacking'] = '1';
  const disabled: string[] = [];
  if (!mergesEqual) disabled.push('CommonSubexpressionElimination');
  if (training && provider === 'cpu') {
    // Gemm is slower than MatMul and Add: 16.1 ms against 11.8 + 1.4 ms for [1576, 384] × [384, 1536].
    disabled.push('MatMulAddFusion');
    // Merges consecutive Reshapes, and fails if the sizes of the first are computed.
    disabled.push('ReshapeFusion');
  }
  // Fuses the sum with a LayerNormalization; WebGPU then omits the deviations that a gradient reads.
  if (training && provider === 'webgpu') disabled.push('SkipLayerNormFusion');
  if (disabled.length > 0) extra['optimization.disable_specified_optimizers'] = disabled.join(';');
  return {
    executionProviders: [provider],
    graphOptimizationLevel: optimize ? 'all' : 'disabled',
    // Memory patterns double the peak of a fixed-shape training loop.
    enableMemPattern: !training,
    logSeverityLevel: 3,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    extra,
    ...(source.folder !== undefined && { weights: { folder: source.folder, files: source.files ?? [] } }),
  };
}

/** `ONNX_LORA_THREADS`, the default thread count. @throws OnnxLoraError `CONFIG_INVALID` unless 1 to 1024 */
function threadsOfEnvironment(): number | undefined {
  const text = environment['ONNX_LORA_THREADS'];
  if (!text) return undefined;
  const threads = Number(text);
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The environment variable ONNX_LORA_THREADS is ${JSON.stringify(text.slice(0, 40))}, but must be a whole number from 1 to 1024. ` +
      'Set it to the cores that a session may use, or unset it.',
  );
}
