/** @file Teaches a model which sequences are of one kind, such as one family, and measures how well one finds the others. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Batch,
  embeddingScatter,
  type KindGroup,
  PkSampler,
  type KindItems,
  type PreparedTask,
  retrievalLoss,
  type RetrievalLossOptions,
  RetrievalMetrics,
  type RetrievalScores,
  SingleKinds,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { heldOutNote, type SequenceSource } from '../../data/sequenceRecord.ts';
import { openSequenceTask } from '../openSequenceTask.ts';
import type { SequenceDataset, SequenceExample, SequenceTask, SequenceTaskOptions } from '../sequenceTask.ts';
import { embeddingsBy, embeddingValue, poolingWeights } from './poolingWeights.ts';
import { type Kinds, kindsOf } from './retrievalRecords.ts';
import { type FeatureOptions, sequenceFeature } from './sequenceFeature.ts';

/** Options of {@link sequenceRetrieval}. */
export interface SequenceRetrievalOptions extends SequenceTaskOptions, RetrievalLossOptions, FeatureOptions {}

/** Sequences of one kind. */
export type SequenceGroup = KindGroup<SequenceExample<number>>;

/**
 * Metric learning on sequences: those of one kind are drawn together, others apart. The kind is the label, or the group where there
 * are no labels; of pairs, the two of each belong together. An example is a group of `perGroup` sequences of one kind. Held-out
 * sequences search each other; they may be of other kinds than those that are trained on.
 *
 * @example
 * ```ts
 * const run = await train(model, { task: sequenceRetrieval('families.csv', { validation: 0.2 }), lora: { r: 8 } });
 * ```
 */
export function sequenceRetrieval(
  source: SequenceSource,
  options: SequenceRetrievalOptions = {},
): Task<SequenceGroup, RetrievalScores> {
  return { name: 'sequence-retrieval', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: SequenceSource,
  { loss, temperature, margin, perGroup = 2, output, pool = 'mean', ...options }: SequenceRetrievalOptions,
): Promise<PreparedTask<SequenceGroup, RetrievalScores>> {
  if (options.tooLong === 'windows') {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'The task sequence-retrieval compares whole rows, and reads no windows. Take tooLong: crop, or error.',
    );
  }
  const lossOf = retrievalLoss({ loss, temperature, margin, perGroup });
  const feature = sequenceFeature(model, output);
  const task = await openFairly(model, source, options);
  const { data } = task;
  const training = kindsOf(data.train);
  const held = data.validation && kindsOf(data.validation);
  if (held && !haveAPair(held)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `No two of the ${held.records.length} held-out sequences are of one kind, so none can find another. Hold more sequences out.`,
    );
  }
  const names = [...new Set([...training.kinds, ...(held?.kinds ?? [])])].sort();
  const numbers = new Map(names.map((name, i) => [name, i]));
  const itemsOf = ({ records, kinds }: Kinds, isTrained: boolean): KindItems<SequenceExample<number>> =>
    kindItems(task.dataset(records, kinds.map((kind) => numbers.get(kind)!), { isTrained })); // prettier-ignore
  const train = new PkSampler(itemsOf(training, true), {
    perGroup,
    isAugmented: false,
    seed: options.seed ?? 0,
    noun: 'sequences',
  });
  const collate = (groups: readonly SequenceGroup[]): Promise<Batch> => {
    const items = groups.flatMap((group) => group.items);
    const rows = items.map(({ row }) => row);
    const inputs = task.feeds(rows, items[0]?.draw !== undefined);
    const labels = int64(groups.flatMap((group) => group.items.map(() => group.label)), [items.length]); // prettier-ignore
    return Promise.resolve({
      inputs,
      targets: { labels, ...poolingWeights(rows, inputs[task.ports.ids]!.dims[1]!, pool) },
    });
  };
  const embeddingsOf = embeddingsBy(feature);
  const shown = itemsOf(held ?? training, false);
  const singles = new SingleKinds(shown);
  return {
    train,
    ...(held && { validation: singles }),
    notes: [heldOutNote(data)],
    warnings: data.warnings,
    outputs: feature.inner,
    collate,
    loss: (g, outputs, targets) => lossOf(g, embeddingValue(g, outputs, targets, feature), targets['labels']!),
    metrics: () => new RetrievalMetrics(embeddingsOf),
    report: (request) =>
      embeddingScatter(
        { dataset: singles, collate, labels: shown.labels, names, embeddingsOf, noun: 'sequences' },
        request,
      ),
  };
}

/**
 * The data. What is held out unasked must be able to find another sequence of its kind: if need be more of them are held out, at
 * random, or none.
 */
async function openFairly(
  model: TaskModel,
  source: SequenceSource,
  options: SequenceTaskOptions,
): Promise<SequenceTask> {
  const { holdOut, validation } = options;
  const task = await openSequenceTask(model, source, options);
  const isFair = ({ data }: SequenceTask): boolean => !data.validation || haveAPair(kindsOf(data.validation));
  if (isFair(task) || holdOut === undefined || validation !== undefined) return task;
  const larger = await openSequenceTask(model, source, { ...options, holdOut: Math.min(0.5, 2 * holdOut) });
  return isFair(larger) ? larger : openSequenceTask(model, source, { ...options, holdOut: undefined });
}

/** Whether any sequence can find another of its kind. */
function haveAPair({ kinds }: Kinds): boolean {
  return new Set(kinds).size < kinds.length;
}

function kindItems(dataset: SequenceDataset<number>): KindItems<SequenceExample<number>> {
  return {
    labels: dataset.targets,
    nameOf: (index) => dataset.nameOf?.(index) ?? String(index),
    keyOf: (index) => dataset.keyOf(index),
    load: (index, draw) => dataset.get(index, draw),
  };
}
