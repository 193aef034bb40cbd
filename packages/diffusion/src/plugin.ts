/** @file The plugin of this package. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { lycoris } from './files/lycoris.ts';

/** The plugin of diffusion: adapters of LyCORIS files. */
export const diffusionPlugin: Plugin = definePlugin({
  name: '@onnx-lora/diffusion',
  description: 'Pictures from text: LoRA files of image generation in every layout, pipelines of diffusion.',
  tuners: [lycoris],
});
