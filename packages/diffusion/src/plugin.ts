/** @file The plugin of this package. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { diffusionFamilies } from './families/index.ts';
import { lycoris } from './files/lycoris.ts';
import { textToImageTask } from './training/textToImage.ts';

/** The plugin of diffusion: adapters of LyCORIS files. */
export const diffusionPlugin: Plugin = definePlugin({
  name: '@onnx-lora/diffusion',
  description: 'Pictures from text: LoRA files of image generation in every layout, pipelines of diffusion.',
  families: diffusionFamilies,
  tasks: () => [textToImageTask],
  tuners: [lycoris],
});
