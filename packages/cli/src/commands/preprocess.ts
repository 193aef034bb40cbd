/** @file `onnx-lora preprocess`: writes the model's exact inputs for files. */

import type { Tensor } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { withoutUndefined, readModelConfig, writeSafetensors } from '@onnx-lora/sdk/data';
import { preprocessorOf } from '@onnx-lora/vision';
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { commandOf, type Flags } from '../options.ts';
import { Progress } from '../terminal/progress.ts';
import { readSettings } from '../settings/readSettings.ts';
import { isFolder, modelAndRest, openNamed, requireFree, requireOutFile } from '../sources.ts';
import { grouped } from '../terminal/table.ts';

/** Makes the command. */
export function preprocessCommand(context: Context): Command {
  return commandOf({
    name: 'preprocess',
    description:
      "Preprocesses files as the model's preprocessor_config.json says, into one safetensors file: a tensor per file, named by the given path, without batch dimension (an image is [3, height, width], a recording for Whisper [80, 3000]). MODEL may be a folder without .onnx files.",
    usage: 'MODEL INPUT… -o FEEDS.safetensors [options]',
    words: { '[words...]': 'the model and the inputs; with --model, only inputs' },
    flags: ['model', ['out', 'the .safetensors file to write'], 'overwrite', 'output'],
    examples: ['onnx-lora preprocess models/vit cat.jpg dog.jpg -o feeds.safetensors'],
  }).action(async (words: string[], flags: Flags) => {
    const { terminal } = context;
    const settings = await readSettings(flags, undefined);
    const { source, rest } = modelAndRest(words, settings.model, 'inputs');
    const out = requireOutFile(settings.out, '.safetensors');
    requireFree([out], flags);
    const { preprocessor } = await preprocessorOf(await describe(source, context), context.registry.preprocessors);
    const progress = new Progress(terminal, flags);
    const tensors = new Map<string, Tensor>();
    for (const file of rest) {
      tensors.set(file, await preprocessor.preprocess(file));
      if (rest.length > 32)
        progress.showLive(tensors.size, rest.length, `${grouped(tensors.size)} of ${grouped(rest.length)} inputs`);
    }
    await writeSafetensors(out, tensors);
    const shapes = Object.fromEntries([...tensors].map(([name, { dims }]) => [name, dims]));
    terminal.result(flags, { out, tensors: shapes }, () => {
      const [first] = tensors.values();
      const count = tensors.size === 1 ? 'a tensor' : `${grouped(tensors.size)} tensors, the first`;
      return [`Wrote ${out}: ${count} [${first!.dims.join(', ')}].`];
    });
  });
}

async function describe(source: string, context: Context): Promise<TaskModel> {
  if (!isFolder(source)) return openNamed(source, context);
  const config = readModelConfig(source);
  return { name: source, folder: source, inputs: {}, outputs: {}, ...withoutUndefined({ config }) };
}
