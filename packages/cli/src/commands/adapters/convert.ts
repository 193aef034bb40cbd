/** @file `onnx-lora convert`: converts between PEFT folders and .onnx_adapter files, and renames modules. */

import { Adapter, convertToLora, loadAdapter, toPlainLora } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type Generation, inNaming } from '@onnx-lora/sdk/plugin';
import { type Command, Option } from 'commander';
import type { Context } from '../../context.ts';
import { usageError } from '../../terminal/errors.ts';
import { commandOf, type Flags } from '../../options.ts';
import { holdsAdapter, openNamed } from '../../sources.ts';
import { grouped, percent } from '../../terminal/table.ts';
import { ENDING, requireAdapterOut, saveTo } from './adapterFiles.ts';

interface ConvertFlags extends Flags {
  readonly names?: string;
  readonly model?: string;
  readonly plainFrom?: string;
  readonly rank?: string;
}

/** Makes the command. */
export function convertCommand(context: Context): Command {
  return commandOf({
    name: 'convert',
    description: `Converts a PEFT folder to an ${ENDING} file, which ONNX Runtime's other languages load, or back; the name of OUT decides. An ${ENDING} has the scaling inside its tensors and no facts about the base, so a PEFT folder made from one has lora_alpha = r and is not checked against the base's weights. Adapters that need PEFT's config, such as trained tokens, cannot be converted.`,
    words: {
      '<adapter>': `PEFT folder, folder of a training run, or ${ENDING} file`,
      '<out>': `a file ending in ${ENDING}, or a folder`,
    },
    flags: [
      new Option('--names <version>', 'module names of transformers 4 or 5'),
      ['model', 'with --names: the base model, to know its family'],
      new Option(
        '--plain-from <path>',
        "convert to plain LoRA: for PEFT's PiSSA, OLoRA, CorDA or LoRA-GA, the base model (PiSSA and OLoRA only) or the adapter saved before training; for a plugin's tuner, the base model",
      ),
      new Option('--rank <n>', "with --plain-from, for a tuner's adapter: rank of the approximation (default: 8)"),
      'overwrite',
      'output',
    ],
    examples: [
      'onnx-lora convert runs/photos photos.onnx_adapter',
      'onnx-lora convert photos.onnx_adapter photos-adapter',
      'onnx-lora convert runs/photos photos-v5 --names 5 --model models/vit',
      'onnx-lora convert pissa-adapter plain-adapter --plain-from models/vit',
      'onnx-lora convert loha-adapter plain-adapter --plain-from models/vit --rank 16 --plugin onnx-lora-loha',
    ],
  }).action(async (source: string, out: string, flags: ConvertFlags) => {
    const names = requireGeneration(flags);
    const toOrt = out.endsWith(ENDING);
    const fromOrt = source.endsWith(ENDING);
    const isOther = names !== undefined || flags.plainFrom !== undefined;
    if (toOrt && fromOrt && !isOther) {
      throw usageError(`"${source}" is an ${ENDING} already. Name a folder to convert it to PEFT.`);
    }
    if (flags.rank !== undefined && flags.plainFrom === undefined)
      throw usageError('--rank is of use with --plain-from only. Leave it out, or add --plain-from.');
    const adapter = await loadAdapter(source);
    if (!toOrt && !fromOrt && !isOther) {
      throw usageError(
        `"${source}" is a PEFT folder, and "${out}" would be one too. Name a file that ends in ${ENDING}, or copy the folder; to rename its modules, add --names, to make it plain LoRA, --plain-from.`,
      );
    }
    requireAdapterOut(out, [source, ...(flags.plainFrom === undefined ? [] : [flags.plainFrom])], flags);
    const { adapter: plain, errors } =
      flags.plainFrom === undefined ? { adapter } : await plainLora(adapter, flags.plainFrom, flags.rank, context);
    const named = names === undefined ? plain : await renamed(plain, names, flags, context);
    await saveTo(out, named, flags);
    const format = toOrt ? 'onnx_adapter' : 'peft';
    const parameters = named.parameterCount;
    const told = withoutUndefined({ out, format, parameters, names, leftOut: errors && Object.fromEntries(errors) });
    context.terminal.result(flags, told, () => [
      `Wrote ${out}: ${grouped(parameters)} parameters${wordsOfNames(named, plain, names)}${errors ? wordsOfErrors(errors) : ''}.`,
    ]);
  });
}

/** @throws OnnxLoraError `CONFIG_INVALID` for an unknown version, or --names and --model without each other */
function requireGeneration({ names, model }: ConvertFlags): Generation | undefined {
  if (names === undefined) {
    if (model !== undefined) throw usageError('--model is of use with --names only. Leave it out, or add --names.');
    return undefined;
  }
  if (names !== '4' && names !== '5')
    throw usageError(`--names must be 4 or 5, a version of transformers, but it is ${JSON.stringify(names)}.`);
  if (model === undefined)
    throw usageError('--names needs the base model, whose family knows the names of both. Add --model.');
  return names === '4' ? 4 : 5;
}

/** Converts to plain LoRA by `--plain-from`; for another tuner's adapter with errors of the rank. */
async function plainLora(
  adapter: Adapter,
  from: string,
  rank: string | undefined,
  context: Context,
): Promise<{ readonly adapter: Adapter; readonly errors?: ReadonlyMap<string, number> }> {
  const origin = holdsAdapter(from) ? await loadAdapter(from) : await openNamed(from, context);
  const { peftType } = adapter.config;
  if (peftType === 'LORA') {
    if (rank === undefined) return { adapter: await toPlainLora(adapter, origin) };
    throw usageError('--rank is for adapters of other tuners; one of LoRA keeps its own. Leave it out.');
  }
  if (origin instanceof Adapter)
    throw usageError(`The adapter is of the type ${peftType}, and "${from}" is an adapter. Name the base model.`);
  return convertToLora(adapter, origin, rank === undefined ? {} : { r: Number(rank) });
}

/** The largest error of the rank. */
function wordsOfErrors(errors: ReadonlyMap<string, number>): string {
  const [module, most] = [...errors].reduce((worst, each) => (each[1] > worst[1] ? each : worst));
  return most === 0 ? '; its changes are exact' : `; of the change of "${module}" the rank leaves out ${percent(most)}, of others less`; // prettier-ignore
}

async function renamed(
  adapter: Adapter,
  names: Generation,
  { model: source }: ConvertFlags,
  context: Context,
): Promise<Adapter> {
  const { name, family, config } = await openNamed(source, context);
  if (family) return inNaming(adapter, names, { family, ...withoutUndefined({ config }) });
  throw usageError(`"${name}" is of no known family, and only a family knows the names of both versions.`);
}

function wordsOfNames(named: Adapter, before: Adapter, names: Generation | undefined): string {
  if (names === undefined) return '';
  return named === before
    ? `; its names are those of transformers ${names} already`
    : `, under the names of transformers ${names}`;
}
