/** @file `onnx-lora export`: a model with adapters as optional inputs, for ONNX Runtime's other languages. */

import path from 'node:path';
import { type Adapter, exportWithInputs, loadAdapter } from '@onnx-lora/sdk';
import { Command } from 'commander';
import { addAdapterNames } from './adapterList.ts';
import type { Context } from '../../context.ts';
import { printable, usageError } from '../../terminal/errors.ts';
import {
  addExamples,
  addMismatch,
  addOutput,
  addOverwrite,
  addSettings,
  type OutputFlags,
  type OverwriteFlags,
} from '../../options.ts';
import { readSettings } from '../../settings/readSettings.ts';
import { oneModel, openNamed, requireOutFile } from '../../sources.ts';

interface ExportFlags extends OutputFlags, OverwriteFlags {
  readonly adapter?: readonly string[];
  readonly allowBaseMismatch?: boolean;
}

/** Makes the command. */
export function exportCommand(context: Context): Command {
  const command = new Command('export')
    .summary("write a model whose adapters are optional inputs, for ONNX Runtime's other languages")
    .description(
      'Writes an .onnx whose adapters are graph inputs with defaults that leave the base as it is, and beside it an .onnx_adapter for each adapter, named after it. C, C++, C#, Java and Python run it with one of the files as active adapter.',
    )
    .argument('[model]', 'folder, .onnx file or hub id; or --model');
  addSettings(command, ['model', 'fix']);
  addAdapterNames(command);
  addSettings(command, ['out'], { out: 'the .onnx file to write' });
  addOverwrite(command);
  addMismatch(command);
  addOutput(command);
  addExamples(command, 'onnx-lora export models/vit --adapter runs/cats --adapter runs/birds -o served/vit.onnx');
  return command.action(
    async (word: string | undefined, { adapter: sources = [], ...flags }: ExportFlags & Record<string, unknown>) => {
      const settings = await readSettings(flags, undefined);
      const out = requireOutFile(settings.out, '.onnx');
      if (sources.length === 0) throw usageError('--adapter is missing: name the adapters to export.');
      const adapters: Record<string, Adapter> = {};
      for (const source of sources) {
        const name = path.basename(path.resolve(source)).replace(/\.onnx_adapter$/, '');
        if (Object.hasOwn(adapters, name))
          throw usageError(`Two adapters are called "${name}", and would have one file. Rename a folder.`);
        adapters[name] = await loadAdapter(source);
      }
      const model = await openNamed(oneModel(word, flags['model'], settings), context.registry(), settings);
      const result = await exportWithInputs(model, adapters, out, {
        allowBaseMismatch: flags.allowBaseMismatch ?? false,
        overwrite: flags.overwrite ?? false,
      });
      if (flags.json) context.terminal.printJson(result);
      else {
        const files = Object.values(result.adapters).join(', ');
        context.terminal.print(printable(`Wrote ${result.files.join(' and ')}: ${result.inputs.length} optional inputs; and ${files}.`)); // prettier-ignore
      }
    },
  );
}
