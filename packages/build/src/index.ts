/** @file `@onnx-lora/build`: ONNX graphs from `config.json` and safetensors. */

export type { Architecture, Emit, Graphs } from './architecture.ts';
export { architectures } from './architectures/index.ts';
export { buildGraphs, type BuildOptions, type BuiltGraphs } from './buildGraphs.ts';
export { buildModel, type BuildModelOptions, type BuiltModel } from './buildModel.ts';
export type { Activation } from './layers/activations.ts';
export { Graph, type GraphForm, type GraphOptions, type WeightType } from './layers/graph.ts';
export { type Convolution, Module } from './layers/module.ts';
export { type Naming, type FoundTensor, Weights } from './checkpoint/weights.ts';
export { ModuleNames } from './checkpoint/moduleNames.ts';
export { Config } from './checkpoint/config.ts';
export { type Checkpoint, openCheckpoint } from './checkpoint/openCheckpoint.ts';
export { buildPlugin, buildPluginWith } from './plugin.ts';
