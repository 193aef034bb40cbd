/** @file Built-in plugins, loaded as a call needs them. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Plugin } from '@onnx-lora/sdk/plugin';

/** A built-in package, with facts from its package.json that need no loading. */
export interface BuiltinPackage {
  readonly load: () => Promise<Plugin>;
  readonly modelTypes: readonly string[];
  readonly tasks: readonly string[];
}

/** Plugins for models, by domain; text and proteins share encoders and formats. */
export const domains: readonly (readonly BuiltinPackage[])[] = [
  [own('vision', async () => (await import('@onnx-lora/vision')).visionPlugin)],
  [own('diffusion', async () => (await import('@onnx-lora/diffusion')).diffusionPlugin)],
  [own('speech', async () => (await import('@onnx-lora/speech')).speechPlugin)],
  [
    own('science', async () => (await import('@onnx-lora/science')).sciencePlugin),
    own('text', async () => (await import('@onnx-lora/text')).textPlugin),
  ],
];

const methods = async (): Promise<Plugin> => (await import('@onnx-lora/methods')).methodsPlugin;
const build = async (): Promise<Plugin> => (await import('@onnx-lora/build')).buildPlugin;

/** Commands about one model with its task and adapters; others may name anything. */
const ofOneModel: ReadonlySet<string> = new Set(['inspect', 'predict', 'chat', 'serve', 'merge', 'unmerge', 'export']);

export interface OneCall {
  readonly command: string;
  readonly model: unknown;
  readonly task: unknown;
  /** Whether adapters of any kind may be used. */
  readonly adapts: boolean;
}

/** Loads the plugins of the model's domain where the call and the model's folder determine it, else all. */
export function builtinPlugins({ command, model, task, adapts }: OneCall): Promise<Plugin[]> {
  if (typeof model !== 'string' || !ofOneModel.has(command)) return allBuiltinPlugins();
  const type = modelType(model);
  const domain = domains.find((each) => each.some(({ modelTypes }) => type !== undefined && modelTypes.includes(type)));
  if (!domain || (task !== undefined && !domain.some(({ tasks }) => tasks.includes(task as string))))
    return allBuiltinPlugins();
  return loaded(domain, [...(adapts ? [methods] : []), ...(holdsGraph(model) ? [] : [build])]);
}

/** Loads all built-in plugins, in the families' order of matching. */
export function allBuiltinPlugins(): Promise<Plugin[]> {
  return loaded(domains.flat(), [methods, build]);
}

function loaded(packages: readonly BuiltinPackage[], others: readonly BuiltinPackage['load'][]): Promise<Plugin[]> {
  return Promise.all([...packages.map(({ load }) => load()), ...others.map((load) => load())]);
}

/** `packages/cli/declare.mjs` writes `onnxLora` into package.json at each build. */
function own(name: string, load: BuiltinPackage['load']): BuiltinPackage {
  const { onnxLora } = createRequire(import.meta.url)(`@onnx-lora/${name}/package.json`) as {
    onnxLora: Omit<BuiltinPackage, 'load'>;
  };
  return { load, ...onnxLora };
}

/** Whether a folder has an ONNX graph, so that none needs building. */
export function holdsGraph(folder: string): boolean {
  if (existsSync(path.join(folder, 'onnx'))) return true;
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false;
  return isFolder && readdirSync(folder).some((name) => name.endsWith('.onnx'));
}

/** Opening the model reports errors of the file. */
function modelType(folder: string): string | undefined {
  const file = path.join(folder, 'config.json');
  try {
    const { model_type: type } = JSON.parse(readFileSync(file, 'utf8')) as { model_type?: unknown };
    return typeof type === 'string' ? type : undefined;
  } catch {
    return undefined;
  }
}
