/** @file Several adapters on the command line, each with a weight: `--adapter a --adapter b --weight 0.7,0.3`. */

import { loadAdapter, type WeightedAdapter } from '@onnx-lora/sdk';
import { type Command, Option } from 'commander';
import { usageError } from '../../terminal/errors.ts';

/** What {@link addAdapters} adds. */
export interface AdapterFlags {
  readonly adapter?: readonly string[];
  readonly weight?: readonly string[];
}

/** `--adapter`, which may be given several times. */
export function addAdapterNames(command: Command): Command {
  return command.addOption(
    new Option(
      '--adapter <path>',
      'PEFT folder, folder of a training run, or .onnx_adapter file; may be given several times',
    ).argParser(collect),
  );
}

/** {@link addAdapterNames}, and `--weight`. */
export function addAdapters(command: Command): Command {
  return addAdapterNames(command).addOption(
    new Option(
      '--weight <x>',
      'how much of an adapter; once per adapter, in their order, or with commas between (default: 1 each)',
    ).argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), ...text.split(',')]),
  );
}

/**
 * The adapters that were named, loaded.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when none is named, or the weights do not match; as `loadAdapter`
 */
export async function loadWeighted({ adapter: names = [], weight }: AdapterFlags): Promise<WeightedAdapter[]> {
  if (names.length === 0) throw usageError('--adapter is missing: name the adapter.');
  if (weight && weight.length !== names.length) {
    throw usageError(
      `${names.length} ${names.length === 1 ? 'adapter is' : 'adapters are'} named, but the number of weights is ${weight.length}. Give --weight once per adapter, in their order.`,
    );
  }
  const weights = names.map((_, i) => readWeight(weight?.[i]));
  const adapters = await Promise.all(names.map((name) => loadAdapter(name)));
  return adapters.map((adapter, i) => ({ adapter, weight: weights[i]!, name: names[i]! }));
}

function readWeight(text: string | undefined): number {
  if (text === undefined) return 1;
  if (text.trim() !== '' && Number.isFinite(Number(text))) return Number(text);
  throw usageError(`--weight must be a number, but it is ${JSON.stringify(text)}.`);
}

function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}
