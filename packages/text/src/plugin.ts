/** @file What this package brings, as any plugin would. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { textFamilies } from './families/index.ts';

/** Texts: the families. */
export const textPlugin: Plugin = definePlugin({
  name: '@onnx-lora/text',
  description: 'Texts: language models that are taught to answer.',
  families: textFamilies,
});
