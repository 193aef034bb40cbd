/** @file Text encoder and UNet as one model, through which gradients flow. */

import { type Model, openModel } from '@onnx-lora/sdk';
import type { OpenPipelineOptions } from '../pipeline/openPipeline.ts';
import { denoiserFiles } from '../families/index.ts';
import { diffusionPlugin } from '../plugin.ts';

/**
 * Opens the text encoder and the UNet of a pipeline's folder as one model: `input_ids`, `sample` and `timestep` to
 * `out_sample`. Modules have the network's name before their paths: `unet.mid_block.attentions.0.proj_in`.
 * @throws OnnxLoraError as `openModel`
 */
export function openDenoiser(folder: string, options: OpenPipelineOptions = {}): Promise<Model> {
  return openModel(folder, {
    ...options,
    plugins: options.plugins ?? [diffusionPlugin],
    files: denoiserFiles,
  });
}
