/** @file Examples of audio tasks with classes, labels or numbers: data, feeds, heads and mistakes in reports. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type ClassAnswer,
  type Examples,
  type HeadOption,
  type HeadPort,
  describedPorts,
  mistakeCaption,
  missingHeadError,
  type ReportClip,
  type ReportSection,
  type ShownMistakes,
  type TaskHead,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { monoAt } from '../../audio/audio.ts';
import { toWave } from '../../audio/formats/wav.ts';
import type { LoadedAudio } from '../../data/speechDataset.ts';
import type { SpeechRecord, SpeechSource } from '../../data/speechRecord.ts';
import { audioPorts } from '../audioFeeds.ts';
import { openAudioTask, type OpenedAudioTask, type AudioTrainingOptions } from '../audioTask.ts';

/** Options of tasks with one answer per recording. */
export interface AudioTaskOptions extends AudioTrainingOptions, HeadOption {}

/** Mistakes in a report, and the most seconds of each. */
const MISTAKES = 12;
const MOST_SECONDS = 20;

/** The recordings of a source. */
export function audioExamples(source: SpeechSource, options: AudioTaskOptions): Examples<LoadedAudio, SpeechRecord> {
  return {
    noun: 'recordings',
    one: 'recording',
    root: typeof source === 'string' ? source : 'the data',
    tagging: 'audio-tagging',
    open: async (model) => {
      const ports = audioPorts(model);
      const task = await openAudioTask(model, source, options);
      return {
        data: task.data,
        known: ({ where, labels, values }) => ({ place: where, labels, values }),
        own: headOf(model),
        attach: attached,
        dataset: task.dataset,
        feeds: (examples) => {
          const clips = examples.map(({ features }) => features);
          return task.feeds(ports, clips, examples[0]?.draw !== undefined).feeds;
        },
        mistakes: (worst, shown) => players(worst.slice(0, MISTAKES), shown, task),
      };
    },
  };
}

/** The model's own head, if it has one. */
function headOf({ outputs: { logits } }: TaskModel): HeadPort | undefined {
  const outputs = logits?.dims?.length === 2 && logits.type === 'float32' ? logits.dims[1] : undefined;
  return typeof outputs === 'number' ? { output: 'logits', outputs } : undefined;
}

/** The head of a model that needs one. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
export function requiredHead(model: TaskModel): HeadPort {
  const head = headOf(model);
  if (head) return head;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not classify sound: it has no float32 output "logits" [batch, classes] (it has ${describedPorts(model.outputs)}). Name the adapter that brings its head, or export it with one.`,
  );
}

/**
 * The new head of an encoder, pooled as transformers' classifiers: the mean over frames, or AST's pooled output.
 * @see transformers, `Wav2Vec2ForSequenceClassification`, `WhisperForAudioClassification`, `ASTForAudioClassification`
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
function attached(model: TaskModel, labels: readonly string[]): TaskHead {
  const { pooler_output: pooler, last_hidden_state: states } = model.outputs;
  const on = (output: string, pool: 'all' | 'mean'): TaskHead => ({
    output: 'logits',
    labels,
    head: { output, labels, attach: { pool } },
  });
  if (pooler?.dims?.length === 2) return on('pooler_output', 'all');
  if (states?.dims?.length === 3) return on('last_hidden_state', 'mean');
  const isRecogniser = model.outputs['logits']?.dims?.length === 3;
  throw missingHeadError(
    model,
    isRecogniser
      ? 'Its scores are for each frame, as a recogniser has them'
      : 'It gives neither scores nor features of sound',
  );
}

async function players(
  worst: readonly ClassAnswer[],
  { labels, records, text }: ShownMistakes<SpeechRecord>,
  { reader, extractor }: OpenedAudioTask,
): Promise<ReportSection> {
  const clips = await Promise.all(
    worst.map(async (answer): Promise<ReportClip> => {
      const { audio, span, where } = records[answer.index]!;
      const samples = await monoAt(reader, audio, extractor.sampleRate, span);
      return {
        title: where,
        audio: toWave(samples.subarray(0, MOST_SECONDS * extractor.sampleRate), extractor.sampleRate),
        lines: [
          { label: 'class', pieces: [{ text: labels[answer.truth]! }] },
          { label: 'answer', pieces: [{ text: mistakeCaption(answer, labels), mark: 'wrong' }] },
        ],
      };
    }),
  );
  return { kind: 'clips', title: 'Worst mistakes', text, clips };
}
