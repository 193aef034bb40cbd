/** @file The plugins that come with the command, of which a call loads those that it needs. */

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Plugin } from '@onnx-lora/sdk/plugin';

/** A plugin's package, with what its package.json declares: known before the package is loaded. */
export interface OwnPackage {
  readonly load: () => Promise<Plugin>;
  /** `model_type` in config.json, which decides the family where it is there. */
  readonly modelTypes: readonly string[];
  readonly tasks: readonly string[];
}

/** Plugins that know models, by domain: texts and sequences of proteins share encoders and their formats. */
export const domains: readonly (readonly OwnPackage[])[] = [
  [own('vision', async () => (await import('@onnx-lora/vision')).visionPlugin)],
  [own('speech', async () => (await import('@onnx-lora/speech')).speechPlugin)],
  [
    own('science', async () => (await import('@onnx-lora/science')).sciencePlugin),
    own('text', async () => (await import('@onnx-lora/text')).textPlugin),
  ],
];

const methods = async (): Promise<Plugin> => (await import('@onnx-lora/methods')).methodsPlugin;
const build = async (): Promise<Plugin> => (await import('@onnx-lora/build')).buildPlugin;

/** Commands that ask one model, or change it, with its task and its adapters; others may name anything. */
const ofOneModel: ReadonlySet<string> = new Set(['inspect', 'predict', 'chat', 'serve', 'merge', 'unmerge', 'export']);

/** A call, as far as it says what it is about. */
export interface OneCall {
  readonly command: string;
  /** The model and the task, where it names them. */
  readonly model: unknown;
  readonly task: unknown;
  /** Whether adapters may come in, of whatever kind, or are planned. */
  readonly adapts: boolean;
}

/** The plugins that a call needs: those of the model's domain, where the call is about one model and its folder says which. */
export function ownPlugins({ command, model, task, adapts }: OneCall): Promise<Plugin[]> {
  if (typeof model !== 'string' || !ofOneModel.has(command)) return allOwnPlugins();
  const type = modelType(model);
  const domain = domains.find((each) => each.some(({ modelTypes }) => type !== undefined && modelTypes.includes(type)));
  if (!domain || (task !== undefined && !domain.some(({ tasks }) => tasks.includes(task as string))))
    return allOwnPlugins();
  return loaded(domain, [...(adapts ? [methods] : []), ...(holdsGraph(model) ? [] : [build])]);
}

/** All of them, in the order in which their families are asked. */
export function allOwnPlugins(): Promise<Plugin[]> {
  return loaded(domains.flat(), [methods, build]);
}

function loaded(packages: readonly OwnPackage[], others: readonly OwnPackage['load'][]): Promise<Plugin[]> {
  return Promise.all([...packages.map(({ load }) => load()), ...others.map((load) => load())]);
}

/** `onnxLora` of a package.json is written by `packages/cli/declare.mjs` at each build. */
function own(name: string, load: OwnPackage['load']): OwnPackage {
  const { onnxLora } = createRequire(import.meta.url)(`@onnx-lora/${name}/package.json`) as {
    onnxLora: Omit<OwnPackage, 'load'>;
  };
  return { load, ...onnxLora };
}

/** Whether a folder has its graph, as files are published, so that nothing need build it. */
export function holdsGraph(folder: string): boolean {
  return ['onnx', 'model.onnx'].some((name) => existsSync(path.join(folder, name)));
}

/** What is wrong with the file is told by who opens the model. */
function modelType(folder: string): string | undefined {
  const file = path.join(folder, 'config.json');
  try {
    const { model_type: type } = JSON.parse(readFileSync(file, 'utf8')) as { model_type?: unknown };
    return typeof type === 'string' ? type : undefined;
  } catch {
    return undefined;
  }
}
