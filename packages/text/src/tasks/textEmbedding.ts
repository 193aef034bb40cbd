/** @file Embeddings of texts, and metric learning on them. */

import {
  type AnsweringFactory,
  predictOnlyTask,
  type RetrievalScores,
  retrievalSettings,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import type { GivenOptions, SettingRows } from '@onnx-lora/sdk/plugin';
import {
  embeddingPredictor,
  lengthSettings,
  openEmbedderOf,
  retrieval,
  type RetrievalOptions,
  type SequenceEmbedder,
  type SequenceEmbedderOptions,
  type SequenceEmbeddingOptions,
  sequenceFactory,
  type SequenceGroup,
  type SequencePooling,
  type SequenceRecord,
} from '@onnx-lora/sequences';
import type { TextDataOptions, TextSource } from '../data/textColumns.ts';
import { textDomain, type TextTaskOptions } from '../domain.ts';

/**
 * Loads a model that embeds texts. Models of sentence-transformers give the same vectors as there: pooled and
 * normalized as `sentence_embedding` or `modules.json` says. Other models give the mean over a text's tokens, or the
 * first token's state.
 * @example
 * ```ts
 * const embedder = await openTextEmbedder(model, { normalize: true });
 * const vectors = await embedder.embed(['How do I return it?', 'Returning a parcel']);
 * await embedder.release();
 * ```
 * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer; `MODEL_UNSUPPORTED` for a model without
 * token inputs or features; others as `model.session`
 */
export function openTextEmbedder(model: RunnableModel, options?: SequenceEmbedderOptions): Promise<SequenceEmbedder> {
  return openEmbedderOf(textDomain, model, options);
}

/** Prefixes of texts, for models trained with them, such as E5: `query: ` and `passage: `. */
export interface PromptOptions {
  /** Prefix of the first text of each pair; none by default. */
  readonly queryPrompt?: string | undefined;
  /** Prefix of the second text, and of single texts; none by default. */
  readonly passagePrompt?: string | undefined;
}

/** Options of {@link textRetrieval}. */
export interface TextRetrievalOptions extends TextTaskOptions, RetrievalOptions, PromptOptions {}

function promptedDomain({ queryPrompt = '', passagePrompt = '' }: PromptOptions): typeof textDomain {
  const passage = (text: string): string => `${passagePrompt}${text}`;
  const prompted = ({ sequence, second, negatives, ...record }: SequenceRecord): SequenceRecord =>
    second === undefined
      ? { ...record, sequence: passage(sequence) }
      : {
          ...record,
          sequence: `${queryPrompt}${sequence}`,
          second: passage(second),
          ...(negatives && { negatives: negatives.map(passage) }),
        };
  return {
    ...textDomain,
    read: async (source, options, wanted) => {
      const { train, validation, test, ...data } = await textDomain.read(source, options, wanted);
      const of = (records: readonly SequenceRecord[]): SequenceRecord[] => records.map(prompted);
      return { ...data, train: of(train), ...(validation && { validation: of(validation) }), ...(test && { test: of(test) }) }; // prettier-ignore
    },
  };
}

/**
 * Metric learning on texts. In pairs, the first text searches for the second, such as a question for its answer; the
 * other seconds of a batch serve as negatives (`loss: 'info-nce'`). Held-out first texts search all held-out second
 * ones. Without pairs, texts of one label or group belong together and search each other.
 * @example
 * ```ts
 * const task = textRetrieval('questions.csv', { loss: 'info-nce', temperature: 0.05, validation: 0.2 });
 * const { adapter } = await (await train(model, { task, batchSize: 32 })).done;
 * ```
 */
export function textRetrieval(
  source: TextSource,
  options: TextRetrievalOptions = {},
): Task<SequenceGroup, RetrievalScores> {
  const { queryPrompt, passagePrompt, ...own } = options;
  return retrieval(promptedDomain({ queryPrompt, passagePrompt }), source, own);
}

type EmbeddingOptions = Omit<SequenceEmbeddingOptions, 'pool'> & {
  readonly pool?: SequencePooling;
  readonly prompt?: string | undefined;
} & TextDataOptions;

/** The predictor of embeddings, with a prefix for all texts. */
function predictorOf(
  model: RunnableModel,
  options: Parameters<typeof embeddingPredictor>[2],
  { prompt = '', ...given }: GivenOptions<EmbeddingOptions>,
): ReturnType<typeof embeddingPredictor> {
  const stream: typeof textDomain.stream = async function* (source, reading) {
    for await (const { record, ...read } of textDomain.stream(source, reading))
      yield { ...read, record: { ...record, sequence: `${prompt}${record.sequence}` } };
  };
  return embeddingPredictor({ ...textDomain, stream }, model, options, given);
}

const embeddingSettings: SettingRows<EmbeddingOptions> = {
  pool: {
    kind: 'choice',
    of: ['mean', 'first'],
    description:
      'Pooling: mean (of all tokens), or first (the state of [CLS]). By default that of modules.json, else mean.',
  },
  output: {
    kind: 'text',
    description:
      'The graph output that is the feature; before-head is what a head reads. sentence_embedding by default, else last_hidden_state.',
  },
  normalize: {
    kind: 'flag',
    description: 'Divides every embedding by its length; by default where modules.json says so.',
  },
  prompt: { kind: 'text', description: "Stands in front of each text that is embedded, such as 'query: '." },
  ...lengthSettings,
  ...textDomain.settings,
};

/** The task `text-embedding` for the command line: it predicts `{ id, embedding }`, without training. */
export const textEmbeddingTask: AnsweringFactory = sequenceFactory<EmbeddingOptions>(textDomain, {
  name: 'text-embedding',
  description: 'One vector per text, written to .npz, .safetensors or .csv; to predict with, not to train.',
  settings: embeddingSettings,
  task: () =>
    predictOnlyTask(
      'text-embedding',
      'To train or measure embeddings on pairs, or texts with labels or groups, take the task text-retrieval',
    ),
  predictor: predictorOf,
});

/** The task `text-retrieval` for the command line, with its predictor of embeddings. */
export const textRetrievalTask: AnsweringFactory = sequenceFactory<TextRetrievalOptions & EmbeddingOptions>(
  textDomain,
  {
    name: 'text-retrieval',
    description:
      'Embeddings by which the first texts of pairs find the second, or in which texts of one label or group lie together; the data is a table of them.',
    // Larger batches give each pair more negatives.
    defaults: { batchSize: 32, epochs: 1, lr: 1e-3, warmupSteps: 0 },
    settings: {
      ...retrievalSettings('Texts of one kind'),
      queryPrompt: {
        kind: 'text',
        description: "In training, stands in front of the first of each pair, such as 'query: '.",
      },
      passagePrompt: {
        kind: 'text',
        description: "Likewise of the second, and of texts that are no pairs: 'passage: '.",
      },
      ...embeddingSettings,
    },
    task: textRetrieval,
    predictor: predictorOf,
  },
);
