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
import type { LearnedTokens } from '../../chat/sftTokens.ts';
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
import { packedFeeds, groupedFeeds, groupedRules, PackedDataset } from './rowLayouts.ts';
import { narrowed } from './runBatches.ts';
import { openSftData } from './openSftData.ts';
import { NOT_LEARNED, SftDataset, type SftExample } from './sftRows.ts';

/** Options of {@link chat}. */
export interface ChatOptions extends ConversationDataOptions {
  /**
   * Learned tokens: everything that the assistant says (`answers`, the default), the `last` answer of each
   * conversation, or `all` tokens, prompts included. Texts without a prompt are learned as a whole.
   */
  readonly learn?: LearnedTokens | undefined;
  /**
   * NEFTune: in training, uniform noise up to ±`neftune / √(tokens · width)` on token embeddings. Usual values are 5 to
   * 15; none by default.
   * @see Jain et al., "NEFTune: Noisy Embeddings Improve Instruction Finetuning" (2023)
   */
  readonly neftune?: number | undefined;
  /** Maximum tokens of a conversation; 1024 by default, or the model's context length if shorter. */
  readonly maxLength?: number | undefined;
  /**
   * Whether to pack several conversations into rows of up to `maxLength` tokens, without attention between them; false
   * by default. The batch size then counts rows.
   */
  readonly packing?: boolean | undefined;
  /**
   * LongLoRA: in training, tokens attend within groups of this even number of tokens, which half of the heads shift by
   * half a group. The paper uses a quarter of the length; none by default. Measuring and generating use full attention.
   * Long conversations are cropped to a multiple of it.
   * @see Chen et al., "LongLoRA: Efficient Fine-tuning of Long-Context Large Language Models" (2023), arXiv:2309.12307
   */
  readonly attentionGroups?: number | undefined;
  /**
   * Number of held-out prompts that the model answers before and after training and in `evaluate`, for `exactMatch`,
   * `f1` and `rougeL`, see {@link textScores}. None by default, since generation takes a pass per token.
   */
  readonly answers?: number | undefined;
  /** Generation options of these answers; by default greedy, with at most 64 tokens. */
  readonly generate?: AnswererOptions['generate'];
  /** The tokenizer; that of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

const chatRows: SettingRows<ChatOptions> = {
  learn: {
    kind: 'choice',
    of: ['answers', 'last', 'all'],
    description: 'Learned tokens: answers (all that the assistant says; default), last (the last answer) or all.',
  },
  maxLength: {
    kind: 'number',
    whole: true,
    min: 2,
    description: 'Most tokens of a conversation; 1024 by default, or fewer where the model says so.',
  },
  packing: {
    kind: 'flag',
    description: 'Packs several conversations into rows of up to maxLength tokens, without attention between them.', // prettier-ignore
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
 * Supervised fine-tuning: teaches a language model the assistant's tokens. Data are conversations in OpenAI's or
 * ShareGPT's form, prompts with completions, or texts, see {@link readConversations}. The model's folder needs its
 * tokenizer, and for conversations its chat template. Targets are `labels` int64 `[batch, tokens]`, the next tokens and
 * −100 elsewhere, and `records` and `bytes` int64 `[batch]`.
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
    const { inputs, segments } = packedFeeds(rows, fed, input.ports);
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
    // Skips the head, and so the whole vocabulary, for tokens without a label.
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

/** The task `chat` for the command line, with its predictor. */
export const chatTask: AnsweringFactory = {
  name: 'chat',
  description: 'Answers, as a language model shall give them; the data is conversations, or prompts with completions.',
  settings: settings,
  // QLoRA's batch size. Batches of similar lengths save padding.
  defaults: { batchSize: 16, epochs: 2, warmupSteps: 0.03, sampling: 'length' },
  input: answererInput,
  create: ({ data, settings: own, validation, holdOut, seed }) =>
    chat(data, { ...settings.read(own), validation, holdOut, seed }),
  predictor: async (model, { settings: given, ...options } = {}) => {
    const { generate, columns } = settings.read(given);
    return openAnswerer(model, { ...options, generate, columns });
  },
};
