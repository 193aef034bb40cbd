/** @file The task `chat`: teaches language models to answer. */

import { int64 } from '@onnx-lora/sdk';
import {
  type AnsweringFactory,
  checkedTask,
  crossEntropy,
  type MeasureRequest,
  type PreparedTask,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { type SettingRows, settingsOf } from '@onnx-lora/sdk/plugin';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { Learned } from '../../chat/sftTokens.ts';
import {
  type ConversationDataOptions,
  type ConversationRecord,
  conversationSettings,
  type ConversationSource,
  readConversations,
} from '../../data/readConversations.ts';
import { generateRows } from '../../generation/generateOptions.ts';
import { groupedAttention } from '../../attention/groupedAttention.ts';
import { SEGMENTS, segmentBias } from '../../attention/segmentBias.ts';
import { answererInput, type AnswererOptions, openAnswerer } from './answerPredictor.ts';
import { measureAnswers, measureChat } from './measureChat.ts';
import { ChatMetrics, type ChatScores, learnedTokens } from './chatMetrics.ts';
import { answerSection } from './answerSection.ts';
import { embeddingNoise } from './embeddingNoise.ts';
import { apartFed, groupedFeeds, groupedRules, PackedDataset } from './rowLayouts.ts';
import { narrowed } from './runBatches.ts';
import { openSftData } from './openSftData.ts';
import { NOT_LEARNED, SftDataset, type SftExample } from './sftRows.ts';

/** Options of {@link chat}. */
export interface ChatOptions extends ConversationDataOptions {
  /**
   * What is learned: all that the assistant says (`answers`, the default), the `last` answer of each conversation, or `all` tokens,
   * prompts among them. Texts without a prompt are learned as a whole.
   */
  readonly learn?: Learned | undefined;
  /**
   * NEFTune: in training, noise is added to the embeddings of tokens, evenly distributed up to `neftune / √(tokens · width)` either
   * way. 5 to 15 are usual; none by default.
   * @see Jain et al., "NEFTune: Noisy Embeddings Improve Instruction Finetuning" (2023)
   */
  readonly neftune?: number | undefined;
  /** Most tokens of a conversation; 1024 by default, or fewer where the model's files say so. */
  readonly maxLength?: number | undefined;
  /**
   * Trains on rows of up to `maxLength` tokens with several conversations in each, which do not read each other; false by default.
   * A batch then is of so many rows.
   */
  readonly packing?: boolean | undefined;
  /**
   * LongLoRA: in training, tokens read those of groups of so many tokens, an even number, and half of the heads those of groups that
   * begin half a group later. The paper has a quarter of the length. Where the model is measured and answers, all tokens are read; none
   * by default. Long conversations are cropped to a multiple of it.
   * @see Chen et al., "LongLoRA: Efficient Fine-tuning of Long-Context Large Language Models" (2023), arXiv:2309.12307
   */
  readonly attentionGroups?: number | undefined;
  /**
   * How many held-out prompts the model answers where it is measured before and after training and by `evaluate`: then there are
   * `exactMatch`, `f1` and `rougeL`, see {@link textScores}. None by default, for writing takes a pass for each token.
   */
  readonly answers?: number | undefined;
  /** How they are written, each token the likeliest by default, and no more than 64. */
  readonly generate?: AnswererOptions['generate'];
  /** The tokenizer of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

const chatRows: SettingRows<ChatOptions> = {
  learn: {
    kind: 'choice',
    of: ['answers', 'last', 'all'],
    description: 'What is learned: answers (all that the assistant says; default), last (the last answer) or all.',
  },
  maxLength: {
    kind: 'number',
    whole: true,
    min: 2,
    description: 'Most tokens of a conversation; 1024 by default, or fewer where the model says so.',
  },
  packing: {
    kind: 'flag',
    description: 'Train on rows of up to maxLength tokens with several conversations in each, which do not read each other.', // prettier-ignore
  },
  attentionGroups: {
    kind: 'number',
    whole: true,
    min: 2,
    description: 'LongLoRA: tokens of the groups in which attention is trained, a quarter of maxLength in the paper; none by default.', // prettier-ignore
  },
  neftune: {
    kind: 'number',
    above: 0,
    description: 'NEFTune: how much noise embeddings get in training, such as 5; none by default.',
  },
  answers: {
    kind: 'number',
    whole: true,
    min: 0,
    description:
      'How many held-out prompts are answered where the model is measured: exactMatch, f1, rougeL; 0 by default.',
  },
  ...conversationSettings,
  generate: generateRows,
};

const settings = settingsOf<ChatOptions>(chatRows);

/**
 * Teaches a language model to answer: the next token is learned wherever the assistant speaks. Data are conversations as OpenAI or
 * ShareGPT writes them, prompts with completions, or texts, see {@link readConversations}. The model's folder needs its tokenizer,
 * and for conversations its chat template. Targets are `labels` int64 `[batch, tokens]`, the next tokens and −100 where nothing is
 * learned, `records` and `bytes` int64 `[batch]`.
 * @example
 * ```ts
 * const task = chat('answers.jsonl', { validation: 0.1 });
 * const { adapter } = await (await train(smollm, { task })).done;
 * ```
 */
export function chat(source: ConversationSource, options: ChatOptions = {}): Task<SftExample, ChatScores> {
  return checkedTask<ChatOptions, SftExample, ChatScores, ChatScores>(settings, options, {
    name: 'chat',
    prepare: (model) => prepare(model, source, options),
  });
}

async function prepare(
  model: TaskModel,
  source: ConversationSource,
  {
    learn = 'answers',
    maxLength,
    packing = false,
    attentionGroups,
    tokenizer,
    answers = 0,
    generate,
    neftune,
    ...options
  }: ChatOptions,
): Promise<PreparedTask<SftExample, ChatScores>> {
  const { input, port, rules: whole } = await openSftData(model, { learn, maxLength, tokenizer });
  const rules = attentionGroups === undefined ? whole : groupedRules(whole, attentionGroups, packing);
  const { output, size } = port;
  const noise = neftune === undefined ? undefined : embeddingNoise(model, input.ports.ids, neftune, options.seed);
  const apart = packing ? segmentBias(model, input.ports.positions) : {};
  const grouped = attentionGroups === undefined ? {} : groupedAttention(model, attentionGroups);
  const data = await readConversations(source, options);
  const dataset = (records: readonly ConversationRecord[]): SftDataset => new SftDataset(records, rules);
  const single = dataset(data.train);
  const train = packing ? new PackedDataset(single, rules.most) : single;
  const validation = data.validation && dataset(data.validation);
  const longest = train.lengths.reduce((most, length) => Math.max(most, length), 0);
  const collate: PreparedTask<SftExample>['collate'] = (examples) => {
    const rows = examples.map(({ row }) => row);
    const isTrained = examples[0]?.draw !== undefined;
    const fed = isTrained ? groupedFeeds(input, rows, longest, attentionGroups) : input.feeds(rows);
    const length = fed[input.ports.ids]!.dims[1]!;
    const { inputs, segments } = apartFed(rows, fed, input.ports);
    const labels = rows.flatMap((row) => Array.from({ length }, (_, at) => row.labels[at] ?? NOT_LEARNED));
    const ofRows = (values: readonly number[]): ReturnType<typeof int64> => int64([...values], [rows.length]);
    const targets = {
      labels: int64(labels, [rows.length, length]),
      records: ofRows(examples.map(({ record }) => record)),
      bytes: ofRows(rows.map(({ bytes }) => bytes)),
      ...(packing && { [SEGMENTS]: segments }),
      ...noise?.targets(
        examples.map(({ row, draw }) => ({ segments: row.segments, draw })),
        length,
      ),
    };
    return Promise.resolve({ inputs, targets });
  };
  const metrics = (): ChatMetrics => new ChatMetrics(output, size);
  const measure = (request: MeasureRequest): ReturnType<typeof measureChat> =>
    measureChat({ dataset: validation ?? single, collate, metrics: metrics(), size }, request);
  return {
    train,
    ...(validation && { validation }),
    ...(data.alsoFits && { alsoFits: data.alsoFits }),
    warnings: [...data.warnings, ...single.warnings, ...(validation?.warnings ?? [])],
    collate,
    ...(packing && { notes: [`${single.length} conversations are packed into ${train.length} rows.`] }),
    inside: { ...noise?.inside, ...apart, ...grouped },
    // Only tokens before one that is learned reach the head: it has the whole vocabulary for each.
    loss: (g, outputs, { labels }) => crossEntropy(g, outputs[output]!, labels!, { countedOnly: true }),
    lossWeight: learnedTokens,
    metrics,
    narrowed: narrowed(size),
    measure: async (request) => {
      const { metrics: found, examples } = await measure(request);
      const written = await measureAnswers(validation ?? single, { rules, answers, generate }, request);
      return {
        metrics: { ...found.result(), ...written.metrics },
        draws: { ...found.draws(), ...written.draws },
        examples,
      };
    },
    ...(data.validation && {
      report: (request) => {
        const records = data.validation!;
        return answerSection(records, rules, request);
      },
    }),
  };
}

/** The task `chat` of the command line, and what answers. */
export const chatTask: AnsweringFactory = {
  name: 'chat',
  description: 'Answers, as a language model shall give them; the data is conversations, or prompts with completions.',
  settings: settings,
  // The batches of QLoRA, of conversations of about one length, so that little is padding.
  defaults: { batchSize: 16, epochs: 2, warmupSteps: 0.03, sampling: 'length' },
  input: answererInput,
  create: ({ data, settings: own, validation, holdOut, seed }) =>
    chat(data, { ...settings.read(own), validation, holdOut, seed }),
  predictor: async (model, { settings: given, ...options } = {}) => {
    const { generate, columns } = settings.read(given);
    return openAnswerer(model, { ...options, generate, columns });
  },
};
