/** @file Predictors that answer about whole files in one pass, or source by source. */

import { OnnxLoraError } from '../errors.ts';
import type {
  Answer,
  Prediction,
  Predictor,
  PredictOptions,
  Processor,
  RecordProcessor,
  Source,
} from '../plugin/predictor.ts';
import type { RunnableModel } from '../plugin/taskModel.ts';
import { recordPredictor, type RecordPredictorOptions } from './recordPredictor.ts';
import { sourcesOf } from './sources.ts';

/**
 * Makes a predictor that answers about whole files in one pass, in batches, with an adapter per file.
 * @example
 * predictor: async (model, options) => filePredictor(model, await imageClassifier(model), options);
 * @throws OnnxLoraError as `recordPredictor`
 */
export function filePredictor(
  model: RunnableModel,
  processor: Processor,
  options: RecordPredictorOptions = {},
): Promise<Predictor> {
  return recordPredictor(model.withOutputs(processor.outputs ?? []), fileProcessor(processor), options);
}

/** A processor of files as one of records, a record per file; its model is `model.withOutputs(processor.outputs)`. */
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

/** Request for one source. */
export interface SourceRequest extends Pick<PredictOptions, 'batchSize' | 'signal'> {
  /** Number of answers still to skip; the processor counts it down. */
  readonly skip: { left: number };
}

/** Parts of a {@link sourcePredictor}. */
export interface SourceProcessor extends Pick<Predictor, 'writerEndings' | 'release'> {
  /** As {@link Predictor.sections}. */
  sections?(): ReturnType<NonNullable<Predictor['sections']>>;
  /** As {@link Predictor.writer}. */
  writer?(path: string): ReturnType<NonNullable<Predictor['writer']>>;
  /** Answers about one source. */
  answers(source: Source, request: SourceRequest): AsyncIterable<Omit<Answer, 'source'>>;
}

/** Makes a predictor with at most one adapter that answers source by source, such as with several passes per record. */
export function sourcePredictor(processor: SourceProcessor): Predictor {
  const { writerEndings } = processor;
  return {
    ...(processor.sections && { sections: () => processor.sections!() }),
    ...(processor.writer && { writer: (path) => processor.writer!(path) }),
    ...(writerEndings && { writerEndings }),
    release: () => processor.release(),
    async *predict(sources, { skip = 0, onBadSource, signal, ...options } = {}): AsyncGenerator<Answer> {
      const request = { ...options, ...(signal && { signal }), skip: { left: skip } };
      let number = 0;
      for await (const source of sourcesOf(sources)) {
        try {
          for await (const answer of processor.answers(source, request)) {
            if (signal?.aborted) return;
            yield { source: number, ...answer };
          }
        } catch (error) {
          if (!onBadSource) throw error;
          onBadSource(number, error);
        }
        if (signal?.aborted) return;
        number++;
      }
    },
    [Symbol.asyncDispose]: () => processor.release(),
  };
}
