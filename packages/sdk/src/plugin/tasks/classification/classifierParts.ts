/** @file What tasks with one class per example share, whatever the examples are. */

import { OnnxLoraError } from '../../../errors.ts';
import { crossEntropy } from '../../../train/losses/index.ts';
import type { PreparedTask } from '../../preparedTask.ts';
import type { TaskModel } from '../../taskModel.ts';
import { fitTemperature, temperatureOf } from './calibration.ts';
import { ClassificationMetrics, type ClassificationScores } from './classificationMetrics.ts';
import { heldOutScores, type LabelledExamples } from './heldOutScores.ts';
import { checkLabelSmoothing, type ClassWeighting, weightOfBatch, weightsOf } from './lossWeights.ts';

/** Options of tasks with one class per example. */
export interface ClassifierOptions {
  /** How much of a label is spread over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number;
  /** How much each class counts in the loss; all the same by default. */
  readonly classWeights?: ClassWeighting | undefined;
  /** Fits a temperature on the held-out examples, which is saved with the adapter, so that probabilities can be trusted. */
  readonly calibrate?: boolean;
}

/** What the parts are made from. */
export interface ClassifierRequest<Example> extends ClassifierOptions {
  /** The model that is adapted. */
  readonly model: TaskModel;
  /** The graph output `[batch, classes]`, and the names of the classes. */
  readonly output: string;
  /** Names of the classes, in the order of the output. */
  readonly labels: readonly string[];
  /** The class of each example that is trained on. */
  readonly targets: readonly number[];
  /** Held-out examples: those of which a temperature is learned, where one is wanted. */
  readonly validation?: LabelledExamples<Example> | undefined;
  /** What examples are called in messages, in the plural: `images`. */
  readonly noun: string;
}

/** Parts of a {@link PreparedTask}, and the temperature, which `finish` changes. */
export interface ClassifierParts
  extends
    Pick<PreparedTask<unknown, ClassificationScores>, 'loss' | 'metrics'>,
    Required<Pick<PreparedTask, 'lossWeight'>> {
  /** What scores are divided by before they become probabilities. */
  readonly temperature: () => number;
  /** Fits the temperature, where that is asked for. */
  readonly finish?: NonNullable<PreparedTask['finish']>;
}

/**
 * Loss and metrics of a classifier. Targets are `{ labels }`: int64 `[batch]`, or float32 `[batch, classes]` of
 * shares.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for class weights or a label smoothing that do not fit; `DATA_INVALID` where a
 *   temperature is asked for and nothing is held out
 */
export function classifierParts<Example>(request: ClassifierRequest<Example>): ClassifierParts {
  const { model, output, labels, targets, validation, noun, labelSmoothing = 0, calibrate = false } = request;
  checkLabelSmoothing(labelSmoothing);
  if (calibrate && !validation) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `calibrate fits a temperature on held-out ${noun}, and none are held out. Hold some out (validation: 0.2), or leave calibrate out.`,
    );
  }
  const weights = request.classWeights && weightsOf(request.classWeights, targets, labels);
  const present = new Set([...targets, ...(validation?.truths ?? [])]);
  let temperature = temperatureOf(model);
  return {
    temperature: () => temperature,
    loss: (g, outputs, { labels: truths }) =>
      crossEntropy(g, outputs[output]!, truths!, { labelSmoothing, weight: weights }),
    lossWeight: (batch) => weightOfBatch(batch, weights),
    metrics: () => new ClassificationMetrics({ output, labels, present, temperature }),
    ...(calibrate && {
      finish: async (finished) => {
        temperature = fitTemperature(await heldOutScores(validation!, finished, { output, labels }));
        return { temperature };
      },
    }),
  };
}
