/** @file `onnx-lora schema`: the JSON schema of the config file, for editors. */

import type { Command } from 'commander';
import type { Context } from '../../context.ts';
import { commandOf } from '../../options.ts';
import { settingsSchema } from '../../settings/settingsSchema.ts';

/** Makes the command. */
export function schemaCommand(context: Context): Command {
  return commandOf({
    name: 'schema',
    description:
      'Prints the JSON schema of YAML settings, for completion and checks in editors: save it, and start the YAML file with the line "# yaml-language-server: $schema=" and its path.',
    examples: ['onnx-lora schema > onnx-lora.schema.json'],
  }).action(() => context.terminal.print(JSON.stringify(settingsSchema(context.registry), null, 2)));
}
