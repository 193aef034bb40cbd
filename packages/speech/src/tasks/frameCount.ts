/** @file How many frames a speech encoder makes of a clip. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';

/** Frames of a clip whose input has so many samples (or frames of a spectrogram). */
export type FrameCount = (length: number) => number;

/** No encoder has more; config.json is a stranger's. */
const MOST_LAYERS = 64;

/**
 * Counts frames as transformers' `_get_feat_extract_output_lengths` does: `floor((length + 2 · padding − kernel) / stride) + 1`
 * for each convolution of the feature encoder (`conv_kernel`, `conv_stride`) and of the adapter behind the encoder
 * (`add_adapter`). Undefined where config.json does not tell.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for convolutions that are none
 */
export function frameCount(model: TaskModel): FrameCount | undefined {
  const { config } = model;
  const layers: { readonly kernel: number; readonly stride: number; readonly padding: number }[] = [];
  const refuse = (): OnnxLoraError =>
    new OnnxLoraError(
      'CONFIG_INVALID',
      `config.json of "${model.name}" must give "conv_kernel" and "conv_stride" as equally many whole numbers above 0. Copy the file again from where the model was published.`,
    );
  const [kernels, strides] = [config?.['conv_kernel'], config?.['conv_stride']];
  const isSpectrogram = 'input_features' in model.inputs;
  // Of models that hear a spectrogram, this one alone makes a frame of each of its frames.
  if (isSpectrogram && config?.['model_type'] !== 'wav2vec2-bert') return undefined;
  if (!isSpectrogram) {
    if (kernels === undefined || strides === undefined) return undefined;
    if (!areSizes(kernels) || !areSizes(strides) || kernels.length !== strides.length) throw refuse();
    kernels.forEach((kernel, i) => layers.push({ kernel, stride: strides[i]!, padding: 0 }));
  }
  if (config?.['add_adapter'] === true) {
    const sizes = [
      config['num_adapter_layers'] ?? (isSpectrogram ? 1 : 3),
      config['adapter_kernel_size'] ?? 3,
      config['adapter_stride'] ?? 2,
    ];
    if (!areSizes(sizes)) throw refuse();
    const [count, kernel, stride] = sizes as [number, number, number];
    // wav2vec2 counts its adapter's convolutions, of kernel 3 and padded by 1, as of kernel 1 and not padded, which comes to the same.
    const layer = isSpectrogram
      ? { kernel, stride, padding: Math.floor(kernel / 2) }
      : { kernel: 1, stride, padding: 0 };
    for (let i = 0; i < Math.min(count, MOST_LAYERS); i++) layers.push(layer);
  }
  return (length) =>
    Math.max(
      0,
      layers.reduce((n, { kernel, stride, padding }) => Math.floor((n + 2 * padding - kernel) / stride) + 1, length),
    );
}

function areSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) && value.length <= MOST_LAYERS && value.every((each) => Number.isSafeInteger(each) && each > 0)
  );
}
