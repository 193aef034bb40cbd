/** @file What the command line may say of how recordings are read (`--set name=value`), the same for all tasks. */

import { columnSettings, evalSplitSetting } from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { speechColumns } from './manifest.ts';
import type { SpeechColumns, SpeechDataOptions } from './speechRecord.ts';

/** Settings by the options that they give. */
export const speechDataSettings: SettingRows<SpeechDataOptions> = {
  columns: columnSettings<SpeechColumns>(speechColumns),
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
