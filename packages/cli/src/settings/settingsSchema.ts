/** @file The JSON schema of the config file, for editors. */

import type { PluginRegistry } from '@onnx-lora/sdk';
import { type SettingInfo, settingSchema, type TaskFactory } from '@onnx-lora/sdk/plugin';
import { z } from 'zod';
import { choicesOf } from './choices.ts';
import { settingInfos } from './settings.ts';
import { keyOf, type SettingName } from './setting.ts';
import { continualTable } from './continual.ts';
import { sweepTable } from './sweep.ts';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/**
 * The schema of the config file, with the plugins' words. It is stricter than the reader, which also accepts
 * `batch_size`, empty values and quoted numbers.
 */
export function settingsSchema(registry: PluginRegistry): JsonSchema {
  const names = Object.keys(settingInfos) as SettingName[];
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Settings of onnx-lora',
    description: 'Settings for --config of onnx-lora. A key is a flag without its dashes.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...Object.fromEntries(names.map((name) => [keyOf(name), propertyOf(name, registry)])),
      sweep: sectionSchema(sweepTable, 'for onnx-lora sweep: the settings to try'),
      continual: sectionSchema(continualTable, 'for onnx-lora continual: tasks that are learned one after the other'),
    },
  };
}

function sectionSchema({ rows }: { readonly rows: readonly SettingInfo[] }, description: string): JsonSchema {
  const properties = rows.map((row) => {
    const { description: meaning, default: value } = row;
    const known = { description: meaning, ...(value === undefined ? {} : { default: value }) };
    return [keyOf(row.name), { ...known, ...rowSchema(row) }];
  });
  return {
    description,
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(properties) as Record<string, JsonSchema>,
  };
}

/** The fixed words that a setting accepts. */
export function wordsOf(name: SettingName): string[] {
  const { enum: words = [], anyOf = [] } = rowSchema(settingInfos[name]);
  const constants = anyOf.flatMap((each) => (typeof each === 'object' ? [each.const, ...(each.enum ?? [])] : []));
  return [...words, ...constants].filter((each) => typeof each === 'string');
}

function propertyOf(name: SettingName, registry: PluginRegistry): JsonSchema {
  const { description, kind, default: value = kind === 'flag' ? false : undefined } = settingInfos[name];
  const schema = name === 'set' ? setSchema(registry.tasks) : rowSchema(settingInfos[name]);
  const words = choicesOf(registry)[name];
  return {
    description,
    ...(value === undefined ? {} : { default: value }),
    // Other words, such as a plugin's task, are valid too; editors suggest these.
    ...(words ? suggesting(words, schema) : schema),
  };
}

/** Adds words that an editor suggests; for a list, per item. */
function suggesting(words: readonly string[], { items, ...schema }: JsonSchema): JsonSchema {
  const one = (each: JsonSchema): JsonSchema => ({ anyOf: [{ enum: [...words] }, each] });
  return items === undefined ? one(schema) : { ...schema, items: one(items as JsonSchema) };
}

/** Settings of all tasks; one that several tasks have accepts any of their schemas. */
function setSchema(tasks: readonly TaskFactory[]): JsonSchema {
  const meanings = new Map<string, SettingInfo[]>();
  for (const row of tasks.flatMap(({ settings }) => settings?.rows ?? []))
    meanings.set(row.name, [...(meanings.get(row.name) ?? []), row]);
  const properties = [...meanings].map(([name, rows]) => {
    const all = rows.flatMap((row) => [rowSchema(row), ...(row.kind === 'texts' ? [{ type: 'string' as const }] : [])]);
    const schemas = new Map(all.map((schema) => [JSON.stringify(schema), schema]));
    const description = [...new Set(rows.map((row) => row.description))].join(' Or: ');
    return [name, { description, ...(schemas.size === 1 ? all[0] : { anyOf: [...schemas.values()] }) }];
  });
  const ofTasks = { properties: Object.fromEntries(properties) as Record<string, JsonSchema> };
  return { allOf: [rowSchema(settingInfos.set), ofTasks] };
}

/** The schema of a setting's value. */
export function rowSchema(row: SettingInfo): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(settingSchema(row), { target: 'draft-7' });
  return schema;
}
