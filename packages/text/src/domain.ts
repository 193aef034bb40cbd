/** @file Texts as a domain of sequences. */

import type {
  SequenceDomain,
  SequencePredictorOptions,
  SequenceRecord,
  TokenOptions,
  WholeOptions,
} from '@onnx-lora/sequences';
import { bagOfWords } from './baselines/bagOfWords.ts';
import { Bm25, plainWords } from './baselines/bm25.ts';
import { readTextData } from './data/readTextData.ts';
import { streamTexts, textEndings } from './data/streamTexts.ts';
import { dataSettings, type TextDataOptions, type TextSource } from './data/textColumns.ts';

/** Options of every task on texts. */
export interface TextTaskOptions extends TextDataOptions, TokenOptions {}

/** Options of tasks that predict one answer per text. */
export interface WholeTextOptions extends TextTaskOptions, WholeOptions {}

/** Options of predictors on texts. */
export type TextPredictorOptions = SequencePredictorOptions<TextDataOptions>;

/** The domain of texts: readers, defaults and baselines. */
export const textDomain: SequenceDomain<SequenceRecord, TextSource, TextDataOptions> = {
  noun: 'texts',
  one: 'text',
  asks: true,
  meanOf: 'all',
  remedy: 'Use an encoder of texts, such as a BERT.',
  settings: dataSettings,
  // Two or three epochs suffice for a new head that starts as a probe. Batches of similar lengths save padding.
  defaults: { batchSize: 16, epochs: 3, lr: 1e-3, warmupSteps: 0.1, sampling: 'length' },
  input: { endings: textEndings, streams: true, records: true },
  read: readTextData,
  stream: streamTexts,
  search: {
    name: 'BM25, by words',
    index: (documents) => {
      const found = new Bm25(documents.map(plainWords));
      return (query) => found.scores(plainWords(query));
    },
  },
  baselines: (texts, targets, { kind, seed }) => [bagOfWords(texts, targets, kind, seed)],
};
