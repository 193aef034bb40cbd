/** @file Every setting that has both a flag and a key in a YAML file, from the tables that say which options they are. */

import { adapterTable } from './adapter.ts';
import { folderTable, inputTable } from './inputs.ts';
import { type CommandSettingInfo, keyOf, type SettingName } from './setting.ts';
import { trainingTable } from './training.ts';

/** All settings, in the order in which `--help` and a written config.yaml show them. */
export const settingInfos: Readonly<Record<SettingName, CommandSettingInfo>> = Object.fromEntries(
  [inputTable, adapterTable, trainingTable, folderTable].flatMap(({ rows }) => rows.map((row) => [row.name, row])),
) as Record<SettingName, CommandSettingInfo>;

/** The flag of a setting, with its dashes. */
export function flagOf(name: SettingName): string {
  return `--${settingInfos[name].flag ?? keyOf(name)}`;
}

/** What a setting is for, with its default. */
export function descriptionOf(name: SettingName): string {
  const { description, default: value } = settingInfos[name];
  return value === undefined || typeof value === 'boolean' ? description : `${description} (default: ${value})`;
}
