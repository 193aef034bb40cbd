/** @file `onnx-lora merge` and `onnx-lora unmerge`: one plain .onnx from a model and adapters, and the way back. */

import path from 'node:path';
import { merge, type MergeResult, unmerge } from '@onnx-lora/sdk';
import { Command } from 'commander';
import { addAdapters, type AdapterFlags, loadWeighted } from '../adapterList.ts';
import type { Context } from '../context.ts';
import { printable } from '../errors.ts';
import { addExamples, addMismatch, addOutput, addSettings, type OutputFlags } from '../options.ts';
import { readSettings } from '../readSettings.ts';
import { oneModel, openNamed, requireFlag } from '../sources.ts';
import { short } from '../table.ts';

interface MergeFlags extends OutputFlags, AdapterFlags {
  readonly allowBaseMismatch?: boolean;
}

/** Makes `merge`. */
export function mergeCommand(context: Context): Command {
  const command = new Command('merge')
    .summary("fold adapters into a model's weights")
    .description(
      'Writes a plain .onnx with the adapters inside its weights, which any runtime opens and which is as fast as the base. The base is left as it is. Several adapters are folded in one after the other, each by its weight. A folder gets model.onnx and what lies beside the base, such as its tokenizer, and is opened as the base is. Weights of 16 bits are rounded and quantised ones quantised anew; the answer says how far that is from the exact sum.',
    )
    .argument('[model]', 'folder, .onnx file or hub id; or --model');
  addFlags(command);
  addMismatch(command);
  addOutput(command);
  addExamples(
    command,
    'onnx-lora merge models/vit --adapter runs/photos --out photos.onnx',
    'onnx-lora merge models/sam --adapter runs/cells --out models/sam-cells   # a folder as the base has',
    'onnx-lora merge models/vit --adapter runs/cats --adapter runs/birds --weight 0.7,0.3 -o both.onnx',
  );
  return command.action((word: string | undefined, flags: MergeFlags & Record<string, unknown>) =>
    run(context, word, flags, merge),
  );
}

/** Makes `unmerge`. */
export function unmergeCommand(context: Context): Command {
  const command = new Command('unmerge')
    .summary('take merged adapters out of a model again')
    .description(
      'Writes the model that a merged one was made from, to within rounding: W − s·B·A, with the weights of the merge. What merging has replaced cannot come back: DoRA, trained tokens, and what is trained in full.',
    )
    .argument('[model]', 'the merged model: folder, .onnx file or hub id; or --model');
  addFlags(command);
  addOutput(command);
  addExamples(command, 'onnx-lora unmerge photos.onnx --adapter runs/photos --out base.onnx');
  return command.action((word: string | undefined, flags: MergeFlags & Record<string, unknown>) =>
    run(context, word, flags, unmerge),
  );
}

function addFlags(command: Command): void {
  addSettings(command, ['model', 'fix']);
  addAdapters(command);
  addSettings(command, ['out'], { out: 'the .onnx file to write, or a folder for it and what lies beside the base' });
}

async function run(
  { terminal, catalogue }: Context,
  word: string | undefined,
  { adapter, weight, ...flags }: MergeFlags & Record<string, unknown>,
  write: typeof merge,
): Promise<void> {
  const settings = await readSettings(flags, undefined);
  const model = await openNamed(oneModel(word, flags['model'], settings), catalogue(), settings);
  const out = requireFlag(settings.out, 'out', 'name the .onnx file or the folder to write');
  const adapters = await loadWeighted({ ...(adapter ? { adapter } : {}), ...(weight ? { weight } : {}) });
  const result = await write(model, adapters, out, { allowBaseMismatch: flags.allowBaseMismatch ?? false });
  if (flags.json) terminal.printJson(result);
  else for (const line of asText(result, out)) terminal.print(printable(line));
}

/** What was written, and what of it a person may not expect. */
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
      ? [`Computed beside the layer, since its weight cannot hold the delta: ${counted(beside)}.`]
      : []),
  ];
}

/** The file, with that of its weights where it has one; or the folder and what is in it. */
function written(files: readonly string[], out: string): string {
  if (files[0] === out) return files.join(' and ');
  const models = files.filter((file) => file.endsWith('.onnx')).map((file) => path.relative(out, file));
  return `${out} (${models.join(', ')}, and what lies beside ${models.length === 1 ? 'it' : 'them'})`;
}

/** The first few names, and how many more. */
function counted(names: readonly string[]): string {
  const more = names.length - 3;
  return `${names.slice(0, 3).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function percent(share: number): string {
  return `${short(100 * share)}%`;
}
