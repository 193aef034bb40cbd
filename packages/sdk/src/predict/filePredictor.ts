/** @file Predictors that answer about whole files in one pass. */

import { OnnxLoraError } from '../errors.ts';
import type { Prediction, Predictor, Processor, RecordProcessor, Source } from '../plugin/predictor.ts';
import type { RunnableModel } from '../plugin/taskModel.ts';
import { recordPredictor, type RecordPredictorOptions } from './recordPredictor.ts';

/**
 * A model that answers about each file in one pass: what a {@link Processor} makes of files and outputs, in batches, with adapters
 * that may differ from file to file.
 *
 * @example
 * predictor: async (model, options) => filePredictor(model, await imageClassifier(model), options);
 *
 * @throws OnnxLoraError as `recordPredictor`
 */
export function filePredictor(
  model: RunnableModel,
  processor: Processor,
  options: RecordPredictorOptions = {},
): Promise<Predictor> {
  return recordPredictor(model.withOutputs(processor.outputs ?? []), fileProcessor(processor), options);
}

/** A processor of files as one of records, of which each file is one; its model is that of `model.withOutputs(processor.outputs)`. */
export function fileProcessor(processor: Processor): RecordProcessor<Source, Source, Prediction> {
  return {
    rows: (file) => [file],
    feeds: (files) => processor.feeds(files.map(requirePath)),
    decode: (outputs, inputs) => processor.decode(outputs, inputs),
    answers: (_, [row]) => [row!.found],
  };
}

function requirePath(source: Source): string {
  if (typeof source === 'string') return source;
  throw new OnnxLoraError('INPUT_INVALID', 'This predictor reads files, not streams of bytes. Give it paths.');
}
