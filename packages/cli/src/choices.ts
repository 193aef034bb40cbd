/** @file Words that flags, arguments and settings take where their own description is not a list of them. */

import { combineMethods, errorCodes, initializerNames, type TaskFactory } from '@onnx-lora/sdk';

/** Words by the name of a setting, a flag or an argument as code spells it; other words may be right as well. */
export function choicesOf(tasks: readonly TaskFactory[]): Readonly<Record<string, readonly string[] | undefined>> {
  return {
    task: tasks.map(({ name }) => name),
    // pissa_niter_N stands for many names.
    init: initializerNames.filter((name) => !name.endsWith('_N')),
    method: combineMethods,
    majoritySign: ['total', 'frequency'],
    compat: ['peft'],
    names: ['4', '5'],
    code: Object.keys(errorCodes),
  };
}
