/** @file Retrieval of recordings of the same kind, such as speaker: metric learning and its scores. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  checkedTask,
  hasPositivePair,
  type KindData,
  type KindGroup,
  openWithFairHoldOut,
  type RetrievalLossOptions,
  type RetrievalScores,
  retrievalSettings,
  retrievalTask,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import type { SpeechExample } from '../../data/speechDataset.ts';
import type { SpeechRecord, SpeechSource } from '../../data/speechRecord.ts';
import { frameCount, ownFrames, audioPorts } from '../audioFeeds.ts';
import { audioSettings, type AudioTask, audioTask, type AudioTrainingOptions, openAudioTask } from '../audioTask.ts';
import { audioFeature, embedding, featureSettings, frameMeans, frameMeanValue } from './audioEmbedder.ts';

/** Options of {@link audioRetrieval}. */
export interface AudioRetrievalOptions extends AudioTrainingOptions, RetrievalLossOptions {
  /** The graph output that is the feature; see `AudioEmbedderOptions`. */
  readonly output?: string | undefined;
}

/** Recordings of one kind. */
export type AudioGroup = KindGroup<SpeechExample<string>>;

const settings = settingsOf<AudioRetrievalOptions>({
  ...featureSettings,
  ...retrievalSettings('Recordings of one kind'),
  ...audioSettings,
});

/**
 * Metric learning on recordings: embeddings of one kind move together, others apart. The kind is the label, or else the
 * speaker, so that unseen voices can be told apart. An example is a group of `perGroup` recordings of one kind.
 * Held-out recordings, also of unseen kinds, search each other.
 * @example
 * ```ts
 * const run = await train(model, { task: audioRetrieval('voices', { validation: 0.2 }), lora: { r: 8 } });
 * ```
 */
export function audioRetrieval(
  source: SpeechSource,
  options: AudioRetrievalOptions = {},
): Task<AudioGroup, RetrievalScores> {
  const { loss, temperature, margin, perGroup, sizes, output, ...data } = options;
  const own = { loss, temperature, margin, perGroup, sizes, seed: options.seed };
  const request = { name: 'audio-retrieval', noun: 'recordings', ...own };
  const task = retrievalTask<SpeechExample<string>>(request, async (model) => {
    const ports = audioPorts(model);
    const feature = audioFeature(model, output);
    const task = await openWithFairHoldOut(
      (own) => openAudioTask(model, source, own),
      data,
      ({ data: { validation } }) => !validation || hasPositivePair(validation.map(kindOf)),
    );
    const { train, validation, warnings } = task.data;
    const count = frameCount(model);
    const kinds = async (
      records: readonly SpeechRecord[],
      isTrained: boolean,
    ): Promise<KindData<SpeechExample<string>>> => {
      const names = records.map(kindOf);
      return { kinds: names, dataset: await task.dataset(records, names, isTrained) };
    };
    return {
      train: await kinds(train, true),
      validation: validation && (await kinds(validation, false)),
      isAugmented: (data.augment ?? []).length > 0,
      warnings,
      outputs: feature.inner,
      batch: (items) => {
        const { feeds, ...sound } = task.feeds(ports, items.map(({ features }) => features), items[0]?.draw !== undefined); // prettier-ignore
        return { inputs: feeds, targets: ownFrames(items, ports, sound, count) };
      },
      embeddingsOf: (outputs, targets) => frameMeans(outputs, feature.output, targets),
      embeddingValue: (g, outputs, targets) => frameMeanValue(g, outputs[feature.output]!, targets),
    };
  });
  return checkedTask(settings, options, task);
}

/** The task `audio-retrieval`, which answers with embeddings. */
export const audioRetrievalTask: AudioTask = audioTask({
  name: 'audio-retrieval',
  description:
    'Embeddings in which recordings of one label, or one speaker, lie together; the data is as for audio-classification.',
  settings,
  // Groups of several recordings each; the loss needs all at once.
  defaults: { batchSize: 8 },
  task: audioRetrieval,
  ...embedding,
});

/** The kind of a recording: its label, or else the speaker. */
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
