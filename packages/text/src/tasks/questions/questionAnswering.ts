/** @file The task `question-answering`: finding the answer to a question in a text. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type AnsweringFactory,
  batchesOf,
  checkedTask,
  chooseHead,
  crossEntropy,
  type HeadOption,
  headSetting,
  labelsOrNumbers,
  describedPorts,
  type Predictor,
  type PreparedTask,
  type ReportRequest,
  type ReportSection,
  type RunnableModel,
  type Task,
  type TaskHead,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { type SettingRows, settingsOf } from '@onnx-lora/sdk/plugin';
import {
  headOnEachToken,
  heldOutNote,
  lengthSettings,
  openSequenceInput,
  openSequenceTask,
  ownHead,
  type SequenceDomain,
  type SequenceExample,
  sequenceFactory,
  sequenceOptionsOf,
  sequencePredictor,
  type SequencePredictorOptions,
  type SequenceTokenizer,
  type TokenOptions,
} from '@onnx-lora/sequences';
import {
  type QuestionDataOptions,
  type QuestionRecord,
  questionSettings,
  type QuestionSource,
  readQuestions,
  streamQuestions,
} from '../../data/readQuestions.ts';
import { textEndings } from '../../data/streamTexts.ts';
import { textDomain } from '../../domain.ts';
import { bestSpan, lettersOf, tokensOfAnswer } from './answerSpans.ts';
import { type AnswerScores, SpanMetrics, type SpanMetricsOptions, type SpanPort, spanScores, windowTargets } from './spanMetrics.ts'; // prettier-ignore

/** Options for choosing answers. */
export interface AnswerOptions {
  /** Maximum tokens of an answer; 30 by default. */
  readonly maxAnswer?: number | undefined;
  /** Whether texts may lack the answer; by default as in the data, or for a trained adapter as in its training data. */
  readonly mayLack?: boolean | undefined;
}

/** Options of {@link questionAnswering}. */
export interface QuestionAnsweringOptions extends QuestionDataOptions, TokenOptions, AnswerOptions, HeadOption {}

const questionDomain: SequenceDomain<QuestionRecord, QuestionSource, QuestionDataOptions> = {
  noun: 'questions',
  one: 'question',
  readsSecond: true,
  remedy: textDomain.remedy,
  settings: questionSettings,
  defaults: { ...textDomain.defaults, epochs: 2 },
  input: { ...textDomain.input, endings: [...textEndings, '.json'] },
  read: readQuestions,
  stream: streamQuestions,
};

/** First and last token of the answer in its text, if any. */
type Target = readonly [first: number, last: number] | undefined;
type Example = SequenceExample<Target, QuestionRecord>;

/**
 * Extractive question answering: finds where the answer to a question starts and ends in a text. Models with the
 * outputs `start_logits` and `end_logits` keep their head; others get one named `qa_outputs`, as in transformers.
 * Longer texts are read in overlapping windows. If texts may lack the answer (SQuAD v2), the first token's score stands
 * for no answer. Metrics are SQuAD's: F1 of shared words and exact matches. Targets are `{ starts, ends }`, int64
 * `[batch]`: places in the row, 0 if the window does not contain the answer.
 * @example
 * ```ts
 * const task = questionAnswering('handbook.json', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function questionAnswering(
  source: QuestionSource,
  options: QuestionAnsweringOptions = {},
): Task<SequenceExample<readonly [first: number, last: number] | undefined, QuestionRecord>, AnswerScores> {
  const task = { name: 'question-answering', prepare: (model: TaskModel) => prepare(model, source, options) };
  return checkedTask(checks, options, task);
}

async function prepare(
  model: TaskModel,
  source: QuestionSource,
  options: QuestionAnsweringOptions,
): Promise<PreparedTask<Example, AnswerScores>> {
  const { head: mode = 'auto' } = options;
  const rules = { most: options.maxAnswer ?? MOST_TOKENS, mayLack: options.mayLack ?? false };
  const tooLong = options.tooLong ?? 'windows';
  const task = await openSequenceTask(questionDomain, model, source, { ...options, tooLong });
  const { data, tokenizer } = task;
  const all = [...data.train, ...(data.validation ?? [])];
  const unanswered = all.find(({ answers }) => answers === undefined);
  if (unanswered) throw new OnnxLoraError('DATA_INVALID', `${unanswered.where}: it has no answers. Give their words and places in the text, or an empty answer where the text does not say.`); // prettier-ignore
  rules.mayLack = options.mayLack ?? all.some(({ answers }) => answers!.length === 0);
  const root = typeof source === 'string' ? source : 'the data';
  const { port, head } = headOf(model, tokenizer, { root, mode });
  const dataset = (records: readonly QuestionRecord[], isTrained: boolean) =>
    task.dataset(records, records.map(({ second, answers }): Target => answers![0] && tokensOfAnswer(tokenizer.tokens(second), answers![0])), { isTrained }); // prettier-ignore
  const train = dataset(data.train, true);
  const validation = data.validation && dataset(data.validation, false);
  const metrics: Omit<SpanMetricsOptions, 'records'> = { ...rules, port, tokenizer };
  const measured = validation ?? train;
  const prepared: PreparedTask<Example, AnswerScores> = {
    train,
    ...(validation && { validation }),
    notes: [heldOutNote(data, 'question')],
    warnings: data.warnings,
    ...(head && { head }),
    collate: (examples) => {
      const places = examples.map(({ target, row }) => placesIn(target, row));
      const of = (i: 0 | 1) => int64(places.map((place) => place[i]), [places.length]); // prettier-ignore
      const inputs = task.feeds(examples.map(({ row }) => row), examples[0]?.draw !== undefined); // prettier-ignore
      return Promise.resolve({ inputs, targets: { starts: of(0), ends: of(1), ...windowTargets(examples) } });
    },
    loss: (g, outputs, targets) => {
      const scores = port.outputs.map((name) => outputs[name]!);
      const [starts, ends] = port.columns ? port.columns.map((i) => g.Squeeze(g.Slice(scores[0]!, [i], [i + 1], [2]), [2])) : scores; // prettier-ignore
      const both = g.Add(crossEntropy(g, starts!, targets['starts']!), crossEntropy(g, ends!, targets['ends']!));
      return g.Mul(both, 0.5);
    },
    lossWeight: ({ starts }) => starts!.data.length,
    metrics: () => new SpanMetrics({ ...metrics, records: measured.records }),
    finish: () => Promise.resolve({ mayLack: rules.mayLack }),
    ...(validation && { report: (request) => report({ ...metrics, records: validation.records }, { dataset: validation, collate: (examples) => prepared.collate(examples) }, request) }), // prettier-ignore
  };
  return prepared;
}

/** Default of `maxAnswer`, as in transformers' examples. */
const MOST_TOKENS = 30;

/** Start and end of the answer in a row; the row's first token unless the window contains all of it. */
function placesIn(target: Target, { at, count, from }: Example['row']): readonly [number, number] {
  if (!target || target[0] < from || target[1] >= from + count) return [0, 0];
  return [at + target[0] - from, at + target[1] - from];
}

const labels = ['start', 'end'] as const;

/** The model's own scores, if it has any. */
function ownPort(model: TaskModel, tokenizer: SequenceTokenizer): SpanPort | undefined {
  const outputs = ['start_logits', 'end_logits'];
  const areScores = outputs.every((name) => model.outputs[name]?.type === 'float32' && model.outputs[name].dims?.length === 2); // prettier-ignore
  if (areScores) return { outputs };
  const own = ownHead(model, tokenizer);
  const names = own?.outputs === 2 ? labelsOrNumbers(model, 2) : [];
  if (!own || !labels.every((label) => names.includes(label))) return undefined;
  return { outputs: [own.output], columns: [names.indexOf('start'), names.indexOf('end')] };
}

function headOf(
  model: TaskModel,
  tokenizer: SequenceTokenizer,
  choice: { readonly root: string; readonly mode: 'auto' | 'new' | 'keep' },
): { readonly port: SpanPort; readonly head: TaskHead['head'] } {
  const port = ownPort(model, tokenizer);
  if (port && (choice.mode !== 'new' || !port.columns)) return { port, head: undefined };
  const attach = (): TaskHead => {
    const made = headOnEachToken(model, labels);
    return { ...made, head: { ...made.head!, attach: { ...made.head!.attach!, module: 'qa_outputs' } } };
  };
  const { output, head } = chooseHead(model, ownHead(model, tokenizer), labels, { ...choice, attach });
  return { port: { outputs: [output], columns: [0, 1] }, head };
}

/** Maximum questions of the report, and characters around an answer. */
const SHOWN = 20;
const AROUND = 60;

/** The report's table of answers that share the fewest words with the right ones. */
async function report(
  options: SpanMetricsOptions,
  source: Parameters<typeof batchesOf<Example>>[0],
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const metrics = new SpanMetrics(options);
  for await (const { batch } of batchesOf(source, request.batchSize))
    metrics.update(await request.run(batch.inputs, 'adapted'), batch.targets);
  metrics.result();
  const wrong = metrics.found.filter(({ match }) => match.exact === 0);
  const rows = wrong
    .toSorted((a, b) => a.match.f1 - b.match.f1 || b.span.score - a.span.score)
    .slice(0, SHOWN)
    .map(({ record, text, match, span }) => {
      const { sequence, second, answers = [] } = options.records[record]!;
      const [right] = answers;
      const at = right?.start ?? 0;
      const around = second.slice(Math.max(0, at - AROUND), at + (right?.text.length ?? 0) + AROUND);
      return [sequence, right?.text ?? '(none)', text === '' ? '(none)' : text, Number(match.f1.toFixed(3)), Number(span.score.toFixed(3)), `… ${around} …`]; // prettier-ignore
    });
  return [
    {
      kind: 'table',
      title: 'Worst answers',
      text: `${wrong.length} of ${metrics.found.length} held-out questions are not answered word for word; these share the fewest words with the right answer.`,
      columns: ['question', 'right', 'answered', 'F1', 'probability', 'the text around'],
      rows,
    },
  ];
}

/** Options of {@link openQuestionAnswerer}. */
export type QuestionAnswererOptions = SequencePredictorOptions<QuestionDataOptions> & AnswerOptions;

/**
 * Loads a model that predicts `{ id, answer, start, end, score }` for each question of a file. `start` and `end` are
 * string indices in the text, `score` is the probability among the best answers. A text without an answer gives an
 * empty one, with null places.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without start and end scores; `CONFIG_INVALID`,
 * `FILE_NOT_FOUND` of its tokenizer
 */
export async function openQuestionAnswerer(
  model: RunnableModel,
  options: QuestionAnswererOptions = {},
): Promise<Predictor> {
  const tooLong = options.tooLong ?? 'windows';
  const input = await openSequenceInput(model, { ...options, tooLong }, questionDomain);
  const port = ownPort(model, input.tokenizer);
  if (!port) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not answer questions: it has neither float32 outputs "start_logits" and "end_logits" [batch, tokens] nor "logits" [batch, tokens, 2] for start and end (it has ${describedPorts(model.outputs)}). Name the adapter that brings its head (--adapter), or export it with one.`,
    );
  }
  const mayLack = options.mayLack ?? model.learned?.['mayLack'] === true;
  const rules = { most: options.maxAnswer ?? MOST_TOKENS, mayLack };
  return sequencePredictor(questionDomain, {
    ...options,
    model,
    input,
    outputs: port.outputs,
    rows: input.rows,
    answers: ({ id, second }, rows) => {
      const windows = rows.map(({ row, members }) => {
        const [starts, ends] = spanScores(members[0]!, port, 0).map((scores) => scores.subarray(0, row.ids.length));
        return { row, starts: starts!, ends: ends! };
      });
      const { tokens, score } = bestSpan(windows, rules);
      if (!tokens) return [{ id, answer: '', start: null, end: null, score }];
      const [start, end] = lettersOf(second, input.tokenizer.tokens(second), tokens);
      return [{ id, answer: second.slice(start, end), start, end, score }];
    },
  });
}

const settings: SettingRows<QuestionAnsweringOptions> = {
  maxAnswer: { kind: 'number', whole: true, min: 1, description: 'Most tokens of an answer; 30 by default.' },
  mayLack: { kind: 'flag', description: 'Texts may lack the answer; by default as the data have it.' },
  head: headSetting,
  ...lengthSettings,
  tooLong: { kind: 'choice', of: ['crop', 'windows', 'error'], description: 'Longer texts: windows (all of it, in pieces; default), crop or error.' }, // prettier-ignore
  ...questionSettings,
};

const checks = settingsOf<QuestionAnsweringOptions>(settings);

/** The task `question-answering` for the command line, with its predictor. */
export const questionAnsweringTask: AnsweringFactory = sequenceFactory<QuestionAnsweringOptions>(questionDomain, {
  name: 'question-answering',
  description:
    'The answer to a question, word for word in a text; the data is in the form of SQuAD, or a table of questions, texts and answers.',
  defaults: questionDomain.defaults,
  settings,
  task: questionAnswering,
  predictor: async (model, options, given) => {
    const { maxAnswer, mayLack } = given;
    return openQuestionAnswerer(model, { ...(await sequenceOptionsOf(options, given as object)), maxAnswer, mayLack });
  },
});
