/** @file The task `text-reranking`: cross-encoders, which score a query and a document together. */

import { type Feeds, float32, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type AnsweringFactory,
  AnswerMetrics,
  binaryCrossEntropy,
  bootstrapDraws,
  ridgeProbe,
  type Draws,
  intervalsOf,
  drawsFor,
  heldOut,
  type Labelled,
  labelProbe,
  logSumExp,
  type Metrics,
  type Predictor,
  type PreparedTask,
  probability,
  type ReportSection,
  type RunnableModel,
  type Tally,
  type Task,
  type TaskHead,
  type TaskModel,
  wholeAnswers,
} from '@onnx-lora/sdk/tasks';
import {
  answeringFactory,
  headPredictor,
  headSettings,
  type SequenceDomain,
  sequenceExamples,
  type SequenceItem,
  type SequenceRecord,
} from '@onnx-lora/sequences';
import { Bm25, plainWords } from '../../baselines/bm25.ts';
import { readTextData } from '../../data/readTextData.ts';
import type { TextDataOptions, TextSource } from '../../data/textColumns.ts';
import { textDomain, type TextPredictorOptions, type WholeTextOptions } from '../../domain.ts';
import { type ListMeasures, listMeasures } from './rankedLists.ts';

/** Options of {@link textReranking}. */
export interface TextRerankingOptions extends WholeTextOptions {}

/** Ranking metrics over the queries with a relevant document. */
export type RerankingScores = Metrics & Readonly<Record<'ndcg@10' | 'mrr@10' | 'recall@10' | 'loss', number>>;

/** Keeps the documents of a query together when a part is held out. */
const rerankedDomain: SequenceDomain<SequenceRecord, TextSource, TextDataOptions> = {
  ...textDomain,
  read: (source, options, wanted) => readTextData(source, options, wanted, ({ sequence }) => sequence),
};

type Example = Labelled<SequenceItem, number>;

/**
 * Reranking: a score from 0 to 1 of how well a document fits a query. Each row of the data has a query, a document and
 * its relevance: 0 and 1, or grades, divided by the highest one of the training data. The loss is the binary
 * cross-entropy of a single score, as in sentence-transformers' CrossEncoder. Metrics rank each query's held-out
 * documents: NDCG@10, MRR@10 and recall@10. Targets are `{ relevance: float32 [batch, 1] }`.
 * @example
 * ```ts
 * const task = textReranking('clicks.csv', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function textReranking(
  source: TextSource,
  options: TextRerankingOptions = {},
): Task<Labelled<SequenceItem, number>, RerankingScores> {
  return { name: 'text-reranking', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: TextSource,
  options: TextRerankingOptions,
): Promise<PreparedTask<Example, RerankingScores>> {
  const examples = sequenceExamples(rerankedDomain, source, { ...options, baselines: false });
  const opened = await examples.open(model, 'numbers');
  const { data } = opened;
  for (const { where, second, values } of [...data.train, ...(data.validation ?? [])]) checkPair(where, second, values);
  const most = data.train.reduce((max, { values }) => Math.max(max, values![0]!), 0);
  if (data.train.length > 0 && most === 0)
    throw new OnnxLoraError('DATA_INVALID', `No document of "${examples.root}" is relevant. Give pairs that fit a relevance above 0.`); // prettier-ignore
  const grade = Math.max(most, 1);
  const { output, head } = headOf(model, opened, options);
  const dataset = (records: readonly SequenceRecord[], isTrained: boolean) =>
    opened.dataset(records, records.map(({ values }) => Math.min(1, values![0]! / grade)), isTrained); // prettier-ignore
  const train = await dataset(data.train, true);
  const validation = data.validation && (await dataset(data.validation, false));
  const collate: PreparedTask<Example>['collate'] = (rows) => {
    const relevance = float32(rows.map(({ target }) => target), [rows.length, 1]); // prettier-ignore
    return Promise.resolve({ inputs: opened.feeds(rows), targets: { relevance, ...opened.targets?.(rows) } });
  };
  const collector = () => rankingMetrics(output, (validation ?? train).records);
  const targetOf = (example: number): readonly number[] => [train.targets[train.recordOf?.[example] ?? example]!];
  return {
    train,
    ...(validation && { validation }),
    ...(opened.notes && { notes: opened.notes }),
    ...(data.warnings && { warnings: data.warnings }),
    ...(head && { head: { ...head, probe: (features) => labelProbe(ridgeProbe(features, targetOf)) } }),
    collate,
    loss: (g, outputs, targets) => binaryCrossEntropy(g, outputs[output]!, targets['relevance']!),
    lossWeight: ({ relevance }) => relevance!.dims[0]!,
    metrics: collector,
    ...(validation && {
      report: async (request) => {
        const metrics = collector();
        for await (const batch of heldOut({ dataset: validation, collate }, request))
          metrics.update(batch.outputs, batch.targets);
        const { records, targets } = validation;
        return [comparison(metrics, records, targets, data.train)];
      },
    }),
  };
}

function checkPair(where: string, second: string | undefined, values: readonly number[] | undefined): void {
  if (second === undefined)
    throw new OnnxLoraError('DATA_INVALID', `${where}: it has a query and no document. Name its column: columns: { second: 'answer' }, on the command line --set columns.second=answer.`); // prettier-ignore
  if (values?.length === 1 && values[0]! >= 0 && values[0]! < Infinity) return;
  throw new OnnxLoraError('DATA_INVALID', `${where}: the relevance of a document is one number of at least 0, but it is ${values?.join(', ') ?? 'not there'}. Correct it, or name its column (columns: { values: 'relevance' }, --set columns.values=relevance).`); // prettier-ignore
}

type Opened = Awaited<ReturnType<ReturnType<typeof sequenceExamples<SequenceRecord, TextSource, TextDataOptions>>['open']>>; // prettier-ignore

/** The model's own head for a single score, or a new one. */
function headOf(
  model: TaskModel,
  { own, attach }: Opened,
  { head = 'auto' }: TextRerankingOptions,
): Pick<TaskHead, 'output' | 'head'> {
  // prettier-ignore
  if (own?.outputs === 1 && head !== 'new') return { output: own.output };
  if (head === 'keep')
    throw new OnnxLoraError('MODEL_UNSUPPORTED', `"${model.name}" gives no single score of a pair, and head: 'keep' allows no other. Leave head out.`); // prettier-ignore
  const labels = ['relevance'];
  return own ? { output: own.output, head: { output: own.output, labels } } : attach!(model, labels);
}

/** Collects scores into a list per query. */
class ListTally implements Tally<number, RerankingScores> {
  readonly scored: { readonly record: number; readonly score: number; readonly relevance: number }[] = [];
  readonly #records: readonly SequenceRecord[];

  constructor(records: readonly SequenceRecord[]) {
    this.#records = records;
  }

  add(record: number, [answer]: Parameters<Tally<number, RerankingScores>['add']>[1]): void {
    this.scored.push({ record, score: answer!.values[0]!, relevance: answer!.truth });
  }

  result(): RerankingScores {
    const loss = this.scored.reduce((sum, { score, relevance }) => sum + logSumExp(Float64Array.of(0, score)) - relevance * score, 0); // prettier-ignore
    return { ...meansOf(this.#lists()), loss: loss / this.scored.length } as RerankingScores;
  }

  draws(): Draws {
    const lists = this.#lists();
    return bootstrapDraws((times) => meansOf(lists, times), lists.length, { samples: drawsFor(lists.length) });
  }

  #lists(): readonly ListMeasures[] {
    return listsOf(this.scored, this.#records);
  }
}

function rankingMetrics(
  output: string,
  records: readonly SequenceRecord[],
): AnswerMetrics<number, RerankingScores, ListTally> {
  const truthsOf = ({ relevance }: Feeds): number[] => Array.from(relevance!.data as Float32Array);
  return new AnswerMetrics(wholeAnswers({ output, width: 1, truthsOf }), new ListTally(records));
}

/** Metrics of each query with a relevant document. */
function listsOf(
  scored: readonly { readonly record: number; readonly score: number; readonly relevance: number }[],
  records: readonly SequenceRecord[],
): readonly ListMeasures[] {
  const lists = new Map<string, (typeof scored)[number][]>();
  for (const each of scored) {
    const { sequence } = records[each.record]!;
    lists.set(sequence, [...(lists.get(sequence) ?? []), each]);
  }
  return [...lists.values()].flatMap((list) => listMeasures(list) ?? []);
}

function meansOf(lists: readonly ListMeasures[], times?: ArrayLike<number>): Metrics {
  const mean = (of: keyof ListMeasures): number => {
    const all = times ? lists.reduce((sum, _, i) => sum + times[i]!, 0) : lists.length;
    return lists.reduce((sum, list, i) => sum + (times?.[i] ?? 1) * list[of], 0) / all;
  };
  return { 'ndcg@10': mean('ndcg'), 'mrr@10': mean('reciprocalRank'), 'recall@10': mean('recall') };
}

/** Compares the model with BM25, and with equal scores for all documents. */
function comparison(
  metrics: AnswerMetrics<number, RerankingScores>,
  records: readonly SequenceRecord[],
  targets: readonly number[],
  trained: readonly SequenceRecord[],
): ReportSection {
  // Word frequencies count over all documents.
  const documents = [...new Set([...records, ...trained].map(({ second }) => second!))];
  const places = new Map(documents.map((document, i) => [document, i]));
  const index = new Bm25(documents.map(plainWords));
  const found = new Map<string, Float64Array>();
  const words = new ListTally(records);
  const none = new ListTally(records);
  records.forEach(({ sequence, second }, record) => {
    const scores = found.get(sequence) ?? index.scores(plainWords(sequence));
    found.set(sequence, scores);
    const answer = (score: number) => [{ part: 0, truth: targets[record]!, values: Float64Array.of(score) }];
    words.add(record, answer(scores[places.get(second!)!]!));
    none.add(record, answer(0));
  });
  const names = ['ndcg@10', 'mrr@10', 'recall@10'] as const;
  const row = (name: string, tally: Pick<ListTally, 'result' | 'draws'>): string[] => {
    const [result, intervals] = [tally.result(), intervalsOf(tally.draws())];
    const range = (each: string): string => (intervals[each] ? ` (${intervals[each].map((value) => value.toFixed(3)).join(' to ')})` : ''); // prettier-ignore
    return [name, ...names.map((each) => `${result[each].toFixed(3)}${range(each)}`)];
  };
  return {
    kind: 'table',
    title: 'Against counting words',
    baselines: Object.fromEntries(
      Object.entries({ 'no order': none, BM25: words }).map(([name, tally]) => [
        name,
        { metrics: tally.result(), draws: tally.draws() },
      ]),
    ),
    text: `The held-out documents of each query, put in order. At worst: relevant documents come last. In brackets: 95% intervals by a bootstrap over queries.`,
    columns: ['order', ...names],
    rows: [row('at worst', none), row('BM25', words), row('LoRA', metrics)],
  };
}

/**
 * Loads a model that predicts `{ id, score }` for each pair of a query and a document in a file: how well they fit,
 * from 0 to 1.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without such a score; `CONFIG_INVALID`, `FILE_NOT_FOUND` of its
 * tokenizer
 */
export function openTextReranker(model: RunnableModel, options: TextPredictorOptions = {}): Promise<Predictor> {
  return headPredictor(rerankedDomain, model, options, 'scores', () => ({
    answerOf: (scores) => Float64Array.from(scores, probability),
    shown: ({ mean, deviation }) => ({ score: mean[0]!, ...(deviation && { deviation: deviation[0]! }) }),
  }));
}

const { head, pool } = headSettings;

/** The task `text-reranking` for the command line, with its predictor of scores. */
export const textRerankingTask: AnsweringFactory = answeringFactory(rerankedDomain, {
  name: 'text-reranking',
  description:
    'How well a document fits a query, read at once; the data is a table of queries, documents and their relevance.',
  settings: { head: head!, pool: pool! },
  task: textReranking,
  open: openTextReranker,
});
