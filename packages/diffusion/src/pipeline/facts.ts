/** @file Sizes of a pipeline. */

import { type Model, OnnxLoraError } from '@onnx-lora/sdk';

/** Sizes that a pipeline's configs say. */
export interface PipelineFacts {
  /** Channels of latents. */
  readonly channels: number;
  /** Pixels per latent. */
  readonly factor: number;
  /** Latents per side that the UNet halves away. */
  readonly multiple: number;
  /** Latents per side of a picture of the usual size. */
  readonly usual: number;
  /** Factor of latents. */
  readonly scaling: number;
  /** Added to latents before the decoder. */
  readonly shift: number;
  /** Whether pictures can be encoded. */
  readonly encodes: boolean;
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a wrong size, `MODEL_UNSUPPORTED` for a UNet of inpainting */
export function factsOf(models: Readonly<Record<string, Model>>): PipelineFacts {
  const field = (name: string, key: string, usual: number): number => {
    const value = models[name]?.config?.[key] ?? usual;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw new OnnxLoraError('CONFIG_INVALID', `The config of "${name}" has ${key} ${JSON.stringify(value)}, and needs a number. Export the pipeline again.`); // prettier-ignore
  };
  const blocks = (name: string): number => {
    const list = models[name]?.config?.['block_out_channels'];
    return Array.isArray(list) && list.length > 0 && list.length < 10 ? list.length : 4;
  };
  const channels = field('unet', 'in_channels', 4);
  const own = field('vae_decoder', 'latent_channels', 4);
  if (channels !== own)
    throw new OnnxLoraError('MODEL_UNSUPPORTED', `The UNet takes ${channels} channels and latents have ${own}: it was made for inpainting with a mask beside the picture. Use a UNet of text to image, which takes masks too.`); // prettier-ignore
  return {
    channels,
    factor: 2 ** (blocks('vae_decoder') - 1),
    multiple: 2 ** (blocks('unet') - 1),
    usual: field('unet', 'sample_size', 64),
    scaling: field('vae_decoder', 'scaling_factor', 0.18215),
    shift: field('vae_decoder', 'shift_factor', 0),
    encodes: models['vae_encoder'] !== undefined,
  };
}
