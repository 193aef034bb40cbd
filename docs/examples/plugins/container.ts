/** @file The same plugins in a container, for programs that are wired with Inversify. */

import type { PluginRegistry } from '@onnx-lora/sdk';
import { REGISTRY, createContainer, KIND } from '@onnx-lora/sdk/inversify';
import { seriesPlugin } from '../series/plugin.ts';
import { extrasPlugin } from './plugin.ts';

const container = createContainer([seriesPlugin, extrasPlugin]);

/** Each thing under the key of its kind. */
export const taskNames: readonly string[] = container.getAll(KIND.tasks).map(({ name }) => name);

/** All together, as `loadPlugins` gives it: `openModel(path, { plugins: registry })`. */
export const registry: PluginRegistry = container.get(REGISTRY);
