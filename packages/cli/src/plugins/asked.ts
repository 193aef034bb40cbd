/** @file The plugins that a call asks for, and hints at those that it may have forgotten. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Context } from '../context.ts';
import { readSettings, readYaml, settingsIn } from '../settings/readSettings.ts';
import { installedPlugins, type InstalledPackage } from './installed.ts';
import { askedIn, type AskedPlugin } from './loadNamed.ts';

/** Flags that say what to load. */
export interface PluginFlags {
  readonly plugins?: readonly string[];
  readonly config?: unknown;
  /** Folder of a run to go on with, whose config.yaml says what it was begun with. */
  readonly resume?: unknown;
}

/**
 * The plugins, those of flags first, none twice.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND` as reading the settings does
 */
export async function askedPlugins(
  { plugins = [], config, resume }: PluginFlags,
  folder: string,
): Promise<AskedPlugin[]> {
  const byFlag = plugins.map((name) => askedIn(folder, name));
  const file = typeof config === 'string' ? config : configIn(resume);
  // Whose other keys are the command's to read.
  const { plugins: given = null } = file === undefined ? {} : await readYaml(file);
  const { plugins: byFile = [] } = given === null ? {} : settingsIn({ plugins: given }, file!);
  const all = [...byFlag, ...byFile.map((name) => askedIn(path.dirname(path.resolve(file!)), name))];
  return all.filter(({ name }, i) => all.findIndex((each) => each.name === name) === i);
}

function configIn(folder: unknown): string | undefined {
  const file = typeof folder === 'string' ? path.join(folder, 'config.yaml') : undefined;
  return file !== undefined && existsSync(file) ? file : undefined;
}

/** What is loaded, as far as a {@link Context} says it. */
export type Loaded = Pick<Context, 'registry' | 'plugins' | 'folder'>;

/** Packages that are installed and say that they are plugins, but those that are loaded. */
export function notLoaded({ registry, plugins, folder }: Loaded): InstalledPackage[] {
  // A plugin may be called other than its package.
  const loaded = new Set([...registry.plugins.map(({ name }) => name), ...plugins]);
  return installedPlugins(folder).filter(({ name }) => !loaded.has(name));
}

/** ` Installed, but not loaded: onnx-lora-cells (--plugin onnx-lora-cells loads it).`, or nothing where there is none. */
export function notLoadedHint(loaded: Loaded): string {
  const names = notLoaded(loaded).map(({ name }) => name);
  if (names.length === 0) return '';
  const how = names.length === 1 ? `--plugin ${names[0]} loads it` : '--plugin NAME loads one';
  return ` Installed, but not loaded: ${names.join(', ')} (${how}).`;
}

/**
 * The flags that load what a run was made with: those plugins of its config.yaml that are not loaded.
 *
 * @param source what was named as the adapter; where it is no run's folder there are none
 */
export async function flagsOfRun(source: string, { plugins }: Loaded): Promise<string[]> {
  const config = path.join(source, 'config.yaml');
  if (!existsSync(config)) return [];
  // What else is wrong with the file is no matter here.
  const { plugins: names = [] } = await readSettings({}, config).catch(() => ({ plugins: [] }));
  const folder = path.dirname(path.resolve(config));
  return names
    .map((name) => askedIn(folder, name).name)
    .filter((name) => !plugins.includes(name))
    .map((name) => `--plugin ${name}`);
}
