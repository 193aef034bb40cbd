/** @file What the factories of all tasks on sound share: settings, and what reads recordings. */

import type {
  GivenOptions,
  PreprocessorFactory,
  SettingRow,
  SettingRows,
  SettingTable,
  TaskOptions,
} from '@onnx-lora/sdk/plugin';
import type { AudioReader } from '../audio/audio.ts';
import { waveAugmentSetting } from '../augment/augmentWave.ts';
import { speechDataSettings } from '../data/dataSettings.ts';
import type { SpecAugmentOptions } from '../features/specAugment.ts';
import type { SoundTaskOptions } from './soundTask.ts';

/** Masks of spectrograms. */
export const specAugmentSetting: SettingRow<SpecAugmentOptions> = {
  kind: 'flag',
  to: (on) => (on ? {} : undefined),
  description: 'Hides parts of the spectrograms in training.',
};

/** Settings of every task that is trained on sound. */
export const soundSettings: SettingRows<SoundTaskOptions> = {
  augment: waveAugmentSetting,
  specAugment: specAugmentSetting,
  ...speechDataSettings,
};

/** A factory of tasks on sound. */
export abstract class SoundTaskFactory<Options> {
  /** Settings of the task and of its predictor, by the options that they give. */
  abstract readonly settings: SettingTable<Options>;
  /** How recordings become features. */
  protected readonly reading: { readonly reader: AudioReader; readonly preprocessors: readonly PreprocessorFactory[] };

  /** `preprocessors` are asked in order. */
  constructor(reader: AudioReader, preprocessors: readonly PreprocessorFactory[]) {
    this.reading = { reader, preprocessors };
  }

  /** What the command line's words say of the task. */
  protected optionsOf(options: TaskOptions): GivenOptions<Options> & SoundTaskOptions {
    const { validation, holdOut, seed, settings } = options;
    return { ...this.settings.read(settings), ...this.reading, validation, holdOut, seed };
  }
}
