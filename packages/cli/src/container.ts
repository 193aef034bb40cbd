/** @file Everything that the domain packages and the plugins that were asked for bring, gathered by inversify. */

import { sciencePlugin } from '@onnx-lora/science';
import type { PluginRegistry } from '@onnx-lora/sdk';
import type { Plugin } from '@onnx-lora/sdk/plugin';
import { REGISTRY, createContainer } from '@onnx-lora/sdk/inversify';
import { speechPlugin } from '@onnx-lora/speech';
import { visionPlugin } from '@onnx-lora/vision';

/** The plugins that come with the command. */
export const ownPlugins: readonly Plugin[] = [visionPlugin, speechPlugin, sciencePlugin];

/** What the commands choose from. What was asked for goes first: its families are asked before the command's own. */
export function loadCatalogue(asked: readonly Plugin[] = []): PluginRegistry {
  return createContainer([...asked, ...ownPlugins]).get(REGISTRY);
}
