/** @file Answers about sound that nobody has labelled. */

import {
  decodeClasses,
  decodeLabels,
  labelsOrNumbers,
  type OutputProcessor,
  type TaskModel,
  temperatureOf,
  thresholdsOf,
} from '@onnx-lora/sdk/tasks';
import { soundFiles, type AudioReading } from '../soundTask.ts';
import { classifierPorts } from './audioPorts.ts';

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
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model is no classifier of sound; `feeds` throws
 *   `DATA_INVALID` naming an unreadable file
 */
export async function audioClassifier(model: TaskModel, reading: AudioReading = {}): Promise<OutputProcessor> {
  const ports = classifierPorts(model);
  const { output, outputs } = ports.head;
  const labels = labelsOrNumbers(model, outputs);
  const temperature = temperatureOf(model);
  return {
    feeds: await soundFiles(model, ports, reading),
    decode: (results) => decodeClasses(results, output, labels, temperature),
  };
}

/**
 * The same for models with any number of labels per recording.
 *
 * @throws OnnxLoraError as {@link audioClassifier}
 */
export async function audioTagger(model: TaskModel, reading: AudioReading = {}): Promise<OutputProcessor> {
  const ports = classifierPorts(model);
  const { output, outputs } = ports.head;
  const labels = labelsOrNumbers(model, outputs);
  const thresholds = thresholdsOf(model, labels, 0.5);
  return {
    feeds: await soundFiles(model, ports, reading),
    decode: (results) => decodeLabels(results, { output, labels, thresholds }),
  };
}
