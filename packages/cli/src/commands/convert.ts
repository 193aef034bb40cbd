/** @file `onnx-lora convert`: a PEFT folder becomes an .onnx_adapter, and back. */

import { existsSync } from 'node:fs';
import { saveOnnxAdapter } from '@onnx-lora/sdk';
import { Command } from 'commander';
import type { Context } from '../context.ts';
import { usageError } from '../errors.ts';
import { addExamples, addOutput, type OutputFlags } from '../options.ts';
import { isFolder, loadNamedAdapter, requireOutFile } from '../sources.ts';
import { grouped } from '../table.ts';

const ENDING = '.onnx_adapter';

/** Makes the command. */
export function convertCommand(context: Context): Command {
  const command = new Command('convert')
    .summary('turn an adapter from one file format into another')
    .description(
      `Turns a PEFT folder into an ${ENDING}, which ONNX Runtime's other languages load, or back; which, the name of OUT says. An ${ENDING} holds the scaling inside its tensors and nothing about the base: DoRA and modules trained in full cannot be converted, and a PEFT folder made from one has alpha = r.`,
    )
    .argument('<adapter>', `PEFT folder, folder of a training run, or ${ENDING} file`)
    .argument('<out>', `a file that ends in ${ENDING}, or a folder`);
  addOutput(command);
  addExamples(
    command,
    'onnx-lora convert runs/photos photos.onnx_adapter',
    'onnx-lora convert photos.onnx_adapter photos-adapter',
  );
  return command.action(async (source: string, out: string, flags: OutputFlags) => {
    const toOrt = out.endsWith(ENDING);
    const fromOrt = source.endsWith(ENDING);
    if (toOrt && fromOrt) {
      throw usageError(`"${source}" is an ${ENDING} already. Name a folder to convert it to PEFT.`);
    }
    const adapter = await loadNamedAdapter(source);
    if (!toOrt && !fromOrt) {
      throw usageError(
        `"${source}" is a PEFT folder, and "${out}" would be one too. Name a file that ends in ${ENDING}, or copy the folder.`,
      );
    }
    if (toOrt) requireOutFile(out, ENDING);
    else if (existsSync(out) && !isFolder(out)) throw usageError(`"${out}" is a file. Name a folder.`);
    await (toOrt ? saveOnnxAdapter(adapter, out) : adapter.save(out));
    const format = toOrt ? 'onnx_adapter' : 'peft';
    if (flags.json) context.terminal.printJson({ out, format, parameters: adapter.parameterCount });
    else context.terminal.print(`Wrote ${out}: ${grouped(adapter.parameterCount)} parameters.`);
  });
}
