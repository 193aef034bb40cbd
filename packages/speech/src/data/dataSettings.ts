/** @file What the command line may say of how recordings are read (`--set name=value`), the same for all tasks. */

import { evalSplitSetting } from '@onnx-lora/sdk/data';
import type { SettingRow, SettingRows } from '@onnx-lora/sdk/plugin';
import type { SpeechDataOptions } from './speechSource.ts';

function column(name: string, description: string): SettingRow<string> {
  return { name, kind: 'text', description };
}

/** Settings by the options that they give. */
export const speechDataSettings: SettingRows<SpeechDataOptions> = {
  columns: {
    audio: column('audioColumn', 'Column of a manifest with the path of the recording.'),
    text: column('textColumn', 'Column with what is said.'),
    label: column('labelColumn', 'Column with the class.'),
    labels: column('labelsColumn', 'Column that lists labels.'),
    speaker: column('speakerColumn', 'Column with who speaks.'),
    language: column('languageColumn', 'Column with the language.'),
    start: column('startColumn', 'Column with the second at which the utterance begins.'),
    end: column('endColumn', 'Column with the second at which it ends.'),
    duration: column('durationColumn', 'Column with how many seconds it lasts.'),
    split: column('splitColumn', 'Column with train, validation or test.'),
  },
  audioFolder: {
    kind: 'text',
    description: "Folder that the paths in a manifest start from; the manifest's by default.",
  },
  missingAudio: {
    kind: 'choice',
    of: ['fail', 'skip'],
    description: 'fail (default) or skip: records whose file does not exist.',
  },
  splitBy: {
    kind: 'choice',
    of: ['speaker', 'text', 'recording'],
    description: 'speaker, text or recording: what is never divided when a fraction is held out.',
  },
  evalSplit: evalSplitSetting,
  minSeconds: { kind: 'number', min: 0, description: 'Shorter recordings are left out.' },
  maxSeconds: { kind: 'number', above: 0, description: 'Longer recordings are left out.' },
};
