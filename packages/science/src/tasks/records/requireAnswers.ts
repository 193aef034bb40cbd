/** @file Refuses adapters whose head answers something else than the task. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';

/** What heads answer with, by the task that they were trained for. */
const answersOf: Readonly<Record<string, string>> = {
  'sequence-classification': 'classes',
  'sequence-labelling': 'labels',
  'sequence-regression': 'numbers',
  'residue-classification': 'classes',
  'residue-regression': 'numbers',
};

/**
 * A number looks like the score of a single class, and would be answered as one that is certain.
 *
 * @param noun what the task answers with, in the plural: `classes`
 * @throws OnnxLoraError `CONFIG_INVALID` for an adapter of a task that is known to answer with something else
 */
export function requireAnswers(adapters: readonly Adapter[], noun: string): void {
  for (const { notes } of adapters) {
    const own = notes.task === undefined ? undefined : answersOf[notes.task];
    if (own === undefined || own === noun) continue;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The adapter was trained for the task ${notes.task!} and answers with ${own}, not with ${noun}. Take that task (--task ${notes.task!}), or leave it out.`,
    );
  }
}
