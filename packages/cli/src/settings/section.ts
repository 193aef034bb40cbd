/** @file A file of settings with a section of its own, such as `sweep`, beside what `train` takes. */

import type { SettingTable, SettingValues } from '@onnx-lora/sdk/plugin';
import { usageError } from '../terminal/errors.ts';
import { readYaml } from './readSettings.ts';
import { type CommandSetting, type Content, keyOf } from './setting.ts';

/**
 * Reads a file of settings, and its section by the table of that.
 *
 * @param missing what to say of a file without the section, behind `"FILE" has no key "SECTION"`
 * @returns what stands in the section, and beside it
 * @throws OnnxLoraError `FILE_NOT_FOUND`, `CONFIG_INVALID`
 */
export async function readSection<Options>(
  file: string,
  section: string,
  table: SettingTable<Options, CommandSetting>,
  missing: string,
): Promise<{ readonly content: Content; readonly options: ReturnType<SettingTable<Options>['read']> }> {
  const { [section]: own, ...content } = await readYaml(file);
  if (typeof own !== 'object' || own === null || Array.isArray(own))
    throw usageError(`"${file}" has no key "${section}" ${missing}`);
  const given = Object.entries(own as Content).filter(([, value]) => value !== null);
  const options = table.read(
    Object.fromEntries(given.map(([key, value]) => [nameOf(key), value])) as SettingValues,
    { owner: `"${section}" in "${file}"`, where: (name) => `"${section}.${keyOf(name)}" in "${file}"` }, // prettier-ignore
  );
  return { content, options };
}

/** `draw-seed` → `drawSeed`. */
function nameOf(key: string): string {
  return key.replaceAll(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
