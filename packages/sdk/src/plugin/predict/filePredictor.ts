/** @file Predictors that answer about whole files in one pass. */

import { OnnxLoraError } from '../../errors.ts';
import type { Prediction, Predictor, Processor, Source } from '../predictor.ts';
import type { RunnableModel } from '../taskModel.ts';
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
  return recordPredictor<Source, Source, Prediction>(
    model.withOutputs(processor.outputs ?? []),
    {
      rows: (file) => [file],
      feeds: (files) => processor.feeds(files.map(requirePath)),
      decode: (outputs, feeds) => processor.decode(outputs, feeds),
      answers: (_, [row]) => [row!.found],
    },
    options,
  );
}

function requirePath(source: Source): string {
  if (typeof source === 'string') return source;
  throw new OnnxLoraError('INPUT_INVALID', 'This predictor reads files, not streams of bytes. Give it paths.');
}
