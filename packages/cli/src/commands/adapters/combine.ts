/** @file `onnx-lora combine`: merges several adapters into one. */

import { combineAdapters, combineMethods, type CombineOptions } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type Command, Option } from 'commander';
import type { Context } from '../../context.ts';
import { commandOf, type Flags } from '../../options.ts';
import { ENDING, loadWeighted, requireAdapterOut, saveTo } from './adapterFiles.ts';
import { readSettings } from '../../settings/readSettings.ts';
import { numberFlag, requireFlag } from '../../sources.ts';
import { grouped } from '../../terminal/table.ts';

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
    description: `Combines adapters of one base model: a weighted sum, or another method. The result is a plain LoRA adapter with scaling 1: a PEFT folder, or an ${ENDING} file if --out ends so.`,
    words: { '<adapters...>': `PEFT folders, folders of training runs, or ${ENDING} files` },
    flags: [
      'weights',
      new Option('--method <name>', `how: ${combineMethods.join(', ')}`).default('linear'),
      new Option('--rank <n>', "rank of the result, or full; not for linear and cat (default: each module's largest)"),
      new Option('--density <x>', 'fraction of entries that ties, dare_* and magnitude_prune keep'),
      new Option('--majority-sign <which>', 'how ties and dare_ties elect signs: total or frequency (default: total)'),
      new Option('--compat <tool>', "peft: PEFT 0.21's numbers, cross terms included"),
      ['seed', 'seed of the random methods (default: 0)'],
      ['out', `the result: a folder, or a file ending in ${ENDING}`],
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
    requireAdapterOut(out, names, flags);
    const options = readOptions(flags, seed);
    const adapters = await loadWeighted(names, flags);
    const combined = combineAdapters(adapters, options);
    await saveTo(out, combined, flags);
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

/** Options as given; the SDK checks them. */
function readOptions(flags: CombineFlags, seed: number | undefined): CombineOptions {
  const { method, majoritySign, compat } = flags;
  const rank = flags.rank === 'full' ? flags.rank : numberFlag('rank', flags.rank);
  const density = numberFlag('density', flags.density);
  return withoutUndefined({ method, rank, density, majoritySign, compat, seed }) as CombineOptions;
}
