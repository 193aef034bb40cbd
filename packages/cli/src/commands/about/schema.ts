/** @file `onnx-lora schema`: the JSON schema of YAML settings, for editors. */

import { Command } from 'commander';
import type { Context } from '../../context.ts';
import { addExamples } from '../../options.ts';
import { settingsSchema } from '../../settings/settingsSchema.ts';

/** Makes the command. */
export function schemaCommand({ terminal, registry }: Context): Command {
  const command = new Command('schema')
    .summary('print the JSON schema of the settings that --config takes')
    .description(
      'Prints the JSON schema of a YAML file of settings. An editor that knows it completes keys and marks mistakes: save it, and begin the YAML file with the line "# yaml-language-server: $schema=" and its path.',
    );
  addExamples(command, 'onnx-lora schema > onnx-lora.schema.json');
  return command.action(() => terminal.print(JSON.stringify(settingsSchema(registry()), null, 2)));
}
