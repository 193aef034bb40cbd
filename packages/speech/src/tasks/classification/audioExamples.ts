/** @file Recordings as tasks with classes, labels or numbers take them: how they are read, fed and shown. */

import {
  type ClassAnswer,
  type Examples,
  type HeadOption,
  mistakeCaption,
  noHead,
  type ReportClip,
  type ReportSection,
  type ShownMistakes,
  type TaskHead,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { monoAt } from '../../audio/audio.ts';
import { toWave } from '../../audio/wave.ts';
import type { LoadedSound } from '../../data/speechDataset.ts';
import type { SpeechRecord, SpeechSource } from '../../data/speechRecord.ts';
import { openSoundTask, type SoundTask, type SoundTaskOptions } from '../soundTask.ts';
import { audioPorts } from './audioPorts.ts';

/** Options of every task with one answer per recording. */
export interface AudioTaskOptions extends SoundTaskOptions, HeadOption {}

/** Mistakes that the report plays, and the most seconds of each. */
const MISTAKES = 12;
const MOST_SECONDS = 20;

/** The recordings of a folder, a manifest, or whatever else `readSpeechData` reads. */
export function audioExamples(source: SpeechSource, options: AudioTaskOptions): Examples<LoadedSound, SpeechRecord> {
  return {
    noun: 'recordings',
    one: 'recording',
    root: typeof source === 'string' ? source : 'the data',
    tagging: 'audio-tagging',
    open: async (model) => {
      const { head, ...ports } = audioPorts(model);
      const task = await openSoundTask(model, source, options);
      return {
        data: task.data,
        known: ({ where, labels, values }) => ({ place: where, labels, values }),
        own: head,
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

/**
 * The head of an encoder without one: on the mean of its frames, as transformers' classifiers of wav2vec2's kind and of Whisper's
 * encoder have it; AST's, on its pooled output.
 *
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
  throw noHead(
    model,
    isRecogniser
      ? 'Its scores are for each frame, as a recogniser has them'
      : 'It gives neither scores nor features of sound',
  );
}

/** Mistakes to be listened to. */
async function players(
  worst: readonly ClassAnswer[],
  { labels, records, text }: ShownMistakes<SpeechRecord>,
  { reader, extractor }: SoundTask,
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
