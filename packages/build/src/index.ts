/** @file `@onnx-lora/build`: ONNX graphs from `config.json` and safetensors. */

export type { Architecture, Emit, Graphs } from './architecture.ts';
export { architectures } from './architectures/index.ts';
export { buildGraphs, type BuildOptions, type BuiltGraphs } from './buildGraphs.ts';
export { buildModel, type BuildModelOptions, type BuiltModel } from './buildModel.ts';
export type { GraphForm, WeightType } from './layers/graph.ts';
export { Config } from './checkpoint/config.ts';
export { type Checkpoint, openCheckpoint } from './checkpoint/openCheckpoint.ts';
export { buildPlugin, buildPluginWith } from './plugin.ts';
