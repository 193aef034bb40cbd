/** @file Teaches and tests models that answer about whole recordings: words, emotions, speakers, languages, events. */

import {
  type AnswerKind,
  classification,
  type ClassificationScores,
  type ClassifierOptions,
  headDecoder,
  labelling,
  type LabellingOptions,
  type LabelVector,
  type MultiLabelScores,
  type OutputProcessor,
  regression,
  type RegressionOptions,
  type RegressionScores,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { SpeechExample } from '../../data/speechDataset.ts';
import type { SpeechSource } from '../../data/speechRecord.ts';
import { soundFiles, type AudioReading } from '../soundTask.ts';
import { audioExamples, type AudioTaskOptions } from './audioExamples.ts';
import { classifierPorts } from './audioPorts.ts';

/** Options of {@link audioClassification}. */
export interface AudioClassificationOptions extends AudioTaskOptions, ClassifierOptions {}

/**
 * One class per recording. `source` is a folder with a folder of recordings per class, or any other data that
 * `readSpeechData` reads, with a column of labels. Heads, targets, metrics and errors are those of `classification`.
 *
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
  return classification('audio-classification', audioExamples(source, options), options);
}

/** Options of {@link audioTagging}. */
export interface AudioTaggingOptions extends AudioTaskOptions, LabellingOptions {}

/**
 * Any number of labels per recording, such as the events that are heard in it, of a manifest with a column `labels`. Heads,
 * targets, metrics and errors are those of `labelling`.
 */
export function audioTagging(
  source: SpeechSource,
  options: AudioTaggingOptions = {},
): Task<SpeechExample<LabelVector>, MultiLabelScores> {
  return labelling('audio-tagging', audioExamples(source, options), options);
}

/** Options of {@link audioRegression}. */
export interface AudioRegressionOptions extends AudioTaskOptions, RegressionOptions {}

/**
 * One or several numbers per recording, such as how good speech sounds or how excited it is, of records of one's own with
 * `values`. Heads, units, gaps, targets and errors are those of `regression`.
 *
 * @example
 * ```ts
 * const task = audioRegression([{ audio: 'a.wav', values: [3.5] }, { audio: 'b.wav', values: [4.2] }]);
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function audioRegression(
  source: SpeechSource,
  options: AudioRegressionOptions = {},
): Task<SpeechExample<readonly number[]>, RegressionScores> {
  return regression('audio-regression', audioExamples(source, options), options);
}

/**
 * Turns recordings into what the model is fed, and its scores into labels. Needs the feature extractor's file in the model's
 * folder. An adapter with labels or a head of its own goes into the model first: `modelFor(model, adapter)`.
 *
 * @example
 * ```ts
 * const classifier = await audioClassifier(model);
 * const outputs = await session.run(await classifier.feeds(['yes.wav', 'no.wav']), { adapter: 'commands' });
 * console.log(classifier.decode(outputs).map(({ label }) => label));
 * ```
 *
 * @param kind what the model answers with: `labels` for any number of them per recording, or `numbers`
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model is no classifier of sound; `feeds` throws
 *   `DATA_INVALID` naming an unreadable file
 */
export async function audioClassifier(
  model: TaskModel,
  reading: AudioReading = {},
  kind: AnswerKind = 'classes',
): Promise<OutputProcessor> {
  const ports = classifierPorts(model);
  return { feeds: await soundFiles(model, ports, reading), decode: headDecoder(model, ports.head, kind) };
}
