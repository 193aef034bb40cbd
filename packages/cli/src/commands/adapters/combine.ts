/** @file `onnx-lora combine`: one adapter from several. */

import { existsSync } from 'node:fs';
import { combineAdapters, combineMethods, type CombineOptions, saveOnnxAdapter } from '@onnx-lora/sdk';
import { type Command, Option } from 'commander';
import type { Context } from '../../context.ts';
import { usageError } from '../../terminal/errors.ts';
import { commandOf, type Flags } from '../../options.ts';
import { loadWeighted, readNumber } from './adapterList.ts';
import { readSettings } from '../../settings/readSettings.ts';
import { adapterPlaces, isFolder, requireFlag, requireFree, requireOther, requireOutFile } from '../../sources.ts';
import { grouped } from '../../terminal/table.ts';

const ENDING = '.onnx_adapter';

interface CombineFlags extends Flags {
  readonly method: string;
  readonly rank?: string;
  readonly density?: string;
  readonly majoritySign?: string;
  readonly compat?: string;
}

/** Makes the command. */
export function combineCommand(context: Context): Command {
  return commandOf({
    name: 'combine',
    description: `Adds adapters of one base model up, each with a weight, or merges them by another method. The result is a plain LoRA adapter with scaling 1, written as a PEFT folder, or as an ${ENDING} where the name of --out says so.`,
    words: { '<adapters...>': `PEFT folders, folders of training runs, or ${ENDING} files` },
    flags: [
      'weights',
      new Option('--method <name>', `how: ${combineMethods.join(', ')}`).default('linear'),
      new Option(
        '--rank <n>',
        'rank of the result, or full; not for linear and cat (default: the largest of each module)',
      ),
      new Option('--density <x>', 'fraction of entries that ties, dare_* and magnitude_prune keep'),
      new Option(
        '--majority-sign <which>',
        'whose sign wins with ties and dare_ties: total or frequency (default: total)',
      ),
      new Option('--compat <tool>', 'peft: the numbers that PEFT 0.21 gives, cross terms included'),
      ['seed', 'seed of the random methods (default: 0)'],
      ['out', `where the result is written: a folder, or a file that ends in ${ENDING}`],
      'overwrite',
      'output',
    ],
    examples: [
      'onnx-lora combine runs/cats runs/birds --weight 0.7 --weight 0.3 -o both',
      'onnx-lora combine runs/cats runs/birds --method svd --rank 16 -o both',
      'onnx-lora combine runs/polite runs/rude --weight=1,-0.5 -o more-polite   # a negative weight subtracts',
    ],
  }).action(async (names: readonly string[], flags: CombineFlags) => {
    const { seed, out: given } = await readSettings({ ...flags }, undefined);
    const out = requireFlag(given, 'out', `name the folder, or the ${ENDING} file, to write`);
    requireOut(out, names);
    requireFree(adapterPlaces(out), flags);
    const options = readOptions(flags, seed);
    const adapters = await loadWeighted(names, flags);
    const combined = combineAdapters(adapters, options);
    const { overwrite = false } = flags;
    await (out.endsWith(ENDING) ? saveOnnxAdapter(combined, out, { overwrite }) : combined.save(out, { overwrite }));
    const { r, rankPattern } = combined.config;
    const ranks = Object.values(rankPattern);
    const largest = ranks.length > 0 ? Math.max(...ranks) : r;
    const told = {
      out,
      method: options.method,
      weights: adapters.map(({ weight }) => weight),
      rank: largest,
      parameters: combined.parameterCount,
    };
    context.terminal.result(flags, told, () => [
      `Wrote ${out}: ${names.length} adapters in one of rank ${ranks.length > 0 ? 'up to ' : ''}${largest}, ${grouped(combined.parameterCount)} parameters.`,
    ]);
  });
}

/** Found out before the work: a file where a folder should be, or one of the adapters themselves. */
function requireOut(out: string, sources: readonly string[]): void {
  if (out.endsWith(ENDING)) requireOutFile(out, ENDING);
  else if (existsSync(out) && !isFolder(out)) throw usageError(`"${out}" is a file. Name a folder.`);
  requireOther(out, sources);
}

/** The SDK checks the values; here only what must be a number becomes one. */
function readOptions(flags: CombineFlags, seed: number | undefined): CombineOptions {
  const { method, rank, density, majoritySign, compat } = flags;
  const options = {
    method,
    ...(rank === undefined ? {} : { rank: rank === 'full' ? rank : readNumber('rank', rank) }),
    ...(density === undefined ? {} : { density: readNumber('density', density) }),
    ...(majoritySign === undefined ? {} : { majoritySign }),
    ...(compat === undefined ? {} : { compat }),
    ...(seed === undefined ? {} : { seed }),
  };
  return options as CombineOptions;
}
