/** @file The task `speech-recognition`. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  checkedTask,
  type Metrics,
  type MetricsNamed,
  type PreparedTask,
  requireNamedAdapters,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { waveAugmentSetting } from '../../augment/augmentWave.ts';
import { speechDataSettings } from '../../data/manifest.ts';
import type { SpeechSource } from '../../data/speechRecord.ts';
import type { ContextSeconds } from '../../features/audioContext.ts';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';
import { openTranscriber } from '../../generation/openTranscriber.ts';
import type { TranscribeOptions } from '../../generation/transcriber.ts';
import { readGenerationConfig } from '../../generation/generationConfig.ts';
import { openSpeechTokenizer, tokenizerFolder } from '../../text/openSpeechTokenizer.ts';
import { isCtc } from '../ctc/ctcPorts.ts';
import { ctcRecognition, type CtcRecognitionOptions } from '../ctc/ctcRecognition.ts';
import { isEnglish, scoringNormaliser, type ScoringOptions } from '../../text/normalise/englishNormaliser.ts';
import {
  type AudioTask,
  audioTask,
  type AudioTrainingOptions,
  openAudioTask,
  specAugmentSetting,
} from '../audioTask.ts';
import { recognitionPorts, type TeacherForcedScores } from './recognitionBatch.ts';
import { trainingContext } from './trainingContext.ts';
import { transcriptLabels, type TranscriptOptions, usableRecords } from './transcriptLabels.ts';
import { transcriptionPredictor } from './transcriptionPredictor.ts';
import { Transcriptions } from './transcriptions.ts';
import { type RecognitionExample, recognitionTask } from './recognitionTask.ts';

/** Options of {@link speechRecognition}. */
export interface SpeechRecognitionOptions extends AudioTrainingOptions, TranscriptOptions, ScoringOptions {
  /**
   * Audio context in training: seconds from the beginning of a clip, with some silence, of a model with a fixed window.
   * Whisper's window is 30 s and silence costs as much as speech. `auto`, the default, takes the longest clip's
   * duration; `full` the whole window. The adapter notes the context and uses it for clips that fit.
   *
   * `evaluate` uses an adapter's noted context, or this option, and the whole window for the base.
   */
  readonly contextSeconds?: ContextSeconds | undefined;
  /** For CTC models: see {@link CtcRecognitionOptions}. */
  readonly head?: CtcRecognitionOptions['head'];
}

/** Error rates of words and of characters. */
export type RecognitionScores = MetricsNamed<'wer' | 'cer'>;

/** Options of the task and of its transcripts. */
export type SpeechRecognitionTaskOptions = SpeechRecognitionOptions & Pick<TranscribeOptions, 'timestamps' | 'beams'>;

const settings = settingsOf<SpeechRecognitionTaskOptions>({
  language: { kind: 'text', description: 'Language of the recordings without one in the data, such as es.' },
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
      'Seconds that are heard, with little of the silence behind: auto (default: those of the longest clip, or what an adapter notes), a number, or full.',
  },
  augment: waveAugmentSetting,
  timestamps: {
    kind: 'choice',
    of: ['none', 'segment', 'word'],
    description: 'Timestamps in transcripts: none (default), segment or word.',
  },
  beams: {
    kind: 'number',
    whole: true,
    min: 1,
    description: 'Beams of the search for transcripts; 1 by default.',
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
    description: 'For a CTC model: auto (default), new or keep; whether it gets a new vocabulary.',
  },
  ...speechDataSettings,
});

/**
 * Speech recognition. `data` are recordings with transcripts. The model's folder needs `preprocessor_config.json`, the
 * tokenizer's files and `config.json`.
 *
 * Encoder-decoder models such as Whisper are trained on the cross-entropy of transcript tokens. `evaluate` generates
 * text and gives the word and character error rates (`wer`, `cer`; 0.25 is 25 %); during training, loss and token
 * accuracy are measured, which takes one pass. CTC models such as wav2vec2 are trained by {@link ctcRecognition}.
 * @example
 * ```ts
 * const task = speechRecognition('calls', { validation: 0.1, language: 'es' });
 * const { adapter } = await (await train(model, { task, batchSize: 8 })).done;
 * const { metrics } = await evaluate(model, { task, adapter });
 * ```
 */
export function speechRecognition(
  source: SpeechSource,
  options: SpeechRecognitionOptions = {},
): Task<unknown, RecognitionScores, Metrics> {
  return checkedTask<SpeechRecognitionTaskOptions, unknown, RecognitionScores, Metrics>(settings, options, {
    name: 'speech-recognition',
    prepare: (model) =>
      isCtc(model) ? ctcRecognition(source, options).prepare(model) : prepare(model, source, options),
  });
}

const ADAPTER = 'adapter';

/** The task `speech-recognition`, which predicts transcripts. */
export const speechRecognitionTask: AudioTask = audioTask({
  name: 'speech-recognition',
  description: 'Transcribe or translate; the data is recordings with their transcripts.',
  settings,
  // PEFT's example for Whisper: a step on eight clips teaches as much as one on thirty-two, at a quarter of the time.
  defaults: { batchSize: 8, warmupSteps: 0.1 },
  input: { streams: true },
  task: speechRecognition,
  predictor: async (model, own, { adapter, adapters: others, load }) => {
    requireNamedAdapters(others);
    const adapters = { ...(adapter && { [ADAPTER]: adapter }), ...others };
    const { contextSeconds = 'auto', language, task, timestamps, beams, reader, preprocessors } = own;
    const transcriber = await openTranscriber(model, { ...load, adapters, reader, preprocessors, contextSeconds });
    return transcriptionPredictor({
      transcriber,
      reader,
      request: withoutUndefined({ language, task, timestamps, beams }),
      adapter: adapter ? ADAPTER : null,
      adapters: Object.keys(adapters),
    });
  },
});

async function prepare(
  model: TaskModel,
  source: SpeechSource,
  options: SpeechRecognitionOptions,
): Promise<PreparedTask<RecognitionExample, RecognitionScores, TeacherForcedScores>> {
  const { language, task } = options;
  const ports = recognitionPorts(model);
  const tokenizer = await openSpeechTokenizer(tokenizerFolder(model));
  const config = await readGenerationConfig(model, tokenizer);
  const labels = transcriptLabels(config, tokenizer, { language, task });
  const sound = await openAudioTask(model, source, options);
  const { data, reader, extractor } = sound;
  const { maxSamples = Infinity, sampleRate } = extractor;
  const taught = usableRecords(data.train, labels, maxSamples / sampleRate);
  const held = data.validation && usableRecords(data.validation, labels, maxSamples / sampleRate);
  const context = options.contextSeconds ?? 'auto';
  const hearing = await trainingContext({
    model,
    records: [...taught.records, ...(held?.records ?? [])],
    reader,
    extractor: withinWindow(extractor),
    context,
    augment: options.augment ?? [],
  });
  const train = await sound.dataset(taught.records, taught.targets, true, hearing.extractor);
  const validation = held && (await sound.dataset(held.records, held.targets, false, hearing.extractor));
  const { records } = validation ?? train;
  const isMultilingual = config.languages.size > 0;
  const spoken = new Set(records.map((record) => record.language ?? language));
  const isInEnglish =
    task === 'translate' || [...spoken].every((each) => (each === undefined ? !isMultilingual : isEnglish(each)));
  return recognitionTask({
    model,
    ports,
    ...hearing,
    tokenizer,
    labels,
    longest: [...taught.targets, ...(held?.targets ?? [])].reduce((most, { length }) => Math.max(most, length), 1),
    train,
    validation,
    warnings: [...data.warnings, ...taught.warnings, ...(held?.warnings ?? [])],
    alsoFits: data.alsoFits,
    transcriptions: new Transcriptions({ records, reader, extractor, tokenizer, context, isMultilingual, language, task }), // prettier-ignore
    normalise: scoringNormaliser(options, isInEnglish),
  });
}

/** Wraps the extractor to reject clips beyond the model's window, whose transcripts would exceed the sound. */
function withinWindow(extractor: FeatureExtractor): FeatureExtractor {
  const { maxSamples = Infinity, sampleRate } = extractor;
  return {
    ...extractor,
    extract: (samples) => {
      if (samples.length <= maxSamples) return extractor.extract(samples);
      throw new OnnxLoraError(
        'DATA_INVALID',
        `It lasts ${(samples.length / sampleRate).toFixed(1)} s, and the model hears ${maxSamples / sampleRate} s at once, so that it would be taught words that it does not hear. Cut it into utterances, or leave such recordings out (maxSeconds: ${maxSamples / sampleRate}).`,
      );
    },
  };
}
