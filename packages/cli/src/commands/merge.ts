/** @file `onnx-lora merge`: one plain .onnx from a model and an adapter. */

import { merge } from '@onnx-lora/sdk';
import { Command } from 'commander';
import type { Context } from '../context.ts';
import { addExamples, addMismatch, addOutput, addSettings, type OutputFlags } from '../options.ts';
import { readSettings } from '../readSettings.ts';
import { loadNamedAdapter, oneModel, openNamed, requireFlag, requireOutFile } from '../sources.ts';

interface MergeFlags extends OutputFlags {
  readonly allowBaseMismatch?: boolean;
}

/** Makes the command. */
export function mergeCommand(context: Context): Command {
  const command = new Command('merge')
    .summary("fold an adapter into a model's weights")
    .description(
      'Writes a plain .onnx with the adapter inside its weights, which any runtime opens and which is as fast as the base. The base is left as it is.',
    )
    .argument('[model]', 'folder, .onnx file or hub id; or --model');
  addSettings(command, ['model', 'adapter', 'out'], { out: 'the .onnx file to write' });
  addMismatch(command);
  addOutput(command);
  addExamples(command, 'onnx-lora merge models/vit --adapter runs/photos --out photos.onnx');
  return command.action(async (word: string | undefined, flags: MergeFlags & Record<string, unknown>) => {
    const settings = await readSettings(flags, undefined);
    const source = requireFlag(settings.adapter, 'adapter', 'name the adapter to merge');
    const out = requireOutFile(settings.out, '.onnx');
    const model = await openNamed(oneModel(word, flags['model'], settings), context.catalogue());
    const adapter = await loadNamedAdapter(source);
    const { files, modules } = await merge(model, adapter, out, {
      allowBaseMismatch: flags.allowBaseMismatch ?? false,
    });
    if (flags.json) context.terminal.printJson({ files, modules });
    else context.terminal.print(`Wrote ${files.join(' and ')}: ${modules.length} modules changed.`);
  });
}
