/** @file `onnx-lora run`: writes a model's raw outputs for given feeds. */

import { loadAdapter, type Model, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors, writeSafetensors } from '@onnx-lora/sdk/data';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { type Command, Option } from 'commander';
import { checkNames } from '../settings/choices.ts';
import type { Context } from '../context.ts';
import { usageError } from '../terminal/errors.ts';
import { machineOptions } from '../settings/training.ts';
import { commandOf, type Flags, modelArgument } from '../options.ts';
import { readSettings } from '../settings/readSettings.ts';
import { oneModel, openNamed, requireFlag, requireFree, requireOutFile } from '../sources.ts';

/** Makes the command. */
export function runCommand(context: Context): Command {
  return commandOf({
    name: 'run',
    description:
      'Runs a model once, with or without an adapter, on tensors from a safetensors file, named like the inputs, and writes the outputs by name.',
    words: modelArgument,
    flags: [
      new Option('--feeds <file>', 'safetensors file with a tensor per input of the model'),
      'model',
      'fix',
      'adapter',
      ['out', 'the .safetensors file to write'],
      'provider',
      'precision',
      'threads',
      'mismatch',
      'overwrite',
      'output',
    ],
    examples: ['onnx-lora run models/vit --feeds feeds.safetensors --adapter runs/photos -o outputs.safetensors'],
  }).action(async (word: string | undefined, flags: Flags & { readonly feeds?: string }) => {
    const settings = await readSettings(flags, undefined);
    checkNames(settings, context.registry);
    const feedsFile = requireFlag(flags.feeds, 'feeds', 'name a safetensors file with a tensor per input');
    const out = requireOutFile(settings.out, '.safetensors');
    requireFree([out], flags);
    const model = await openNamed(oneModel(word, flags['model'], settings), context, settings);
    const { tensors } = await readSafetensors(feedsFile);
    checkFeeds(model, tensors, feedsFile);
    const adapter = settings.adapter === undefined ? undefined : await loadAdapter(settings.adapter);
    const session = await model.session({
      adapters: adapter ? { adapter } : {},
      allowBaseMismatch: flags.allowBaseMismatch ?? false,
      ...machineOptions(settings),
    });
    let outputs: Record<string, Tensor>;
    try {
      outputs = await session.run(Object.fromEntries(tensors), { adapter: adapter ? 'adapter' : null });
    } finally {
      await session.release();
    }
    await writeSafetensors(out, new Map(Object.entries(outputs)));
    const shapes = Object.entries(outputs).map(([name, { type, dims }]) => ({ name, type, dims }));
    context.terminal.result(flags, { out, outputs: shapes }, () => {
      const shown = shapes.map(({ name, type, dims }) => `${name} ${type} [${dims.join(', ')}]`).join('; ');
      return [`Wrote ${out}: ${shown}.`];
    });
  });
}

function checkFeeds(model: Model, feeds: ReadonlyMap<string, Tensor>, file: string): void {
  const inputs = Object.keys(model.inputs);
  const missing = inputs.filter((name) => !feeds.has(name));
  if (missing.length > 0) {
    throw usageError(
      `"${file}" has no tensor "${missing[0]}", which "${model.name}" needs. Inputs are ${inputs.join(', ')}; the file holds ${[...feeds.keys()].slice(0, 10).join(', ') || 'none'}. Give it that name; what preprocess wrote for single files must be stacked first, as a batch.`,
    );
  }
  const strange = [...feeds.keys()].find((name) => !inputs.includes(name));
  if (strange !== undefined) {
    throw usageError(
      `"${file}" holds "${strange}", but "${model.name}" has no such input.${didYouMean(strange, inputs)} Inputs are ${inputs.join(', ')}.`,
    );
  }
  for (const name of inputs) {
    const [expected, found] = [model.inputs[name]!.type, feeds.get(name)!.type];
    if (expected !== found) {
      throw usageError(`"${file}" holds "${name}" as ${found}, and "${model.name}" takes ${expected}. Convert it.`);
    }
  }
}
