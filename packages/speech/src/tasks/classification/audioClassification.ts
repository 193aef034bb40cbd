/** @file Tasks on whole recordings: classification, tagging and regression. */

import {
  type AnswerKind,
  checkedTask,
  classification,
  type ClassificationScores,
  type ClassifierOptions,
  classifierSettings,
  filePredictor,
  headDecoder,
  headSetting,
  labelling,
  type LabellingOptions,
  labellingSettings,
  type LabelVector,
  type MultiLabelScores,
  type OutputProcessor,
  type PredictorFacts,
  regression,
  type RegressionOptions,
  type RegressionScores,
  regressionSettings,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { type SettingRows, settingsOf } from '@onnx-lora/sdk/plugin';
import type { SpeechExample } from '../../data/speechDataset.ts';
import type { SpeechSource } from '../../data/speechRecord.ts';
import { audioPorts } from '../audioFeeds.ts';
import {
  audioFiles,
  type AudioReading,
  audioSettings,
  type AudioTask,
  audioTask,
  type AudioTools,
} from '../audioTask.ts';
import { audioExamples, type AudioTaskOptions, requiredHead } from './audioExamples.ts';

const taskSettings: SettingRows<AudioTaskOptions> = { head: headSetting, ...audioSettings };

/** The predictor for a kind of answer. */
function answering(kind: AnswerKind): PredictorFacts<unknown, AudioTools>['predictor'] {
  return async (model, tools, options) => filePredictor(model, await audioClassifier(model, tools, kind), options);
}

/** Options of {@link audioClassification}. */
export interface AudioClassificationOptions extends AudioTaskOptions, ClassifierOptions {}

const classSettings = settingsOf<AudioClassificationOptions>({
  ...classifierSettings('recordings'),
  ...taskSettings,
});

/**
 * Classification: one class per recording. `source` is a folder with a folder of recordings per class, or other data of
 * `readSpeechData` with a column of labels. Heads, targets, metrics and errors are those of `classification`.
 * @example
 * ```ts
 * const task = audioClassification('commands', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function audioClassification(
  source: SpeechSource,
  options: AudioClassificationOptions = {},
): Task<SpeechExample<number>, ClassificationScores> {
  const task = classification('audio-classification', audioExamples(source, options), options);
  return checkedTask(classSettings, options, task);
}

/** The task `audio-classification`. */
export const audioClassificationTask: AudioTask = audioTask({
  name: 'audio-classification',
  description:
    'One class per recording, such as a word, an emotion or a speaker; the data is a folder of recordings for each class, or a manifest.',
  settings: classSettings,
  task: audioClassification,
  predictor: answering('classes'),
});

/** Options of {@link audioTagging}. */
export interface AudioTaggingOptions extends AudioTaskOptions, LabellingOptions {}

const labelSettings = settingsOf<AudioTaggingOptions>({ ...labellingSettings, ...taskSettings });

/**
 * Multi-label classification, such as of sound events. `source` is a manifest with a column `labels`. Heads, targets,
 * metrics and errors are those of `labelling`.
 */
export function audioTagging(
  source: SpeechSource,
  options: AudioTaggingOptions = {},
): Task<SpeechExample<LabelVector>, MultiLabelScores> {
  const task = labelling('audio-tagging', audioExamples(source, options), options);
  return checkedTask(labelSettings, options, task);
}

/** The task `audio-tagging`. */
export const audioTaggingTask: AudioTask = audioTask({
  name: 'audio-tagging',
  description: 'Any number of labels per recording, such as what is heard in it; the data is a manifest with labels.',
  settings: labelSettings,
  task: audioTagging,
  predictor: answering('labels'),
});

/** Options of {@link audioRegression}. */
export interface AudioRegressionOptions extends AudioTaskOptions, RegressionOptions {}

const numberSettings = settingsOf<AudioRegressionOptions>({ ...regressionSettings, ...taskSettings });

/**
 * Regression of one or several numbers per recording, such as speech quality or arousal. `source` is a manifest with
 * columns of values. Heads, units, gaps, targets and errors are those of `regression`.
 * @example
 * ```ts
 * const task = audioRegression('ratings.csv', { columns: { values: 'mos' }, validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function audioRegression(
  source: SpeechSource,
  options: AudioRegressionOptions = {},
): Task<SpeechExample<readonly number[]>, RegressionScores> {
  const task = regression('audio-regression', audioExamples(source, options), options);
  return checkedTask(numberSettings, options, task);
}

/** The task `audio-regression`. */
export const audioRegressionTask: AudioTask = audioTask({
  name: 'audio-regression',
  description:
    'Numbers about each recording, such as how good it sounds; the data is a manifest with columns of values.',
  settings: numberSettings,
  task: audioRegression,
  predictor: answering('numbers'),
});

/**
 * A processor from recordings to feeds and from scores to labels. Needs the feature extractor's file in the model's
 * folder. Put an adapter with its own labels or head into the model first: `modelForAdapter(model, adapter)`.
 * @example
 * ```ts
 * const classifier = await audioClassifier(model);
 * const outputs = await session.run(await classifier.feeds(['yes.wav', 'no.wav']), { adapter: 'commands' });
 * console.log(classifier.decode(outputs).map(({ label }) => label));
 * ```
 * @param kind the model's answers: classes, `labels` or `numbers`
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` for another model; `feeds` throws `DATA_INVALID` naming
 *   an unreadable file
 */
export async function audioClassifier(
  model: TaskModel,
  reading: AudioReading = {},
  kind: AnswerKind = 'classes',
): Promise<OutputProcessor> {
  const head = requiredHead(model);
  return { feeds: await audioFiles(model, audioPorts(model), reading), decode: headDecoder(model, head, kind) };
}
