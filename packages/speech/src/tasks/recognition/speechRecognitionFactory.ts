/** @file Speech recognition for the command line: the task by name, and transcripts of files without labels. */

import { type Predictor, requireNamedAdapters, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import {
  type PredictorInput,
  type PredictorOptions,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import { waveAugmentSetting } from '../../augment/augmentWave.ts';
import { speechDataSettings } from '../../data/dataSettings.ts';
import { openTranscriber } from '../../generation/openTranscriber.ts';
import type { TranscribeOptions } from '../../generation/transcriber.ts';
import { specAugmentSetting, SoundTaskFactory } from '../soundTaskFactory.ts';
import { speechRecognition, type SpeechRecognitionOptions } from './speechRecognition.ts';
import { transcriptionPredictor } from './transcriptionPredictor.ts';

const ADAPTER = 'adapter';

/** Options of the task, and of how transcripts are written. */
export type SpeechRecognitionFactoryOptions = SpeechRecognitionOptions &
  Pick<TranscribeOptions, 'timestamps' | 'beams'>;

/** Makes `speech-recognition` tasks, and what answers for recordings that nobody has transcribed. */
export class SpeechRecognitionFactory extends SoundTaskFactory<SpeechRecognitionFactoryOptions> implements TaskFactory {
  readonly name = 'speech-recognition';
  readonly input: PredictorInput = { streams: true };
  readonly description = 'What is said; the data is recordings with their transcripts.';
  readonly settings: SettingTable<SpeechRecognitionFactoryOptions> = settingsOf({
    language: { kind: 'text', description: 'What is spoken, where the data does not say it, such as es.' },
    task: {
      kind: 'choice',
      of: ['transcribe', 'translate'],
      description: 'transcribe (default), or translate, for transcripts in English.',
    },
    contextSeconds: {
      kind: 'number',
      above: 0,
      or: ['auto', 'full'],
      unit: 'seconds',
      description:
        'Seconds of the window that are heard: auto (default: few at first in training, all in the end; what an adapter notes), a number, or full.',
    },
    augment: waveAugmentSetting,
    timestamps: {
      kind: 'choice',
      of: ['none', 'segment', 'word'],
      description: 'Of transcripts: none (default), segment or word; when each is said.',
    },
    beams: {
      kind: 'number',
      whole: true,
      min: 1,
      description: 'Of transcripts: texts that are followed at once; 1 by default.',
    },
    specAugment: specAugmentSetting,
    normalizer: {
      kind: 'choice',
      of: ['english', 'basic', 'none'],
      description: 'For error rates: english (default for English), basic (default for others) or none.',
    },
    removeDiacritics: { kind: 'flag', description: 'Accents do not count for error rates.' },
    head: {
      kind: 'choice',
      of: ['auto', 'new', 'keep'],
      description: 'Of a CTC model: auto (default), new or keep; whether it gets a new vocabulary.',
    },
    ...speechDataSettings,
  });
  /** Those of PEFT's example for Whisper: a step on eight clips teaches as much as one on thirty-two, and takes a quarter. */
  readonly defaults = { batchSize: 8, warmupSteps: 0.1 } as const;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return speechRecognition(options.data, this.optionsOf(options));
  }

  /** @throws OnnxLoraError as `openTranscriber` */
  async predictor(
    model: RunnableModel,
    { adapter, adapters: others, load, settings }: PredictorOptions = {},
  ): Promise<Predictor> {
    requireNamedAdapters(others);
    const adapters = { ...(adapter && { [ADAPTER]: adapter }), ...others };
    const { contextSeconds = 'auto', language, task, timestamps, beams } = this.settings.read(settings);
    const transcriber = await openTranscriber(model, { ...load, adapters, ...this.reading, contextSeconds });
    return transcriptionPredictor({
      transcriber,
      reader: this.reading.reader,
      request: {
        ...(language === undefined ? {} : { language }),
        ...(task && { task }),
        ...(timestamps && { timestamps }),
        ...(beams === undefined ? {} : { beams }),
      },
      adapter: adapter ? ADAPTER : null,
      adapters: Object.keys(adapters),
    });
  }
}
