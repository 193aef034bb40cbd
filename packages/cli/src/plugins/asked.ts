/** @file Which plugins one call of the command asks for: by its flags, and by its file of settings. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { readYaml, settingsIn } from '../settings/readSettings.ts';
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
