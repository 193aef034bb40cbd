/** @file The page of the settings that may stand in a YAML file, made from the settings themselves. */

import { flagOf, settingInfos } from '../packages/cli/src/settings/settings.ts';
import { keyOf, type SettingName } from '../packages/cli/src/settings/setting.ts';
import type { AnyOptionRow } from '../packages/sdk/src/model/training/options/optionRow.ts';
import { trainOptionRows } from '../packages/sdk/src/model/training/options/options.ts';
import { withFlags } from './commandPage.ts';
import { type JsonSchema, rowSchema } from '../packages/cli/src/settings/settingsSchema.ts';
import { continualTable } from '../packages/cli/src/settings/continual.ts';
import { sweepTable } from '../packages/cli/src/settings/sweep.ts';

/** The file that the page shows. */
export const exampleOfSettings = `# yaml-language-server: $schema=onnx-lora.schema.json
model: models/vit
data: photos
validation: 0.2
targets: [query, value]
r: 16
lr: 0.0005
epochs: 5
batch-size: 16
set:
  augment: standard
out: runs/photos
`;

/**
 * The page in Markdown.
 *
 * @param commands names of the commands that take such a file
 */
export function settingsPage(commands: readonly string[]): string {
  return `---
title: Settings (YAML)
order: 20
---

# Settings in a YAML file

\`--config run.yaml\` takes settings of ${new Intl.ListFormat('en').format(commands.map((name) => `[\`${name}\`](./command-line.md#${name})`))} from a file. Each key is a flag without its dashes${exceptions()}; flags on the command line override the file. A run of \`train\` writes its settings, defaults included, to \`config.yaml\` in its folder.

\`\`\`yaml
${exampleOfSettings}\`\`\`

Paths are relative to the current folder, those of \`plugins\` to the file's. \`batch_size\` and \`batchSize\` are read as \`batch-size\`, and an empty value as none. Unknown or repeated keys are errors.

## In an editor

\`\`\`sh
onnx-lora schema > onnx-lora.schema.json
\`\`\`

writes the JSON schema (draft-07) of such files, with the tasks and the keys of \`set\`. Editors with a YAML language server, such as VS Code with its YAML extension, then complete and explain keys and mark mistakes, in a file that begins with the line above. The package has the same schema as \`node_modules/@onnx-lora/cli/schema/onnx-lora.schema.json\`.

## All settings

This table is made from the settings themselves.

| key | value | default | meaning |
| --- | --- | --- | --- |
${(Object.keys(settingInfos) as SettingName[]).map((name) => row(settingInfos[name])).join('\n')}

## Options of a resumed run

Programs give these to \`train\` by the same names, and the command line by the flags above. \`resume\` refuses another value of a fixed option. A changed option holds from the checkpoint on, with a warning. The others change no number of the adapter.

- fixed: ${onResume('fixed')}
- may change: ${onResume('mayChange')}
- no result: ${onResume('noResult')}

## Sweeps

The file of [\`sweep\`](../guides/sweep.md) has these under its key \`sweep\`, beside the settings above, which all trials share.

| key | value | default | meaning |
| --- | --- | --- | --- |
${sweepTable.rows.map(row).join('\n')}

## Continual learning

The file of [\`continual\`](../guides/continual.md) has these under its key \`continual\`, beside the settings above, which all tasks share.

| key | value | default | meaning |
| --- | --- | --- | --- |
${continualTable.rows.map(row).join('\n')}
`;
}

/** Options of `train` by the effect of another value on a resumed run. */
function onResume(rule: AnyOptionRow['onResume']): string {
  const named = Object.entries(trainOptionRows).filter(([, row]) => row.onResume === rule);
  return named.map(([name]) => `\`${name}\``).join(', ');
}

/** The keys that are called otherwise than their flags. */
function exceptions(): string {
  const named = (Object.keys(settingInfos) as SettingName[]).filter((name) => flagOf(name) !== `--${keyOf(name)}`);
  const pairs = named.map((name) => `\`${keyOf(name)}\` for \`${flagOf(name)}\``);
  return pairs.length === 0 ? '' : ` (${pairs.join(', ')})`;
}

function row(info: Parameters<typeof rowSchema>[0]): string {
  const { name, description, default: value } = info;
  const otherwise = value === undefined ? '' : `\`${value}\``;
  return `| \`${keyOf(name)}\` | ${words(rowSchema(info))} | ${otherwise} | ${withFlags(description)} |`;
}

/** Accepted values of a schema, in words. */
function words(schema: JsonSchema): string {
  if (Object.keys(schema).length === 0) return 'any value';
  if (schema.anyOf) return schema.anyOf.map((each) => words(each as JsonSchema)).join(', or ');
  if (schema.enum) return schema.enum.map((each) => `\`${String(each)}\``).join(', ');
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  switch (schema.type) {
    case 'integer':
      return `whole number from ${schema.minimum}`;
    case 'number':
      return `number${bounds(schema)}`;
    case 'boolean':
      return '`true` or `false`';
    case 'null':
      return 'nothing';
    case 'array':
      return `list (${words(schema.items as JsonSchema)})`;
    case 'object':
      return `table (${words(schema.additionalProperties as JsonSchema)})`;
    default:
      return 'text';
  }
}

function bounds({ minimum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): string {
  const from = minimum === undefined ? '' : ` from ${minimum}`;
  const above = exclusiveMinimum === undefined ? '' : ` above ${exclusiveMinimum}`;
  return `${from}${above}${exclusiveMaximum === undefined ? '' : ` and below ${exclusiveMaximum}`}`;
}
