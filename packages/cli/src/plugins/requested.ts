/** @file Plugins that a call asks for, and hints at forgotten ones. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Context } from '../context.ts';
import { readSettings, readYaml, settingsIn } from '../settings/readSettings.ts';
import { requestedIn, type RequestedPlugin, type InstalledPackage, installedPlugins } from './loadNamed.ts';

export interface PluginFlags {
  readonly plugins?: readonly string[];
  readonly config?: unknown;
  /** A run to resume, whose config.yaml names plugins. */
  readonly resume?: unknown;
}

/** Requested plugins, those of flags first, without duplicates. @throws OnnxLoraError as reading the settings */
export async function requestedPlugins(
  { plugins = [], config, resume }: PluginFlags,
  folder: string,
): Promise<RequestedPlugin[]> {
  const byFlag = plugins.map((name) => requestedIn(folder, name));
  const file = typeof config === 'string' ? config : configIn(resume);
  // The command reads the other keys.
  const { plugins: given = null } = file === undefined ? {} : await readYaml(file);
  const { plugins: byFile = [] } = given === null ? {} : settingsIn({ plugins: given }, file!);
  const all = [...byFlag, ...byFile.map((name) => requestedIn(path.dirname(path.resolve(file!)), name))];
  return all.filter(({ name }, i) => all.findIndex((each) => each.name === name) === i);
}

function configIn(folder: unknown): string | undefined {
  const file = typeof folder === 'string' ? path.join(folder, 'config.yaml') : undefined;
  return file !== undefined && existsSync(file) ? file : undefined;
}

export type Loaded = Pick<Context, 'registry' | 'plugins' | 'folder'>;

/** Installed plugin packages that are not loaded. */
export function installedButNotLoaded({ registry, plugins, folder }: Loaded): InstalledPackage[] {
  const loaded = new Set([...registry.plugins.map(({ name }) => name), ...plugins]);
  return installedPlugins(folder).filter(({ name }) => !loaded.has(name));
}

/** ` Installed, but not loaded: onnx-lora-cells (--plugin onnx-lora-cells loads it).`; empty if none. */
export function notLoadedHint(loaded: Loaded): string {
  const names = installedButNotLoaded(loaded).map(({ name }) => name);
  if (names.length === 0) return '';
  const how = names.length === 1 ? `--plugin ${names[0]} loads it` : '--plugin NAME loads one';
  return ` Installed, but not loaded: ${names.join(', ')} (${how}).`;
}

/** Flags for the plugins of a run's config.yaml that are not loaded; none without a run. */
export async function flagsOfRun(source: string, { plugins }: Loaded): Promise<string[]> {
  const config = path.join(source, 'config.yaml');
  if (!existsSync(config)) return [];
  // Other errors of the file do not matter here.
  const { plugins: names = [] } = await readSettings({}, config).catch(() => ({ plugins: [] }));
  const folder = path.dirname(path.resolve(config));
  return names
    .map((name) => requestedIn(folder, name).name)
    .filter((name) => !plugins.includes(name))
    .map((name) => `--plugin ${name}`);
}
