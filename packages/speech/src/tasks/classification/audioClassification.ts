/** @file Teaches and tests classifiers of sound: words, emotions, speakers, languages, events. */

import { int64, OnnxLoraError } from '@onnx-lora/sdk';
import { telling } from '@onnx-lora/sdk/data';
import {
  answersOf,
  calibrationSection,
  type ClassAnswer,
  type ClassificationScores,
  type ClassifierOptions,
  classifierParts,
  classTable,
  differentLabels,
  heldOutScores,
  labelTargets,
  type LabelVector,
  labelVector,
  mistakeCaption,
  multiLabelParts,
  type MultiLabelPartsOptions,
  type MultiLabelScores,
  type PreparedTask,
  type ReportClip,
  type ReportSection,
  type Task,
  type TaskHead,
  type TaskModel,
  unknownLabel,
  worstMistakes,
} from '@onnx-lora/sdk/tasks';
import { monoAt } from '../../audio/audio.ts';
import { toWave } from '../../audio/wave.ts';
import type { SpeechDataset, SpeechExample } from '../../data/speechDataset.ts';
import type { SpeechRecord, SpeechSource } from '../../data/speechRecord.ts';
import { openSoundTask, type SoundTask, type SoundTaskOptions } from '../soundTask.ts';
import { audioHead } from './audioHead.ts';
import { type AudioPorts, audioPorts } from './audioPorts.ts';

/** Mistakes that the report plays, and the most seconds of each. */
const MISTAKES = 12;
const MOST_SECONDS = 20;
const NOUN = 'recordings';

/** What is common to classifiers with one label and with several. */
export interface AudioTaskOptions extends SoundTaskOptions {
  /**
   * Whether the model gets a new head. `auto` keeps its own where that knows the data's labels; where a few of them are
   * strange to it, that is an error, for they may be misspelt. `new` always makes one, `keep` never.
   */
  readonly head?: 'auto' | 'new' | 'keep' | undefined;
}

/** Options of {@link audioClassification}. */
export interface AudioClassificationOptions extends AudioTaskOptions, ClassifierOptions {}

/** Options of {@link audioTagging}. */
export interface AudioTaggingOptions extends AudioTaskOptions, MultiLabelPartsOptions {}

/**
 * One class per recording. `source` is a folder with a folder of recordings per class, or any other data that
 * `readSpeechData` reads, with a column of labels. Where the model does not know the classes it gets a new head, which is
 * trained in full and saved with the adapter. Targets are `{ labels: int64 [batch] }`.
 *
 * @example
 * ```ts
 * const task = audioClassification('commands', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function audioClassification(
  source: SpeechSource,
  options: AudioClassificationOptions = {},
): Task<SpeechExample<number>, ClassificationScores> {
  return { name: 'audio-classification', prepare: (model) => prepareClasses(model, source, options) };
}

/**
 * Any number of labels per recording, such as the events that are heard in it, of a manifest with a column `labels`. Binary
 * cross-entropy of each label; otherwise as {@link audioClassification}. Targets are `{ labels: float32 [batch, labels] }`.
 */
export function audioTagging(
  source: SpeechSource,
  options: AudioTaggingOptions = {},
): Task<SpeechExample<LabelVector>, MultiLabelScores> {
  return { name: 'audio-tagging', prepare: (model) => prepareLabels(model, source, options) };
}

interface Opened {
  readonly task: SoundTask;
  readonly ports: AudioPorts;
  readonly head: TaskHead;
}

async function open(model: TaskModel, source: SpeechSource, options: AudioTaskOptions): Promise<Opened> {
  const ports = audioPorts(model);
  const task = await openSoundTask(model, source, options);
  const root = typeof source === 'string' ? source : 'the data';
  const names = differentLabels(
    telling(task.data).flatMap(({ labels = [] }) => labels),
    { root, noun: NOUN },
  );
  return { task, ports, head: audioHead(model, ports, names, { root, mode: options.head ?? 'auto' }) };
}

async function prepareClasses(
  model: TaskModel,
  source: SpeechSource,
  options: AudioClassificationOptions,
): Promise<PreparedTask<SpeechExample<number>, ClassificationScores>> {
  const { task, ports, head } = await open(model, source, options);
  const { output, labels } = head;
  const numbers = new Map(labels.map((label, id) => [label, id]));
  const numberOf = (record: SpeechRecord): number => {
    const label = onlyLabel(record);
    const number = numbers.get(label);
    if (number === undefined) throw unknownLabel(record.where, label, labels);
    return number;
  };
  const { data } = task;
  const train = await task.dataset(data.train, data.train.map(numberOf), true);
  const validation = data.validation && (await task.dataset(data.validation, data.validation.map(numberOf), false));
  const collate: PreparedTask<SpeechExample<number>>['collate'] = async (examples) => ({
    inputs: feedsOf(task, ports, examples),
    targets: { labels: int64(examples.map(({ target }) => target), [examples.length]) }, // prettier-ignore
  });
  const heldOut = validation && { dataset: validation, collate, truths: validation.targets };
  const { temperature, ...parts } = classifierParts({
    ...options,
    model,
    output,
    labels,
    targets: train.targets,
    validation: heldOut,
    noun: NOUN,
  });
  return {
    train,
    ...(validation && { validation }),
    warnings: data.warnings,
    ...(head.head && { head: head.head }),
    collate,
    ...parts,
    ...(heldOut && {
      report: async (request): Promise<readonly ReportSection[]> => {
        const scores = await heldOutScores(heldOut, request, { output, labels });
        const fitted = options.calibrate ? temperature() : undefined;
        const answers = answersOf(scores, fitted);
        return [
          ...(await mistakes(answers, { task, validation: heldOut.dataset, labels })),
          classTable(labels, answers, NOUN),
          ...(fitted === undefined ? [] : [calibrationSection(scores, fitted, NOUN)]),
        ];
      },
    }),
  };
}

async function prepareLabels(
  model: TaskModel,
  source: SpeechSource,
  options: AudioTaggingOptions,
): Promise<PreparedTask<SpeechExample<LabelVector>, MultiLabelScores>> {
  const { task, ports, head } = await open(model, source, options);
  const { output, labels } = head;
  const vector = (record: SpeechRecord): LabelVector => labelVector(record.labels ?? [], labels, record.where);
  const { data } = task;
  const train = await task.dataset(data.train, data.train.map(vector), true);
  const validation = data.validation && (await task.dataset(data.validation, data.validation.map(vector), false));
  const collate: PreparedTask<SpeechExample<LabelVector>>['collate'] = async (examples) => {
    const vectors = examples.map(({ target }) => target);
    return { inputs: feedsOf(task, ports, examples), targets: labelTargets(vectors, labels.length) };
  };
  return {
    train,
    ...(validation && { validation }),
    warnings: data.warnings,
    ...(head.head && { head: head.head }),
    collate,
    ...multiLabelParts({
      ...options,
      model,
      output,
      labels,
      targets: train.targets,
      validation: validation && { dataset: validation, collate },
      noun: NOUN,
    }),
  };
}

function feedsOf(
  task: SoundTask,
  ports: AudioPorts,
  examples: readonly SpeechExample<unknown>[],
): Awaited<ReturnType<PreparedTask['collate']>>['inputs'] {
  const clips = examples.map(({ features }) => features);
  return task.feeds(ports, clips, examples[0]?.draw !== undefined).feeds;
}

function onlyLabel({ labels = [], where }: SpeechRecord): string {
  const [label, ...more] = labels;
  if (label !== undefined && more.length === 0) return label;
  throw new OnnxLoraError(
    'DATA_INVALID',
    more.length > 0
      ? `${where} has ${labels.length} labels (${labels.slice(0, 5).join(', ')}), and audio classification gives one per recording. Take the task audio-tagging.`
      : `${where} has no label. Give it one, or leave the recording out.`,
  );
}

interface MistakeSource {
  readonly task: SoundTask;
  readonly validation: SpeechDataset<number>;
  readonly labels: readonly string[];
}

/** The most confident wrong answers, to be listened to. */
async function mistakes(
  answers: readonly ClassAnswer[],
  { task: { reader, extractor }, validation, labels }: MistakeSource,
): Promise<readonly ReportSection[]> {
  const { worst, text } = worstMistakes(answers, MISTAKES, NOUN);
  if (worst.length === 0) return [];
  const clips = await Promise.all(
    worst.map(async (answer): Promise<ReportClip> => {
      const { audio, span } = validation.records[answer.index]!;
      const samples = await monoAt(reader, audio, extractor.sampleRate, span);
      const heard = samples.subarray(0, MOST_SECONDS * extractor.sampleRate);
      return {
        title: validation.nameOf(answer.index),
        audio: toWave(heard, extractor.sampleRate),
        lines: [
          { label: 'class', pieces: [{ text: labels[answer.truth]! }] },
          { label: 'answer', pieces: [{ text: mistakeCaption(answer, labels), mark: 'wrong' }] },
        ],
      };
    }),
  );
  return [{ kind: 'clips', title: 'Worst mistakes', text, clips }];
}
