/** @file The settings of ONNX Runtime that the SDK chooses; docs/concepts/runtime.md has the measurements. */

import { OnnxLoraError } from '../errors.ts';
import type { NativeOptions } from './engine.ts';
import type { ConcreteProvider, SessionOptions, SessionSource } from './session.ts';

/** ONNX Runtime's options for a session on one provider. */
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
    // At its default, 4, products with weights of 4 or 8 bits round their inputs to 8 bits too; 1 keeps them float32.
    'session.qdq_matmulnbits_accuracy_level': '1',
  };
  if (source.folder !== undefined) extra['session.model_external_initializers_file_folder_path'] = source.folder;
  if (!spins) extra['session.intra_op.allow_spinning'] = '0';
  if (!prepack) extra['session.disable_prepacking'] = '1';
  const disabled: string[] = [];
  if (!mergesEqual) disabled.push('CommonSubexpressionElimination');
  if (training && provider === 'cpu') {
    // It would make MatMul and Add of a bias one Gemm, which is slower: 16.1 ms against 11.8 + 1.4 ms for
    // [1576, 384] × [384, 1536].
    disabled.push('MatMulAddFusion');
    // It makes one of two Reshapes in a row, and fails where the sizes of the first are computed.
    disabled.push('ReshapeFusion');
  }
  // It would fuse the sum with a LayerNormalization whose deviations a gradient reads, which WebGPU then does not compute.
  if (training && provider === 'webgpu') disabled.push('SkipLayerNormFusion');
  if (disabled.length > 0) extra['optimization.disable_specified_optimizers'] = disabled.join(';');
  return {
    executionProviders: [provider],
    graphOptimizationLevel: optimize ? 'all' : 'disabled',
    // The pattern planner doubles the peak of a fixed-shape training loop.
    enableMemPattern: !training,
    logSeverityLevel: 3,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    extra,
  };
}

/**
 * `ONNX_LORA_THREADS`: the threads of sessions that are not told how many, for a container with a share of a machine's
 * cores and for several processes beside each other, where ONNX Runtime would take every core in each.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when it is set to no whole number of 1 to 1024
 */
function threadsOfEnvironment(): number | undefined {
  const text = process.env['ONNX_LORA_THREADS'];
  if (!text) return undefined;
  const threads = Number(text);
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The environment variable ONNX_LORA_THREADS is ${JSON.stringify(text.slice(0, 40))}, but must be a whole number from 1 to 1024. ` +
      'Set it to the cores that a session may use, or unset it.',
  );
}
