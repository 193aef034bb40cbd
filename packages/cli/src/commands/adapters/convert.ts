/** @file `onnx-lora convert`: a PEFT folder becomes an .onnx_adapter, and back; names of transformers 4 become those of 5. */

import { existsSync } from 'node:fs';
import { type Adapter, loadAdapter, type Model, saveOnnxAdapter, toPlainLora } from '@onnx-lora/sdk';
import { type Generation, withNames } from '@onnx-lora/sdk/plugin';
import { Command } from 'commander';
import type { Context } from '../../context.ts';
import { usageError } from '../../terminal/errors.ts';
import {
  addExamples,
  addOutput,
  addOverwrite,
  addSettings,
  type OutputFlags,
  type OverwriteFlags,
} from '../../options.ts';
import {
  adapterPlaces,
  holdsAdapter,
  isFolder,
  openNamed,
  requireFree,
  requireOther,
  requireOutFile,
} from '../../sources.ts';
import { grouped } from '../../terminal/table.ts';

const ENDING = '.onnx_adapter';

interface ConvertFlags extends OutputFlags, OverwriteFlags {
  readonly names?: string;
  readonly model?: string;
  readonly plainFrom?: string;
}

/** Makes the command. */
export function convertCommand(context: Context): Command {
  const command = new Command('convert')
    .summary('turn an adapter from one file format into another, or give its modules other names')
    .description(
      `Turns a PEFT folder into an ${ENDING}, which ONNX Runtime's other languages load, or back; which, the name of OUT says. An ${ENDING} holds the scaling inside its tensors and nothing about the base: a PEFT folder made from one has alpha = r, and is not checked against the base's weights. What only PEFT's config says, such as trained tokens, cannot be converted.`,
    )
    .argument('<adapter>', `PEFT folder, folder of a training run, or ${ENDING} file`)
    .argument('<out>', `a file that ends in ${ENDING}, or a folder`);
  command.option('--names <version>', 'names of modules: 4 or 5, the version of transformers that has them');
  addSettings(command, ['model'], { model: 'with --names: the base model, whose family knows both' });
  command.option(
    '--plain-from <path>',
    'makes an adapter plain LoRA that PEFT trained with PiSSA, OLoRA, CorDA or LoRA-GA: the base model (PiSSA and OLoRA only), or the adapter as it was saved before training',
  );
  addOverwrite(command);
  addOutput(command);
  addExamples(
    command,
    'onnx-lora convert runs/photos photos.onnx_adapter',
    'onnx-lora convert photos.onnx_adapter photos-adapter',
    'onnx-lora convert runs/photos photos-v5 --names 5 --model models/vit',
    'onnx-lora convert pissa-adapter plain-adapter --plain-from models/vit',
  );
  return command.action(async (source: string, out: string, flags: ConvertFlags) => {
    const names = requireGeneration(flags);
    const toOrt = out.endsWith(ENDING);
    const fromOrt = source.endsWith(ENDING);
    const isOther = names !== undefined || flags.plainFrom !== undefined;
    if (toOrt && fromOrt && !isOther) {
      throw usageError(`"${source}" is an ${ENDING} already. Name a folder to convert it to PEFT.`);
    }
    const adapter = await loadAdapter(source);
    if (!toOrt && !fromOrt && !isOther) {
      throw usageError(
        `"${source}" is a PEFT folder, and "${out}" would be one too. Name a file that ends in ${ENDING}, or copy the folder; to rename its modules, add --names, to make it plain LoRA, --plain-from.`,
      );
    }
    if (toOrt) requireOutFile(out, ENDING);
    else if (existsSync(out) && !isFolder(out)) throw usageError(`"${out}" is a file. Name a folder.`);
    requireOther(out, [source, ...(flags.plainFrom === undefined ? [] : [flags.plainFrom])]);
    requireFree(adapterPlaces(out), flags);
    const plain =
      flags.plainFrom === undefined
        ? adapter
        : await toPlainLora(adapter, await baseOrInitial(flags.plainFrom, context));
    const named = names === undefined ? plain : await renamed(plain, names, flags, context);
    await (toOrt ? saveOnnxAdapter(named, out) : named.save(out));
    const format = toOrt ? 'onnx_adapter' : 'peft';
    const parameters = named.parameterCount;
    if (flags.json) context.terminal.printJson({ out, format, parameters, ...(names === undefined ? {} : { names }) });
    else context.terminal.print(`Wrote ${out}: ${grouped(parameters)} parameters${wordsOfNames(named, plain, names)}.`);
  });
}

/** @throws OnnxLoraError `CONFIG_INVALID` for another version, and for one of --names and --model alone */
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

/** What `--plain-from` names: an adapter where there is one, else a model. */
function baseOrInitial(source: string, context: Context): Promise<Adapter | Model> {
  return holdsAdapter(source) ? loadAdapter(source) : openNamed(source, context.registry());
}

async function renamed(
  adapter: Adapter,
  names: Generation,
  { model: source }: ConvertFlags,
  context: Context,
): Promise<Adapter> {
  const { name, family, config } = await openNamed(source, context.registry());
  if (family) return withNames(adapter, names, { family, ...(config ? { config } : {}) });
  throw usageError(`"${name}" is of no known family, and only a family knows the names of both versions.`);
}

function wordsOfNames(named: Adapter, before: Adapter, names: Generation | undefined): string {
  if (names === undefined) return '';
  return named === before
    ? `; its names are those of transformers ${names} already`
    : `, under the names of transformers ${names}`;
}
