/** @file The task `multiple-choice`: training, measuring and predicting right answers. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Answer,
  type AnsweringFactory,
  bootstrapDraws,
  type Draws,
  checkedTask,
  chosenAdapter,
  evenlySpaced,
  type MeasureRequest,
  type MetricsNamed,
  type Predictor,
  type PreparedTask,
  type ReportRequest,
  type ReportSection,
  requireNamedAdapters,
  type RunnableModel,
  sourcesOf,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { type PredictorOptions, type SettingRows, settingsOf } from '@onnx-lora/sdk/plugin';
import type { ConversationRecord } from '../../data/readConversations.ts';
import { type ChoiceColumns, type ChoiceDataOptions, type ChoiceRecord, choiceSettings, type ChoiceSource, readChoiceFile, readChoices } from '../../data/readChoices.ts'; // prettier-ignore
import { answeredWith, choiceScores, chooseAnswers, type ChosenAnswer } from '../../metrics/chooseAnswers.ts';
import { chat, type ChatOptions } from '../chat/chat.ts';
import type { ChatScores } from '../chat/chatMetrics.ts';
import type { SftDataset, SftExample } from '../chat/sftRows.ts';

/** Options of {@link multipleChoice}. */
export interface MultipleChoiceOptions extends ChoiceDataOptions, Pick<ChatOptions, 'maxLength' | 'tokenizer'> {}

/** Accuracy of the likeliest answers, as a whole and by byte: `acc` and `acc_norm` of lm-evaluation-harness. */
export type ChoiceScores = MetricsNamed<'accuracy' | 'accuracyByByte'>;

const settings = settingsOf<MultipleChoiceOptions>({
  maxLength: {
    kind: 'number',
    whole: true,
    min: 2,
    description: 'Most tokens of a question with an answer; 1024 by default, or fewer where the model says so.',
  },
  ...choiceSettings,
} satisfies SettingRows<MultipleChoiceOptions>);

/**
 * Teaches a language model the right answers of multiple-choice questions, as the task {@link chat} does, and measures
 * how often they are the likeliest, see {@link chooseAnswers}. During a run the metrics are those of `chat`.
 * @example
 * ```ts
 * const task = multipleChoice('questions.jsonl', { validation: 0.2 });
 * const { adapter } = await (await train(smollm, { task })).done;
 * ```
 */
export function multipleChoice(
  source: ChoiceSource,
  options: MultipleChoiceOptions = {},
): Task<SftExample, ChoiceScores, ChatScores> {
  return checkedTask(settings, options, {
    name: 'multiple-choice',
    prepare: (model: TaskModel) => prepare(model, source, options),
  });
}

async function prepare(
  model: TaskModel,
  source: ChoiceSource,
  { maxLength, tokenizer, ...options }: MultipleChoiceOptions,
): Promise<PreparedTask<SftExample, ChoiceScores, ChatScores>> {
  const data = await readChoices(source, options);
  const asked = new Map<ConversationRecord, ChoiceRecord>();
  const taught = (records: readonly ChoiceRecord[]): ConversationRecord[] =>
    records.map((record) => {
      const said = answeredWith(record.prompt, record.choices[record.answer!]!, record.where);
      asked.set(said, record);
      return said;
    });
  const { train, validation, warnings } = data;
  const said = { train: taught(train), ...(validation && { validation: taught(validation) }), warnings };
  const prepared = await chat(said, { maxLength, tokenizer, seed: options.seed ?? 0 }).prepare(model);
  // The dataset leaves out records without learned tokens.
  const measured = (prepared.validation ?? prepared.train) as SftDataset;
  const measure = async (request: MeasureRequest): Promise<Chosen> => {
    const { model: runnable, adapter, batchSize, examples, limit, onBatch } = request;
    const places = (examples ?? evenlySpaced(measured.length)).slice(0, limit);
    const records = places.map((place) => asked.get(measured.recordAt(place)!)!);
    const told = { adapter, batchSize, tokenizer, ...(onBatch && { onBatch }) };
    const { answers } = await chooseAnswers(runnable, records, { ...request.options, ...told });
    const result = (times?: ArrayLike<number>): ChoiceScores => ({ ...choiceScores(records, answers, times) });
    return { records, answers, result, draws: () => bootstrapDraws(result, records.length) };
  };
  return {
    ...(prepared as PreparedTask<SftExample, never, ChatScores>),
    measure: async (request) => {
      const found = await measure(request);
      return { metrics: found.result(), draws: found.draws(), examples: found.records.length };
    },
    ...(validation && { report: (request) => report(measure, request) }),
  };
}

interface Chosen {
  readonly records: readonly ChoiceRecord[];
  readonly answers: readonly ChosenAnswer[];
  readonly result: () => ChoiceScores;
  readonly draws: () => Draws;
}

/** Probabilities of the choices, given that one of them is right. */
function probabilitiesOf({ logProbabilities }: ChosenAnswer): number[] {
  const most = Math.max(...logProbabilities);
  const weights = logProbabilities.map((each) => Math.exp(each - most));
  const total = weights.reduce((sum, each) => sum + each, 0);
  return weights.map((each) => each / total);
}

/** Maximum number of questions in the report. */
const SHOWN = 20;

/** The report's table of the wrong answers with the highest probabilities. */
async function report(
  measure: (request: MeasureRequest) => Promise<Chosen>,
  { model, adapter, options, batchSize }: ReportRequest,
): Promise<readonly ReportSection[]> {
  const adapted = await measure({ model, adapter, options, batchSize });
  const wrong = adapted.answers.flatMap((answer, i) => {
    const { prompt, choices, answer: right, where } = adapted.records[i]!;
    const said = typeof prompt === 'string' ? prompt : prompt.at(-1)?.['content'];
    const question = typeof said === 'string' ? said : where;
    const found = probabilitiesOf(answer);
    const [sure, left] = [answer.choice, right!].map((at) => Number(found[at]!.toFixed(3)));
    return answer.choice === right
      ? []
      : [[question, choices[right!]!, left!, choices[answer.choice]!, sure!] as const];
  });
  return [
    {
      kind: 'table',
      title: 'Wrong answers',
      text: `${wrong.length} of ${adapted.records.length} held-out questions are answered wrongly; of these answers the model is surest.`,
      columns: ['question', 'right', 'probability of it', 'chosen', 'probability of that'],
      rows: wrong.toSorted((a, b) => b[4] - a[4]).slice(0, SHOWN),
    },
  ];
}

/** Options of {@link openChooser}. */
export interface ChooserOptions extends Omit<PredictorOptions, 'settings'>, Pick<ChatOptions, 'tokenizer'> {
  /** Column names that differ from the usual ones. */
  readonly columns?: ChoiceColumns | undefined;
}

/** The name of {@link PredictorOptions.adapter} among the others. */
const ADAPTER = 'adapter';

/**
 * Opens a language model that predicts `{ answer, choice, score, probabilities }` for each question of a file: the
 * likeliest answer, its index, its probability, and all probabilities. It reads a whole file at once and loads the
 * model for each.
 * @throws OnnxLoraError as {@link chooseAnswers}
 */
export async function openChooser(model: RunnableModel, options: ChooserOptions = {}): Promise<Predictor> {
  const { adapter, adapters = {}, load, columns, tokenizer } = options;
  requireNamedAdapters(adapters);
  const all: Readonly<Record<string, Adapter>> = { ...(adapter && { [ADAPTER]: adapter }), ...adapters };

  async function* predict(...[sources, asked = {}]: Parameters<Predictor['predict']>): AsyncGenerator<Answer> {
    const { batchSize, skip = 0, onBadSource, signal } = asked;
    const choice = { adapter: adapter ? ADAPTER : null, ...asked }.adapter;
    let [source, left] = [-1, skip];
    for await (const file of sourcesOf(sources)) {
      source++;
      const chosen = chosenAdapter(choice, file, Object.keys(all));
      if (signal?.aborted) return;
      try {
        if (typeof file !== 'string')
          throw new OnnxLoraError('INPUT_INVALID', 'Questions with choices are read from files. Name a file.');
        const read = await readChoiceFile(file, columns, false);
        const records = read.slice(left);
        left -= read.length - records.length;
        if (records.length === 0) continue;
        const own = { adapter: chosen === null ? undefined : all[chosen], tokenizer, ...(batchSize && { batchSize }) };
        const { answers } = await chooseAnswers(model, records, { ...load, ...own });
        for (const [i, each] of answers.entries()) {
          const probabilities = probabilitiesOf(each);
          const answer = records[i]!.choices[each.choice]!;
          yield {
            source,
            prediction: { answer, choice: each.choice, score: probabilities[each.choice]!, probabilities },
          };
        }
      } catch (error) {
        if (!onBadSource) throw error;
        onBadSource(source, error);
      }
    }
  }

  const release = (): Promise<void> => Promise.resolve();
  return { adapters: Object.keys(all), predict, release, [Symbol.asyncDispose]: release };
}

/** The task `multiple-choice` for the command line, with its predictor. */
export const multipleChoiceTask: AnsweringFactory = {
  name: 'multiple-choice',
  description: 'Which of some answers is right, as a language model finds it likeliest; the data is questions with choices.', // prettier-ignore
  settings,
  defaults: { batchSize: 16, epochs: 2, warmupSteps: 0.03, sampling: 'length' },
  input: { endings: ['.jsonl', '.json', '.csv', '.tsv', '.parquet'], records: true },
  create: ({ data, settings: own, validation, holdOut, seed }) =>
    multipleChoice(data, { ...settings.read(own), validation, holdOut, seed }),
  predictor: (model, { settings: given, ...options } = {}) =>
    openChooser(model, { ...options, columns: settings.read(given).columns }),
};
