/** @file What the command line may say of how recordings are read (`--set name=value`), the same for all tasks. */

import { choice } from '@onnx-lora/sdk/tasks';
import { evalSplitSetting } from '@onnx-lora/sdk/data';
import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import type { SpeechDataOptions } from './speechSource.ts';

/** What the settings are called. */
export const speechDataSettings: readonly TaskSetting[] = [
  { name: 'audioColumn', kind: 'text', description: 'Column of a manifest with the path of the recording.' },
  { name: 'textColumn', kind: 'text', description: 'Column with what is said.' },
  { name: 'labelColumn', kind: 'text', description: 'Column with the class.' },
  { name: 'labelsColumn', kind: 'text', description: 'Column that lists labels.' },
  { name: 'speakerColumn', kind: 'text', description: 'Column with who speaks.' },
  { name: 'languageColumn', kind: 'text', description: 'Column with the language.' },
  { name: 'startColumn', kind: 'text', description: 'Column with the second at which the utterance begins.' },
  { name: 'endColumn', kind: 'text', description: 'Column with the second at which it ends.' },
  { name: 'durationColumn', kind: 'text', description: 'Column with how many seconds it lasts.' },
  { name: 'splitColumn', kind: 'text', description: 'Column with train, validation or test.' },
  {
    name: 'audioFolder',
    kind: 'text',
    description: "Folder that the paths in a manifest start from; the manifest's by default.",
  },
  { name: 'missingAudio', kind: 'text', description: 'fail (default) or skip: records whose file does not exist.' },
  {
    name: 'splitBy',
    kind: 'text',
    description: 'speaker, text or recording: what is never divided when a fraction is held out.',
  },
  evalSplitSetting,
  { name: 'minSeconds', kind: 'number', description: 'Shorter recordings are left out.' },
  { name: 'maxSeconds', kind: 'number', description: 'Longer recordings are left out.' },
];

/**
 * How data are read, from the command line's words.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a word that is none of the choices
 */
export function speechDataOptions({ validation, holdOut, seed, settings = {} }: TaskOptions): SpeechDataOptions {
  const { audioFolder, minSeconds, maxSeconds } = settings;
  const roles = ['audio', 'text', 'label', 'labels', 'speaker', 'language', 'start', 'end', 'duration', 'split'];
  const columns = roles
    .map((role) => [role, settings[`${role}Column`]] as const)
    .filter(([, column]) => column !== undefined);
  return {
    validation,
    holdOut,
    seed,
    ...(columns.length > 0 ? { columns: Object.fromEntries(columns) } : {}),
    ...(typeof audioFolder === 'string' ? { audioFolder } : {}),
    missingAudio: choice('missingAudio', settings['missingAudio'], ['fail', 'skip']),
    splitBy: choice('splitBy', settings['splitBy'], ['speaker', 'text', 'recording']),
    evalSplit: choice('evalSplit', settings['evalSplit'], ['validation', 'test']),
    ...(typeof minSeconds === 'number' ? { minSeconds } : {}),
    ...(typeof maxSeconds === 'number' ? { maxSeconds } : {}),
  };
}
