/** @file Metric learning: trains embeddings on examples of a kind, and measures retrieval. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { int64 } from '../../runtime/tensor.ts';
import { comparingLoss, type Comparison } from '../../train/graph/comparingLoss.ts';
import { batchHardTriplet, infoNce, supervisedContrastive } from '../../train/losses/index.ts';
import type { Batch } from '../../plugin/dataset.ts';
import type { PreparedTask, Task } from '../../plugin/preparedTask.ts';
import { settingsOf, type SettingRows } from '../../plugin/settings.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { embeddingScatter } from './embeddingScatter.ts';
import { type KindGroup, type KindItems, singletonGroups, PkSampler } from './pkSampler.ts';
import { type BaselineSearch, searchSection } from './searchSection.ts';
import { IS_QUERY, type EmbeddingsOf, RetrievalMetrics, type RetrievalScores } from './retrievalScores.ts';

/** Examples with the name of each one's kind. */
export interface KindData<Item> extends Omit<KindItems<Item>, 'labels'> {
  /** Kind of each example; examples of a kind are alike. */
  readonly kinds: readonly string[];
}

/** A domain's data and features for retrieval. */
export interface RetrievalData<Item> extends Pick<PreparedTask, 'notes' | 'warnings' | 'outputs'> {
  /** Training data. */
  readonly train: KindData<Item>;
  /** Held-out data, which may have other kinds. */
  readonly validation?: KindData<Item> | undefined;
  /** Location of the data, for messages. */
  readonly place?: string;
  /** Whether repeated draws of an example differ, so that a single example can form a kind. */
  readonly isAugmented: boolean;
  /** Feeds of examples, and targets about their padding. */
  readonly batch: (items: readonly Item[]) => Batch | Promise<Batch>;
  /** How a batch is split into micro-batches. */
  readonly parts?: Comparison['parts'];
  /** A baseline search for held-out data with queries, compared with the adapter in the report. */
  readonly rival?: BaselineSearch | undefined;
  /** Embeddings `[batch, width]` from outputs and targets. */
  readonly embeddingsOf: EmbeddingsOf;
  /** The same in a graph. */
  readonly embeddingValue: (
    g: GraphBuilder,
    outputs: Readonly<Record<string, Value>>,
    targets: Readonly<Record<string, Value>>,
  ) => Value;
}

/** Options of a retrieval task, for all models. */
export interface RetrievalRequest extends RetrievalLossOptions {
  /** The task's name. */
  readonly name: string;
  /** Examples in the plural: `images`. */
  readonly noun: string;
  /** Seed of the grouping; 0 by default. */
  readonly seed?: number | undefined;
}

/**
 * A task that learns which examples are of one kind: it trains on groups of `perGroup` examples with the chosen loss,
 * and measures how held-out examples, or queries among them, find others. The report plots embeddings before and after.
 * @param open reads the data, once the options are known to be valid
 * @throws OnnxLoraError, by `prepare`: `CONFIG_INVALID` as {@link retrievalLoss}, `DATA_INVALID` if no held-out example
 *   can find another
 */
export function retrievalTask<Item>(
  { name, noun, seed = 0, ...options }: RetrievalRequest,
  open: (model: TaskModel) => Promise<RetrievalData<Item>>,
): Task<KindGroup<Item>, RetrievalScores> {
  return {
    name,
    prepare: async (model) => {
      const { perGroup = 2 } = options;
      const lossOf = retrievalLoss(options);
      const { train, validation, place, isAugmented, batch, parts, rival, embeddingsOf, embeddingValue, ...told } =
        await open(model);
      if (validation && !hasPositivePair(validation.kinds)) {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `No two of the ${validation.kinds.length} held-out ${noun}${place === undefined ? '' : ` of "${place}"`} are of one kind, so none can find another. Hold more ${noun} out.`,
        );
      }
      const names = [...new Set([...train.kinds, ...(validation?.kinds ?? [])])].sort();
      const numbers = new Map(names.map((kind, i) => [kind, i]));
      const numbered = ({ dataset, kinds, ...told }: KindData<Item>): KindItems<Item> => ({ dataset, labels: kinds.map((kind) => numbers.get(kind)!), ...told }); // prettier-ignore
      const [training, shown] = [numbered(train), numbered(validation ?? train)];
      const singles = singletonGroups(shown);
      const hasNegatives = train.negatives !== undefined;
      const collate = async (groups: readonly KindGroup<Item>[]): Promise<Batch> => {
        const labels = groups.flatMap(({ items, label, labels: own }) => own ?? items.map(() => label));
        const asks = groups.flatMap((group) => group.asks ?? []);
        const { inputs, targets } = await batch(groups.flatMap(({ items }) => items));
        const told = asks.length > 0 ? { [IS_QUERY]: int64(asks.map(Number), [asks.length]) } : {};
        return { inputs, targets: { labels: int64(labels, [labels.length]), ...told, ...targets } };
      };
      return {
        ...told,
        train: new PkSampler(training, { perGroup, isAugmented, seed, noun }),
        ...(validation && { validation: singles }),
        collate,
        loss: comparingLoss({
          features: embeddingValue,
          loss: (g, embeddings, targets) => lossOf(g, embeddings, targets['labels']!, hasNegatives),
          ...(parts && { parts }),
        }),
        metrics: () => new RetrievalMetrics(embeddingsOf, options.sizes),
        report: async (request) => {
          const source = { dataset: singles, collate };
          const { labels, asks } = shown;
          const against = rival && asks ? [await searchSection(source, rival, { labels, asks }, embeddingsOf, request)] : []; // prettier-ignore
          return [...against, ...(await embeddingScatter({ ...source, labels, names, embeddingsOf, noun }, request))];
        },
      };
    },
  };
}

/** Whether any example can find another of its kind. */
export function hasPositivePair(kinds: readonly unknown[]): boolean {
  return new Set(kinds).size < kinds.length;
}

/** Opens data. If a default `holdOut` is too small to be fair, twice as much is held out, or nothing. */
export async function openWithFairHoldOut<
  Data,
  Options extends { readonly holdOut?: number | undefined; readonly validation?: unknown },
>(open: (options: Options) => Promise<Data>, options: Options, isFair: (data: Data) => boolean): Promise<Data> {
  const { holdOut, validation } = options;
  const data = await open(options);
  if (isFair(data) || holdOut === undefined || validation !== undefined) return data;
  const larger = await open({ ...options, holdOut: Math.min(0.5, 2 * holdOut) });
  return isFair(larger) ? larger : open({ ...options, holdOut: undefined });
}

/** See {@link supervisedContrastive}, {@link batchHardTriplet}, {@link infoNce}. */
export type RetrievalLoss = 'contrastive' | 'triplet' | 'info-nce';

/** Options of retrieval losses. */
export interface RetrievalLossOptions {
  /** `contrastive` by default. */
  readonly loss?: RetrievalLoss | undefined;
  /** Divisor of cosines; 0.1 by default. Not for triplets. */
  readonly temperature?: number | undefined;
  /** Margin of triplets; 0.2 by default. */
  readonly margin?: number | undefined;
  /** Examples of a kind per group; 2 by default, so that a batch of 32 is 32 pairs. */
  readonly perGroup?: number | undefined;
  /**
   * Widths at which the first numbers of an embedding should be usable alone: the loss is the sum over these widths and
   * the whole, and `recall@1` is measured at each. See Kusupati et al., "Matryoshka Representation Learning" (2022),
   * arXiv:2205.13147.
   */
  readonly sizes?: readonly number[] | undefined;
}

/** Settings of retrieval losses; `noun` names the examples of a kind: `Images of one label`. */
export function retrievalSettings(noun: string): SettingRows<RetrievalLossOptions> {
  return {
    loss: {
      kind: 'choice',
      of: ['contrastive', 'triplet', 'info-nce'],
      description: 'contrastive (default), triplet or info-nce.',
    },
    temperature: { kind: 'number', above: 0, description: 'Divisor of cosines; 0.1 by default.' },
    margin: { kind: 'number', min: 0, description: 'Margin of triplets; 0.2 by default.' },
    perGroup: {
      kind: 'number',
      whole: true,
      min: 2,
      description: `${noun} that are trained on together; 2 by default.`,
    },
    sizes: {
      kind: 'texts',
      must: 'whole numbers of at least 1',
      to: (widths) => (widths.every((width) => /^[1-9]\d{0,5}$/.test(width)) ? widths.map(Number) : undefined),
      description:
        'Widths at which the first numbers of embeddings are to be of use alone, such as 64,128 (Matryoshka).',
    },
  };
}

const settings = settingsOf<RetrievalLossOptions>(retrievalSettings('Examples of one kind'));

/** Makes the loss of labelled embeddings, perhaps with hard negatives. @throws OnnxLoraError `CONFIG_INVALID` */
export function retrievalLoss(
  options: RetrievalLossOptions,
): (g: GraphBuilder, embeddings: Value, labels: Value, hasNegatives?: boolean) => Value {
  const { loss = 'contrastive', temperature = 0.1, margin = 0.2, perGroup = 2, sizes = [] } = options;
  settings.checkOptions(options);
  if (loss === 'info-nce' && perGroup !== 2) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The loss info-nce compares pairs, but perGroup is ${perGroup}. Leave perGroup out, or take the loss contrastive.`,
    );
  }
  const wrong = sizes.find((size) => !Number.isInteger(size) || size < 1);
  if (wrong !== undefined)
    throw new OnnxLoraError('CONFIG_INVALID', `sizes must be whole numbers of at least 1, but one is ${wrong}.`);
  const whole = (g: GraphBuilder, embeddings: Value, labels: Value, hasNegatives: boolean): Value => {
    if (loss === 'triplet') return batchHardTriplet(g, embeddings, labels, { margin });
    if (loss === 'contrastive') return supervisedContrastive(g, embeddings, labels, { temperature });
    const [left, right, negatives] = places(embeddings, hasNegatives ? 3 : 2).map((rows) => g.Gather(embeddings, g.ints(rows), 0)); // prettier-ignore
    return infoNce(g, left!, right!, { temperature, negatives });
  };
  return (g, embeddings, labels, hasNegatives = false) =>
    sizes.reduce(
      (sum, size) => g.Add(sum, whole(g, firstNumbers(g, embeddings, size), labels, hasNegatives)),
      whole(g, embeddings, labels, hasNegatives),
    );
}

function firstNumbers(g: GraphBuilder, embeddings: Value, size: number): Value {
  const width = embeddings.shape?.[1];
  if (typeof width !== 'number' || size < width) return g.Slice(embeddings, [0], [size], [1]);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `Embeddings have ${width} numbers, and sizes has ${size}. Name smaller ones: the whole width counts by itself.`,
  );
}

/** Rows at the first, second, … position of their groups. */
function places({ shape }: Value, perGroup: number): readonly number[][] {
  const groups = Number(shape![0]) / perGroup;
  return Array.from({ length: perGroup }, (_, place) => Array.from({ length: groups }, (__, i) => perGroup * i + place)); // prettier-ignore
}
