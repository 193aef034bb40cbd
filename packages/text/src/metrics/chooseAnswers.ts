/** @file Multiple choice by likelihood. */

import { utf8 } from '@onnx-lora/sdk/platform';
import { type Adapter, int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import { checkedConversation, type ConversationRecord } from '../data/readConversations.ts';
import type { TextOrMessages } from '../data/readPreferences.ts';
import { openSftData } from '../tasks/chat/openSftData.ts';
import { rowSums, runBatches } from '../tasks/chat/runBatches.ts';
import { feedsOfRow, NOT_LEARNED, singleRow } from '../tasks/chat/sftRows.ts';

/** A question with answers to choose from. */
export interface ChoiceQuestion {
  /** A text that a space and the answer continue, or messages that the assistant answers. */
  readonly prompt: TextOrMessages;
  /** The answers. */
  readonly choices: readonly string[];
  /** Index of the right answer, if known. */
  readonly answer?: number | undefined;
}

/** The choice that a model finds likeliest. */
export interface ChosenAnswer {
  /** Log-probability of each whole choice. */
  readonly logProbabilities: readonly number[];
  /** Index of the likeliest choice. */
  readonly choice: number;
  /** Index of the choice that is likeliest per byte, which is fair to long answers. */
  readonly choiceByByte: number;
}

/** The choices for a list of questions, with their accuracy. */
export interface ChosenAnswers {
  /** In the order of the questions. */
  readonly answers: readonly ChosenAnswer[];
  /** The fraction of right choices: `acc` of lm-evaluation-harness. NaN without known answers. */
  readonly accuracy: number;
  /** The fraction of right choices by byte: `acc_norm`. */
  readonly accuracyByByte: number;
}

/** Options of {@link chooseAnswers}. */
export interface ChoiceOptions extends Omit<RunnableOptions, 'adapters'> {
  /** The base alone without one. */
  readonly adapter?: Adapter | undefined;
  /** Choices per run; 16 by default. */
  readonly batchSize?: number;
  /** The tokenizer; that of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
  /** Called after each run with the numbers of choices done and in total. */
  readonly onBatch?: (done: number, total: number) => void;
}

/** A question with one of its choices as a record: after a text and a space, or as the assistant's message. */
export function answeredWith(prompt: TextOrMessages, choice: string, where: string): ConversationRecord {
  const completion = typeof prompt === 'string' ? ` ${choice}` : [{ role: 'assistant', content: choice }];
  return checkedConversation({ prompt, completion }, where);
}

/**
 * Has a language model choose answers by their likelihood, without generating text, so it need not have learned a
 * format for answers. After messages, an answer includes the token that ends it.
 * @example
 * ```ts
 * const question = { prompt: 'The capital of France is', choices: ['Paris', 'Lyon'], answer: 0 };
 * const { accuracy } = await chooseAnswers(model, [question], { adapter });
 * ```
 * @throws OnnxLoraError `INPUT_INVALID` for a question without choices; as the task `chat`
 */
export async function chooseAnswers(
  model: RunnableModel,
  questions: readonly ChoiceQuestion[],
  { adapter, batchSize = 16, tokenizer, onBatch, ...options }: ChoiceOptions = {},
): Promise<ChosenAnswers> {
  const { input, port, rules } = await openSftData(model, { learn: 'answers', tokenizer });
  const asking = { ...rules, end: undefined };
  const rows = questions.flatMap(({ prompt, choices }, i) =>
    choices.map((choice) => {
      const row = singleRow(answeredWith(prompt, choice, `question ${i + 1}`), asking);
      if (row) return feedsOfRow(row);
      throw new OnnxLoraError('INPUT_INVALID', `Question ${i + 1} has a choice without a token. Give each some text.`);
    }),
  );
  const unfit = questions.findIndex(({ choices, answer = 0 }) => choices.length === 0 || !(answer in choices));
  if (unfit >= 0)
    throw new OnnxLoraError('INPUT_INVALID', `Question ${unfit + 1} has ${questions[unfit]!.choices.length} choices, and the right one is none of them. Count from 0.`); // prettier-ignore
  const found = new Array<number>(rows.length);
  const batches = runBatches({
    model,
    options,
    batchSize,
    size: port.size,
    adapters: [adapter],
    ...(onBatch && { onBatch }),
    lengths: rows.map(({ ids }) => ids.length),
    batch: (places) => {
      const own = places.map((place) => rows[place]!);
      const inputs = input.feeds(own);
      const length = inputs[input.ports.ids]!.dims[1]!;
      const labels = own.flatMap((row) => Array.from({ length }, (_, at) => row.labels[at] ?? NOT_LEARNED));
      return Promise.resolve({ inputs, targets: { labels: int64(labels, [own.length, length]) } });
    },
  });
  for await (const { examples, targets, outputs } of batches)
    for (const [i, { loss }] of rowSums(outputs[0]!, targets['labels']!, port).entries()) found[examples[i]!] = -loss;
  let from = 0;
  const answers = questions.map(({ choices }): ChosenAnswer => {
    const logProbabilities = found.slice(from, (from += choices.length));
    const byByte = logProbabilities.map((each, i) => each / utf8(choices[i]!).length);
    return { logProbabilities, choice: largest(logProbabilities), choiceByByte: largest(byByte) };
  });
  return { answers, ...choiceScores(questions, answers) };
}

/** Accuracy over the questions with a known answer; `times` weights them in a bootstrap draw. */
export function choiceScores(
  questions: readonly ChoiceQuestion[],
  answers: readonly ChosenAnswer[],
  times?: ArrayLike<number>,
): Pick<ChosenAnswers, 'accuracy' | 'accuracyByByte'> {
  const known = [...questions.keys()].filter((i) => questions[i]!.answer !== undefined);
  const count = (of: (i: number) => boolean): number => known.reduce((sum, i) => sum + (of(i) ? (times?.[i] ?? 1) : 0), 0); // prettier-ignore
  const share = (of: (answer: ChosenAnswer) => number): number =>
    count((i) => of(answers[i]!) === questions[i]!.answer) / count(() => true);
  return { accuracy: share(({ choice }) => choice), accuracyByByte: share((each) => each.choiceByByte) };
}

/** Index of the largest value, the first of equal ones. */
function largest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
