/** @file Predictors that answer source by source, each in passes of their own. */

import type { Answer, Predictor, PredictOptions, Source } from '../plugin/predictor.ts';
import { sourcesOf } from './sources.ts';

/** What is wanted of a source. */
export interface SourceRequest extends Pick<PredictOptions, 'batchSize' | 'signal'> {
  /** Answers that are still to be left out; to be counted down by those that were. */
  readonly skip: { left: number };
}

/** What {@link sourcePredictor} is made from. */
export interface SourceProcessor extends Pick<Predictor, 'writerEndings' | 'release'> {
  /** As {@link Predictor.sections}. */
  sections?(): ReturnType<NonNullable<Predictor['sections']>>;
  /** As {@link Predictor.writer}. */
  writer?(path: string): ReturnType<NonNullable<Predictor['writer']>>;
  /** The answers about one source. */
  answers(source: Source, request: SourceRequest): AsyncIterable<Omit<Answer, 'source'>>;
}

/** A predictor with one adapter, or none, that takes each source by itself, such as one that looks at a record many times. */
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
