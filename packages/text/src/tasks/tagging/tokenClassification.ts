/** @file The task `token-classification`: a class per word, such as its part of speech or its place in a name. */

import type { MetricsNamed } from '@onnx-lora/sdk/tasks';
import {
  type AnsweringFactory,
  classifierSettings,
  headSetting,
  labelsOrNumbers,
  type Prediction,
  type Predictor,
  type PreparedTask,
  type RunnableModel,
  softmaxRows,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import {
  answersByToken,
  bestOf,
  lengthSettings,
  openHead,
  openSequenceTask,
  type PartClassOptions,
  preparePartClasses,
  type SequenceDomain,
  sequenceFactory,
  sequenceOptionsOf,
  tokenClassMetrics,
  type TokenClassScores,
  type TokenExample,
} from '@onnx-lora/sequences';
import {
  readTaggedTexts,
  type TaggedOptions,
  taggedSettings,
  type TaggedSource,
  type TaggedText,
  words,
  wordsOf,
} from '../../data/taggedText.ts';
import { textDomain, type TextPredictorOptions } from '../../domain.ts';
import { areEntities, type Entity, entitiesOf, entityMetrics } from './entities.ts';
import { taggingReport } from './taggingReport.ts';

/** Options of {@link tokenClassification}. */
export interface TokenClassificationOptions extends TaggedOptions, PartClassOptions {}

const taggedDomain: SequenceDomain<TaggedText, TaggedSource, TaggedOptions> = {
  noun: 'texts',
  one: 'text',
  remedy: textDomain.remedy,
  settings: taggedSettings,
  defaults: textDomain.defaults,
  input: textDomain.input,
  read: readTaggedTexts,
  stream: async function* (source, options) {
    for await (const { record, ...read } of textDomain.stream(source, options as object))
      yield { ...read, record: { ...record, words: wordsOf(record.sequence) } };
  },
};

/**
 * Token classification: a class for each word of a text, such as its part of speech, or beginning (B-LOC), inside
 * (I-LOC) or outside (O) of a name. A word's first token predicts its class. Words whose class is null or among
 * `unknown` do not count. Heads, weights and errors are those of classification; longer texts are read in windows. If
 * classes mark entities, their F1, precision and recall are measured as in seqeval. Targets are `{ labels: int64
 * [batch, tokens] }`, −100 for words that do not count.
 * @example
 * ```ts
 * const task = tokenClassification('names.conll', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function tokenClassification(
  source: TaggedSource,
  options: TokenClassificationOptions = {},
): Task<TokenExample<TaggedText>, TokenClassScores & MetricsNamed<'loss'>> {
  return { name: 'token-classification', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: TaggedSource,
  options: TokenClassificationOptions,
): Promise<PreparedTask<TokenExample<TaggedText>, TokenClassScores & MetricsNamed<'loss'>>> {
  const tooLong = options.tooLong ?? 'windows';
  const task = await openSequenceTask(taggedDomain, model, source, { ...options, tooLong });
  const metrics = (own: Parameters<typeof tokenClassMetrics>[0]): ReturnType<typeof entityMetrics> =>
    // Without entities there are fewer metrics, which the type does not express.
    areEntities(own.labels)
      ? entityMetrics(own)
      : (tokenClassMetrics(own) as unknown as ReturnType<typeof entityMetrics>);
  const root = typeof source === 'string' ? source : 'the data';
  return preparePartClasses(taggedDomain, model, task, { parts: words, metrics, report: taggingReport }, options, root);
}

/**
 * Loads a model that predicts a class for each word of a file's texts: `{ id, words, tags, score }`, where `score` is
 * the mean probability of the predicted classes; or, if classes mark entities, `{ id, entities, score }`, each `{
 * label, text, start, end, score }`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without a head for tokens; `CONFIG_INVALID`, `FILE_NOT_FOUND`
 * of its tokenizer
 */
export function openTokenClassifier(model: RunnableModel, options: TextPredictorOptions = {}): Promise<Predictor> {
  return openHead(
    taggedDomain,
    model,
    options,
    { noun: 'classes', each: () => undefined },
    ({ input, output, outputs }) => {
      const labels = labelsOrNumbers(model, outputs);
      const hasEntities = areEntities(labels);
      return (record, rows) => {
        const byToken = answersByToken(rows, { output, outputs, valuesOf: (scores) => softmaxRows(scores, outputs) });
        const probabilities: (Float64Array | undefined)[] = record.words.map(() => undefined);
        words.ofTokens(record, input.tokenizer).forEach((word, token) => {
          if (word !== undefined) probabilities[word] = byToken.get(token);
        });
        const best = probabilities.map((each) => (each ? bestOf(each) : undefined));
        const sure = best.map((c, i) => (c === undefined ? undefined : probabilities[i]![c]!));
        const tags = best.map((c) => (c === undefined ? undefined : labels[c]!));
        const told = sure.filter((each) => each !== undefined);
        const score = told.reduce((sum, each) => sum + each, 0) / told.length;
        const text = (from: number, to: number): string => record.sequence.slice(record.words[from]![0], record.words[to]![1]); // prettier-ignore
        if (!hasEntities) return { words: record.words.map((_, i) => text(i, i)), tags: tags.map((tag) => tag ?? null), score }; // prettier-ignore
        const entities = entitiesOf(tags).map(({ label, from, to }: Entity) => {
          const own = sure.slice(from, to + 1) as number[];
          const [start, end] = [record.words[from]![0], record.words[to]![1]];
          return {
            label,
            text: text(from, to),
            start,
            end,
            score: own.reduce((sum, each) => sum + each, 0) / own.length,
          };
        });
        return { entities, score } as unknown as Prediction;
      };
    },
  );
}

const settings: SettingRows<TokenClassificationOptions> = {
  unknown: { kind: 'texts', description: 'Classes that stand for unknown ones; their words do not count.' },
  classWeights: classifierSettings('').classWeights,
  labelSmoothing: classifierSettings('').labelSmoothing,
  head: headSetting,
  ...lengthSettings,
  tooLong: {
    kind: 'choice',
    of: ['crop', 'windows', 'error'],
    description: 'Longer texts: windows (all of it, in pieces; default), crop or error.',
  },
  ...taggedSettings,
};

/** The task `token-classification` for the command line, with its predictor of classes or entities. */
export const tokenClassificationTask: AnsweringFactory = sequenceFactory<TokenClassificationOptions>(taggedDomain, {
  name: 'token-classification',
  description:
    'A class for each word, such as its part of speech, or names in a text; the data is lists of words and classes, or CoNLL.',
  defaults: textDomain.defaults,
  settings,
  task: tokenClassification,
  predictor: async (model, options, given) =>
    openTokenClassifier(model, await sequenceOptionsOf(options, given as object)),
});
