/** @file From answers to a folder with a plugin. */

import { type Answers, completeAnswers } from './answers.ts';
import { filesOf } from './template.ts';
import { writeFolder } from './writeFolder.ts';

/**
 * Writes a plugin with its tests. Nothing is installed.
 *
 * @example
 * await createPlugin('onnx-lora-cells', { family: 'cell-net', task: 'cell-counting' });
 *
 * @param folder is made; where it exists it must be empty
 * @param given answers; the others follow from the folder's name
 * @returns all answers, given or not
 * @throws CreateError for an answer that cannot be used, and for a folder that is not empty or cannot be written
 */
export async function createPlugin(
  folder: string,
  given: Partial<Record<keyof Answers, string>> = {},
): Promise<Answers> {
  const answers = completeAnswers(given, folder);
  await writeFolder(folder, filesOf(answers));
  return answers;
}
