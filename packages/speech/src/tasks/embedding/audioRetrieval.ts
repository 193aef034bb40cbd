/** @file Teaches a model which recordings are of one kind, such as one speaker, and measures how well one finds the others. */

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
import type { SpeechDataset, SpeechExample } from '../../data/speechDataset.ts';
import type { SpeechRecord, SpeechSource } from '../../data/speechRecord.ts';
import { frameCount } from '../frameCount.ts';
import { ownFrames } from '../frameTargets.ts';
import { soundPorts } from '../audioFeeds.ts';
import { openSoundTask, type SoundTask, type SoundTaskOptions } from '../soundTask.ts';
import { embeddingsFrom, embeddingValue } from './frameMeans.ts';
import { soundFeature } from './soundFeatures.ts';

/** Options of {@link audioRetrieval}. */
export interface AudioRetrievalOptions extends SoundTaskOptions, RetrievalLossOptions {
  /** The graph output that is the feature; see `AudioEmbedderOptions`. */
  readonly output?: string | undefined;
}

/** Recordings of one kind. */
export type AudioGroup = KindGroup<SpeechExample<number>>;

/**
 * Metric learning on recordings: those of one kind are drawn together, others apart. The kind is the label, or where there are
 * no labels the speaker, so that voices can be told apart that were not trained on. An example is a group of `perGroup`
 * recordings of one kind. Held-out recordings search each other; they may be of other kinds than those that are trained on.
 *
 * @example
 * ```ts
 * const run = await train(model, { task: audioRetrieval('voices', { validation: 0.2 }), lora: { r: 8 } });
 * ```
 */
export function audioRetrieval(
  source: SpeechSource,
  options: AudioRetrievalOptions = {},
): Task<AudioGroup, RetrievalScores> {
  return { name: 'audio-retrieval', prepare: (model) => prepare(model, source, options) };
}

async function prepare(
  model: TaskModel,
  source: SpeechSource,
  { loss, temperature, margin, perGroup = 2, output, ...options }: AudioRetrievalOptions,
): Promise<PreparedTask<AudioGroup, RetrievalScores>> {
  const lossOf = retrievalLoss({ loss, temperature, margin, perGroup });
  const ports = soundPorts(model);
  const feature = soundFeature(model, output);
  const task = await openFairly(model, source, options);
  const { data } = task;
  const count = frameCount(model);
  const names = [...new Set([...data.train, ...(data.validation ?? [])].map(kindOf))].sort();
  const numbers = new Map(names.map((name, i) => [name, i]));
  const kinds = async (records: readonly SpeechRecord[], isTrained: boolean): Promise<KindItems<SpeechExample<number>>> =>
    itemsOf(await task.dataset(records, records.map((record) => numbers.get(kindOf(record))!), isTrained)); // prettier-ignore
  const { seed = 0, augment = [] } = options;
  const training = await kinds(data.train, true);
  const train = new PkSampler(training, { perGroup, isAugmented: augment.length > 0, seed, noun: 'recordings' });
  const held = data.validation && (await kinds(data.validation, false));
  if (data.validation && !haveAPair(data.validation)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `No two of the ${data.validation.length} held-out recordings are of one kind, so none can find another. Hold more recordings out.`,
    );
  }
  const collate = async (groups: readonly AudioGroup[]): Promise<Batch> => {
    const items = groups.flatMap((group) => group.items);
    const clips = items.map(({ features }) => features);
    const { feeds, ...sound } = task.feeds(ports, clips, items[0]?.draw !== undefined);
    const labels = int64(groups.flatMap((group) => group.items.map(() => group.label)), [items.length]); // prettier-ignore
    return { inputs: feeds, targets: { labels, ...ownFrames(items, ports, sound, count) } };
  };
  const embeddingsOf = embeddingsFrom(feature.output);
  const shown = held ?? itemsOf(await task.dataset(data.train, training.labels, false));
  const singles = new SingleKinds(shown);
  return {
    train,
    ...(held && { validation: singles }),
    warnings: data.warnings,
    outputs: feature.inner,
    collate,
    loss: (g, outputs, targets) => lossOf(g, embeddingValue(g, outputs[feature.output]!, targets), targets['labels']!),
    metrics: () => new RetrievalMetrics(embeddingsOf),
    report: (request) =>
      embeddingScatter(
        { dataset: singles, collate, labels: shown.labels, names, embeddingsOf, noun: 'recordings' },
        request,
      ),
  };
}

/**
 * The data. What is held out unasked must be able to find another recording of its kind: if need be more of them are held out,
 * or none.
 */
async function openFairly(model: TaskModel, source: SpeechSource, options: SoundTaskOptions): Promise<SoundTask> {
  const { holdOut, validation } = options;
  const task = await openSoundTask(model, source, options);
  const isFair = ({ data }: SoundTask): boolean => !data.validation || haveAPair(data.validation);
  if (isFair(task) || holdOut === undefined || validation !== undefined) return task;
  const larger = await openSoundTask(model, source, { ...options, holdOut: Math.min(0.5, 2 * holdOut) });
  return isFair(larger) ? larger : openSoundTask(model, source, { ...options, holdOut: undefined });
}

/** Whether any recording can find another of its kind. */
function haveAPair(records: readonly SpeechRecord[]): boolean {
  return new Set(records.map(kindOf)).size < records.length;
}

function itemsOf(dataset: SpeechDataset<number>): KindItems<SpeechExample<number>> {
  return {
    labels: dataset.targets,
    nameOf: (index) => dataset.nameOf(index),
    keyOf: (index) => dataset.keyOf(index),
    load: (index, draw) => dataset.get(index, draw),
  };
}

/** What a recording is of: its label, or else who speaks. */
function kindOf({ labels = [], speaker, where }: SpeechRecord): string {
  const kind = labels[0] ?? speaker;
  if (kind !== undefined && labels.length <= 1) return kind;
  throw new OnnxLoraError(
    'DATA_INVALID',
    labels.length > 1
      ? `${where} has ${labels.length} labels, so nothing says which recordings are of one kind. Give it one.`
      : `${where} has neither a label nor a speaker, so nothing says which recordings are of one kind. Name one of them in a manifest, or put recordings into a folder for each kind.`,
  );
}
