/** @file The plugin: lets `openModel` build checkpoints without .onnx files. */

import { definePlugin, type ModelBuilder, type Plugin } from '@onnx-lora/sdk/plugin';
import type { Architecture } from './architecture.ts';
import { buildGraphs, type BuildOptions } from './buildGraphs.ts';
import { isCheckpoint } from './checkpoint/openCheckpoint.ts';

/** Files to download from a hub repository. */
const files = /^(?:config\.json|modules\.json|1_Pooling\/config\.json|model(?:-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json)$/; // prettier-ignore

/**
 * Plugin that builds checkpoints of these architectures, besides the known ones.
 * @example
 * const model = await openModel('my-checkpoint', { plugins: [visionPlugin, buildPluginWith([myArchitecture])] });
 */
export function buildPluginWith(
  architectures: readonly Architecture[],
  options: Pick<BuildOptions, 'form' | 'names'> = {},
): Plugin {
  const builder: ModelBuilder = {
    name: 'checkpoint',
    description: 'graphs from config.json and safetensors',
    recognises: isCheckpoint,
    choose: (all) => {
      const wanted = all.filter((file) => files.test(file));
      return wanted.some((file) => file.endsWith('.safetensors')) ? wanted : [];
    },
    build: async (folder, { families }) => (await buildGraphs(folder, { ...options, architectures, families })).graphs,
  };
  return definePlugin({
    name: '@onnx-lora/build',
    description: 'ONNX graphs from checkpoints, without Python',
    builders: [builder],
  });
}

/** Plugin that builds checkpoints of the known architectures. */
export const buildPlugin: Plugin = buildPluginWith([]);
