/** @file What the command line may say of how recordings are read (`--set name=value`), the same for all tasks. */

import { choice } from '@onnx-lora/sdk/tasks';
import { columnOptions, columnSettings, evalSplitSetting } from '@onnx-lora/sdk/data';
import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { speechColumns } from './manifest.ts';
import type { SpeechColumns, SpeechDataOptions } from './speechRecord.ts';

/** What the settings are called. */
export const speechDataSettings: readonly TaskSetting[] = [
  ...columnSettings(speechColumns),
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
  return {
    validation,
    holdOut,
    seed,
    ...columnOptions<SpeechColumns>(speechColumns, settings),
    ...(typeof audioFolder === 'string' ? { audioFolder } : {}),
    missingAudio: choice('missingAudio', settings['missingAudio'], ['fail', 'skip']),
    splitBy: choice('splitBy', settings['splitBy'], ['speaker', 'text', 'recording']),
    evalSplit: choice('evalSplit', settings['evalSplit'], ['validation', 'test']),
    ...(typeof minSeconds === 'number' ? { minSeconds } : {}),
    ...(typeof maxSeconds === 'number' ? { maxSeconds } : {}),
  };
}
