/** @file `onnx-lora merge` and `onnx-lora unmerge`: folds adapters into a model, and takes them out. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Model, merge, type MergeResult, unmerge } from '@onnx-lora/sdk';
import { companionsIn } from '@onnx-lora/sdk/plugin';
import { type Command, Option } from 'commander';
import { loadWeighted } from './adapterFiles.ts';
import type { Context } from '../../context.ts';
import { commandOf, type Flag, type Flags, modelArgument } from '../../options.ts';
import { readSettings } from '../../settings/readSettings.ts';
import { oneModel, openNamed, requireFlag } from '../../sources.ts';
import { usageError } from '../../terminal/errors.ts';
import { percent } from '../../terminal/table.ts';

const both: readonly Flag[] = [
  'model',
  'fix',
  'adapters',
  'weights',
  ['out', 'a folder for the model and its other files, or a single .onnx file'],
  'overwrite',
];

/** Makes `merge`. */
export function mergeCommand(context: Context): Command {
  return commandOf({
    name: 'merge',
    description:
      "Merges adapters into the weights: a plain .onnx that any runtime opens, as fast as the base. The base stays unchanged. Several adapters are merged in turn, each scaled by its weight. A folder gets model.onnx and the base's other files, such as its preprocessor or tokenizer, and opens like the base; a single .onnx file keeps only its labels. 16-bit weights are rounded, and the error is reported. A quantized weight that would lose more than a fiftieth of the change to rounding stays unchanged, and the adapter is computed beside the layer.",
    words: modelArgument,
    flags: [
      ...both,
      'mismatch',
      new Option(
        '--requantize',
        'requantize quantized weights, whatever the change loses: as small and as fast as the base',
      ),
      new Option(
        '--format <name>',
        'onnx (the default), or safetensors: a checkpoint for transformers, if the model is one',
      ).choices(['onnx', 'safetensors']),
      'output',
    ],
    examples: [
      'onnx-lora merge models/vit --adapter runs/photos --out models/vit-photos   # a folder as the base has, for predict',
      'onnx-lora merge models/vit --adapter runs/photos --out photos.onnx         # a single file, for other runtimes',
      'onnx-lora merge models/vit --adapter runs/cats --adapter runs/birds --weight 0.7,0.3 -o both.onnx',
    ],
  }).action((word: string | undefined, flags: MergeFlags) => run(context, word, flags, merge));
}

/** Makes `unmerge`. */
export function unmergeCommand(context: Context): Command {
  return commandOf({
    name: 'unmerge',
    description:
      'Reverses a merge with the same adapters and weights. Adapters computed beside layers are removed exactly; weights become W − s·B·A, up to rounding. Replaced values cannot be restored: DoRA in weights, trained tokens, and fully trained modules.',
    words: { '[model]': 'the merged model: folder, .onnx file or hub id; or --model' },
    flags: [...both, 'output'],
    examples: ['onnx-lora unmerge photos.onnx --adapter runs/photos --out base.onnx'],
  }).action((word: string | undefined, flags: MergeFlags) =>
    run(context, word, flags, (model, adapters, out) =>
      unmerge(model, adapters, out, { overwrite: flags.overwrite ?? false }),
    ),
  );
}

interface MergeFlags extends Flags {
  readonly adapter?: readonly string[];
  readonly requantize?: boolean;
  readonly format?: 'onnx' | 'safetensors';
}

async function run(
  context: Context,
  word: string | undefined,
  { adapter: names = [], ...flags }: MergeFlags,
  write: typeof merge,
): Promise<void> {
  const settings = await readSettings(flags, undefined);
  const model = await openNamed(oneModel(word, flags['model'], settings), context, settings);
  const out = requireFlag(settings.out, 'out', 'name the .onnx file or the folder to write');
  if (names.length === 0) throw usageError('--adapter is missing: name the adapter.');
  const result = await write(model, await loadWeighted(names, flags), out, {
    allowBaseMismatch: flags.allowBaseMismatch ?? false,
    overwrite: flags.overwrite ?? false,
    requantize: flags.requantize ?? false,
    format: flags.format ?? 'onnx',
  });
  context.terminal.result(flags, result, () => [...asText(result, out), ...stillNeeded(model, out)]);
}

/** Files that `predict` needs besides a single .onnx; labels are inside. */
function stillNeeded({ folder }: Model, out: string): string[] {
  if (!out.endsWith('.onnx') || folder === undefined) return [];
  const names = companionsIn(folder).filter((name) => PROCESSOR.test(name));
  const missing = names.filter((name) => !existsSync(path.join(path.dirname(out), name)));
  if (missing.length === 0) return [];
  return [
    `For other runtimes it is complete. To be opened here by tasks it also wants ${missing.join(', ')} beside it: merge into a folder (--out ${out.slice(0, -'.onnx'.length)}), which gets them.`,
  ];
}

const PROCESSOR =
  /^(?:preprocessor_config|processor_config|tokenizer|tokenizer_config|vocab|generation_config|modules|sentence_[\w-]+_config|\d+_\w+\/config)\.(?:json|txt)$/;

function asText({ files, modules, rounding, untied, beside }: MergeResult, out: string): string[] {
  const worst = rounding.toSorted((a, b) => b.relativeError - a.relativeError)[0];
  const changed = modules.length === 1 ? '1 module' : `${modules.length} modules`;
  return [
    `Wrote ${written(files, out)}: ${changed} changed.`,
    ...(worst
      ? [`Rounded: ${counted(rounding.map(({ module }) => module))}. Furthest from the exact sum is ${worst.module} (${worst.storage}), by ${percent(worst.relativeError)} of its weight.`] // prettier-ignore
      : []),
    ...(untied.length > 0 ? [`Copied, since other layers share the weight: ${counted(untied)}.`] : []),
    ...(beside.length > 0
      ? [`Computed beside the layer, since its weight cannot hold the change: ${counted(beside)}.`]
      : []),
  ];
}

function written(files: readonly string[], out: string): string {
  if (files[0] === out) return files.join(' and ');
  const models = files.filter((file) => /\.(?:onnx|safetensors)$/.test(file)).map((file) => path.relative(out, file));
  return `${out} (${models.join(', ')}, and what lies beside ${models.length === 1 ? 'it' : 'them'})`;
}

/** The first three names and the number of others. */
function counted(names: readonly string[]): string {
  const more = names.length - 3;
  return `${names.slice(0, 3).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
