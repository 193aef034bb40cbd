/** @file Words that flags, arguments and settings take where their own description is not a list of them. */

import {
  type Catalogue,
  combineMethods,
  errorCodes,
  initializerNames,
  optimizerNames,
  providerNames,
} from '@onnx-lora/sdk';
import { TENSORBOARD } from './plugins/trackers.ts';

/** Words by the name of a setting, a flag or an argument as code spells it; other words may be right as well. */
export function choicesOf({
  tasks,
  initializers,
  tuners,
  optimizers,
  providers,
  trackers,
}: Catalogue): Readonly<Record<string, readonly string[] | undefined>> {
  return {
    task: namesOf(tasks),
    // pissa_niter_N stands for many names.
    init: [...initializerNames.filter((name) => !name.endsWith('_N')), ...namesOf(initializers)],
    // Without plugins there is none, and a list of no words allows none.
    tuner: tuners.length > 0 ? namesOf(tuners) : undefined,
    optimizer: [...optimizerNames, ...namesOf(optimizers)],
    provider: [...providerNames, ...namesOf(providers)],
    track: [TENSORBOARD, ...namesOf(trackers)],
    method: combineMethods,
    majoritySign: ['total', 'frequency'],
    compat: ['peft'],
    names: ['4', '5'],
    code: Object.keys(errorCodes),
  };
}

function namesOf(list: readonly { readonly name: string }[]): string[] {
  return list.map(({ name }) => name);
}
