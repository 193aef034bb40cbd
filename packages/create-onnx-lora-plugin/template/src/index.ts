/** @file The plugin: everything that this package brings. Its default export is what `--plugin {{name}}` loads. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { family } from './family.ts';
import { NumbersPreprocessorFactory } from './preprocessor.ts';
import { RegressionFactory } from './task.ts';

export { family } from './family.ts';
export { regression, type RegressionSettings } from './task.ts';

const plugin: Plugin = definePlugin({
  name: '{{name}}',
  version: '0.1.0',
  description: '{{description}}',
  families: [family],
  preprocessors: [new NumbersPreprocessorFactory()],
  tasks: [new RegressionFactory()],
});
export default plugin;
