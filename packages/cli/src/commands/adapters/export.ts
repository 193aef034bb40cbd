/** @file `onnx-lora export`: writes a model with adapters as optional inputs, for other languages and Triton. */

import path from 'node:path';
import { type Adapter, exportForTriton, exportWithInputs, loadAdapter } from '@onnx-lora/sdk';
import { type Command, Option } from 'commander';
import type { Context } from '../../context.ts';
import { usageError } from '../../terminal/errors.ts';
import { commandOf, type Flags, modelArgument } from '../../options.ts';
import { readSettings } from '../../settings/readSettings.ts';
import { oneModel, openNamed, requireOutFile } from '../../sources.ts';

interface ExportFlags extends Flags {
  readonly adapter?: readonly string[];
  readonly triton?: string;
}

/** Makes the command. */
export function exportCommand(context: Context): Command {
  return commandOf({
    name: 'export',
    description:
      "Writes an .onnx with adapters as graph inputs, whose defaults leave the base unchanged, and an .onnx_adapter file per adapter. C, C++, C#, Java and Python run it with one of the files as active adapter. With --triton, writes a model repository for NVIDIA's Triton, with a model per adapter that shares the base.",
    words: modelArgument,
    flags: [
      'model',
      'fix',
      'adapters',
      ['out', 'the .onnx file to write'],
      new Option('--triton <folder>', 'write a model repository for Triton instead of a file').conflicts('out'),
      'overwrite',
      'mismatch',
      'output',
    ],
    examples: [
      'onnx-lora export models/vit --adapter runs/cats --adapter runs/birds -o served/vit.onnx',
      'onnx-lora export models/vit --adapter runs/cats --adapter runs/birds --triton repository',
    ],
  }).action(async (word: string | undefined, { adapter: sources = [], triton, ...flags }: ExportFlags) => {
    const settings = await readSettings(flags, undefined);
    const out = triton ?? requireOutFile(settings.out, '.onnx');
    if (sources.length === 0) throw usageError('--adapter is missing: name the adapters to export.');
    const adapters: Record<string, Adapter> = {};
    for (const source of sources) {
      const name = path.basename(path.resolve(source)).replace(/\.onnx_adapter$/, '');
      if (Object.hasOwn(adapters, name))
        throw usageError(`Two adapters are called "${name}", and would have one file. Rename a folder.`);
      adapters[name] = await loadAdapter(source);
    }
    const model = await openNamed(oneModel(word, flags['model'], settings), context, settings);
    const { allowBaseMismatch = false, overwrite = false } = flags;
    if (triton !== undefined) {
      const written = await exportForTriton(model, adapters, triton, { allowBaseMismatch, overwrite });
      context.terminal.result(flags, written, () => [
        `Wrote ${triton}: ${[written.model, ...written.adapters].join(', ')} are models that clients may ask.`,
      ]);
      return;
    }
    const result = await exportWithInputs(model, adapters, out, { allowBaseMismatch, overwrite });
    context.terminal.result(flags, result, () => {
      const files = Object.values(result.adapters).join(', ');
      return [`Wrote ${result.files.join(' and ')}: ${result.inputs.length} optional inputs; and ${files}.`];
    });
  });
}
