/** @file Speech recognition for the command line: the task by name, and transcripts of files without labels. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { choice, type Predictor, requireNamedAdapters, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import type {
  PredictorInput,
  PredictorOptions,
  PreprocessorFactory,
  TaskFactory,
  TaskOptions,
  TaskSetting,
} from '@onnx-lora/sdk/plugin';
import type { AudioReader } from '../../audio/audio.ts';
import { waveAugmentationsFrom, waveAugmentSetting } from '../../augment/augmentWave.ts';
import { speechDataOptions, speechDataSettings } from '../../data/dataSettings.ts';
import type { ContextSeconds } from '../../features/audioContext.ts';
import { openTranscriber } from '../../generation/openTranscriber.ts';
import type { TranscribeOptions } from '../../generation/transcriber.ts';
import { speechRecognition, type SpeechRecognitionOptions } from './speechRecognition.ts';
import { transcriptionPredictor } from './transcriptionPredictor.ts';

const ADAPTER = 'adapter';

/** Makes `speech-recognition` tasks, and what answers for recordings that nobody has transcribed. */
export class SpeechRecognitionFactory implements TaskFactory {
  readonly name = 'speech-recognition';
  readonly input: PredictorInput = { streams: true };
  readonly description = 'What is said; the data is recordings with their transcripts.';
  readonly settings: readonly TaskSetting[] = [
    { name: 'language', kind: 'text', description: 'What is spoken, where the data does not say it, such as es.' },
    { name: 'task', kind: 'text', description: 'transcribe (default), or translate, for transcripts in English.' },
    {
      name: 'contextSeconds',
      kind: 'text',
      description:
        'Seconds of the window that are heard: auto (default: few at first in training, all in the end; what an adapter notes), a number, or full.',
    },
    waveAugmentSetting,
    {
      name: 'timestamps',
      kind: 'text',
      description: 'Of transcripts: none (default), segment or word; when each is said.',
    },
    { name: 'beams', kind: 'number', description: 'Of transcripts: texts that are followed at once; 1 by default.' },
    { name: 'specAugment', kind: 'flag', description: 'Hides parts of the spectrograms in training.' },
    {
      name: 'normalizer',
      kind: 'text',
      description: 'For error rates: english (default for English), basic (default for others) or none.',
    },
    { name: 'removeDiacritics', kind: 'flag', description: 'Accents do not count for error rates.' },
    {
      name: 'head',
      kind: 'text',
      description: 'Of a CTC model: auto (default), new or keep; whether it gets a new vocabulary.',
    },
    ...speechDataSettings,
  ];
  /** Those of PEFT's example for Whisper: a step on eight clips teaches as much as one on thirty-two, and takes a quarter. */
  readonly defaults = { batchSize: 8, warmupSteps: 0.1 } as const;
  readonly #reader: AudioReader;
  readonly #preprocessors: readonly PreprocessorFactory[];

  /** `preprocessors` are asked in order. */
  constructor(reader: AudioReader, preprocessors: readonly PreprocessorFactory[]) {
    this.#reader = reader;
    this.#preprocessors = preprocessors;
  }

  /** @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense */
  create(options: TaskOptions): Task {
    return speechRecognition(options.data, {
      ...speechDataOptions(options),
      ...optionsOf(options.settings),
      reader: this.#reader,
      preprocessors: this.#preprocessors,
    });
  }

  /** @throws OnnxLoraError as `openTranscriber` */
  async predictor(
    model: RunnableModel,
    { adapter, adapters: others, load, settings = {} }: PredictorOptions = {},
  ): Promise<Predictor> {
    requireNamedAdapters(others);
    const [reader, preprocessors] = [this.#reader, this.#preprocessors];
    const adapters = { ...(adapter && { [ADAPTER]: adapter }), ...others };
    const contextSeconds = contextFrom(settings['contextSeconds']) ?? 'auto';
    const transcriber = await openTranscriber(model, { ...load, adapters, reader, preprocessors, contextSeconds });
    return transcriptionPredictor({
      transcriber,
      reader,
      request: requestOf(settings),
      adapter: adapter ? ADAPTER : null,
      adapters: Object.keys(adapters),
    });
  }
}

/** Values are of the kinds that the settings have. */
function optionsOf(settings: TaskOptions['settings'] = {}): SpeechRecognitionOptions {
  const { language, removeDiacritics } = settings as Pick<SpeechRecognitionOptions, 'language' | 'removeDiacritics'>;
  return {
    language,
    removeDiacritics,
    task: choice('task', settings['task'], ['transcribe', 'translate']),
    normalizer: choice('normalizer', settings['normalizer'], ['english', 'basic', 'none']),
    head: choice('head', settings['head'], ['auto', 'new', 'keep']),
    contextSeconds: contextFrom(settings['contextSeconds']),
    augment: waveAugmentationsFrom(settings),
    ...(settings['specAugment'] === true && { specAugment: {} }),
  };
}

/** @throws OnnxLoraError `CONFIG_INVALID` for a word that is none of the choices */
function requestOf(settings: NonNullable<PredictorOptions['settings']>): TranscribeOptions {
  const { language, beams } = settings as { readonly language?: string; readonly beams?: number };
  const task = choice('task', settings['task'], ['transcribe', 'translate']);
  const timestamps = choice('timestamps', settings['timestamps'], ['none', 'segment', 'word']);
  return {
    ...(language === undefined ? {} : { language }),
    ...(beams === undefined ? {} : { beams }),
    ...(task && { task }),
    ...(timestamps && { timestamps }),
  };
}

function contextFrom(given: unknown): ContextSeconds | undefined {
  if (given === undefined || given === 'auto' || given === 'full') return given;
  const seconds = Number(given);
  if (seconds > 0) return seconds;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The setting contextSeconds is ${JSON.stringify(given)}. It can be auto, full or a number of seconds.`,
  );
}
