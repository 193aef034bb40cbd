/** @file Speech recognition with CTC models: wav2vec2, HuBERT, WavLM, MMS and others. */

import { type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  batchesOf,
  bestPaths,
  ctc,
  type CtcTokenizer,
  type PreparedTask,
  type ReportRequest,
  type ReportSection,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { monoAt } from '../../audio/audio.ts';
import type { SpeechDataset, SpeechExample } from '../../data/speechDataset.ts';
import type { SpeechRecord, SpeechSource } from '../../data/speechRecord.ts';
import { transcriptSections } from '../../report/transcriptSections.ts';
import type { TextNormaliser } from '../../text/normalise/basicNormaliser.ts';
import { isEnglish, type ScoringOptions, scoringNormaliser } from '../../text/normalise/englishNormaliser.ts';
import { openAudioTask, type OpenedAudioTask, type AudioTrainingOptions } from '../audioTask.ts';
import { ctcPorts, frameScores } from './ctcPorts.ts';
import { type CtcTarget, ctcTargets, framesNeeded, CtcMetrics, type CtcScores } from './ctcLoss.ts';
import { frameLengths, framesOf, frameCount } from '../audioFeeds.ts';
import { type CtcWords, ctcWords, type CtcWordsOptions } from './ctcWords.ts';

/** Options of {@link ctcRecognition}. */
export interface CtcRecognitionOptions extends AudioTrainingOptions, CtcWordsOptions, ScoringOptions {
  /**
   * `mean`, the default: each clip's loss divided by its number of characters, then the mean over the batch, so that
   * micro-batches add up. `sum`: the sum of all. transformers' config.json defaults to `sum` (`ctc_loss_reduction`),
   * its CTC script to `mean`.
   */
  readonly reduction?: 'mean' | 'sum' | undefined;
}

/**
 * Speech recognition with a CTC model. The vocabulary is the model's; if it lacks letters of the transcripts, as in a
 * new language, the model gets a new vocabulary and head, which is trained in full and saved with the adapter. Targets
 * are those of `ctcTargets`.
 * @example
 * ```ts
 * const task = ctcRecognition('clips/manifest.csv', { validation: 0.1 });
 * const { adapter } = await (await train(wav2vec2, { task })).done;
 * ```
 */
export function ctcRecognition(
  source: SpeechSource,
  options: CtcRecognitionOptions = {},
): Task<SpeechExample<CtcTarget>, CtcScores> {
  return { name: 'speech-recognition', prepare: (model) => prepare(model, source, options) };
}

type Example = SpeechExample<CtcTarget>;

async function prepare(
  model: TaskModel,
  source: SpeechSource,
  { reduction = 'mean', head, language, ...options }: CtcRecognitionOptions,
): Promise<PreparedTask<Example, CtcScores>> {
  const ports = ctcPorts(model);
  const task = await openAudioTask(model, source, options);
  const { data } = task;
  const texts = [...data.train, ...(data.validation ?? [])].map(textOf);
  const trained = texts.slice(0, data.train.length);
  const words = await ctcWords(model, ports, trained.length > 0 ? trained : texts, {
    head,
    language,
  });
  const { tokenizer } = words;
  const spoken = [...data.train, ...(data.validation ?? [])].map((record) => record.language ?? language ?? '');
  const normalise = scoringNormaliser(options, spoken.every(isEnglish));
  const output = ports.logits ?? 'logits';
  const count = frameCount(model);
  const targets = texts.map((text, utterance): CtcTarget => ({ ids: tokenizer.encode(words.write(text)), utterance }));
  const train = await task.dataset(data.train, targets.slice(0, data.train.length), true);
  const validation = data.validation && (await task.dataset(data.validation, targets.slice(data.train.length), false));
  const collate: PreparedTask<Example>['collate'] = async (examples) => {
    const clips = examples.map(({ features }) => features);
    const { feeds, ...sound } = task.feeds(ports, clips, examples[0]?.draw !== undefined);
    const wanted = examples.map(({ target }) => target);
    return { inputs: feeds, targets: ctcTargets(wanted, sound, count) };
  };
  const heard: Hearing = (outputs, own, batch) => {
    const scores = frameScores(outputs, output);
    const paths = bestPaths(scores, batch && framesOf(batch, scores.dims[1]!));
    return paths.map((ids) => own?.decodeFrames(ids) ?? '');
  };
  const framesOfClip =
    count &&
    ((features: Tensor): number =>
      count(features.dims.length === 1 ? features.dims[0]! : task.feeds(ports, [features], false).lengths[0]!));
  return {
    train: fitting(train, framesOfClip),
    ...(validation && { validation: fitting(validation, framesOfClip) }),
    warnings: [...data.warnings, ...words.warnings],
    ...(data.alsoFits && { alsoFits: data.alsoFits }),
    ...(words.head && { head: words.head }),
    collate,
    loss: (g, outputs, batch) =>
      ctc(g, outputs[output]!, batch['labels']!, {
        blank: tokenizer.blank,
        inputLengths: frameLengths(g, batch, outputs[output]!),
        reduction,
        // Otherwise a clip that an augmentation made too short for its text would stop the run.
        zeroInfinity: true,
      }),
    ...(reduction === 'mean' && { lossWeight: ({ labels }) => labels!.dims[0]! }),
    metrics: () => new CtcMetrics({ output, tokenizer, texts, normalise }),
    ...(validation && {
      report: (request) => report({ task, words, validation, collate, texts, normalise, heard }, request),
    }),
  };
}

type Hearing = (
  outputs: Readonly<Record<string, Tensor>>,
  tokenizer: CtcTokenizer | undefined,
  targets?: Feeds,
) => string[];

interface ReportParts {
  readonly task: OpenedAudioTask;
  readonly validation: SpeechDataset<CtcTarget>;
  readonly collate: PreparedTask<Example>['collate'];
  readonly texts: readonly string[];
  readonly normalise: TextNormaliser;
  readonly words: CtcWords;
  readonly heard: Hearing;
}

async function report(
  { task: { reader, extractor }, words, validation, collate, texts, normalise, heard }: ReportParts,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const utterances: Parameters<typeof transcriptSections>[0]['utterances'][number][] = [];
  for await (const { indices, batch } of batchesOf({ dataset: validation, collate }, request.batchSize)) {
    const before = heard(await request.run(batch.inputs, 'base'), words.base, batch.targets);
    const after = heard(await request.run(batch.inputs, 'adapted'), words.tokenizer, batch.targets);
    for (const [row, index] of indices.entries()) {
      const { audio, span } = validation.records[index]!;
      utterances.push({
        name: validation.nameOf(index),
        samples: () => monoAt(reader, audio, extractor.sampleRate, span),
        rate: extractor.sampleRate,
        reference: texts[validation.targets[index]!.utterance]!,
        before: before[row]!,
        after: after[row]!,
      });
    }
  }
  return transcriptSections({ utterances, normalise });
}

function textOf({ text, labels = [], where }: SpeechRecord): string {
  if (text !== undefined) return text;
  const labelled = labels.length > 0 ? ' To learn its label instead, take the task audio-classification.' : '';
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where} has no transcript. Give it one, or leave the recording out.${labelled}`,
  );
}

/** A dataset that rejects clips too short for their transcripts. */
function fitting(
  dataset: SpeechDataset<CtcTarget>,
  count: ((features: Tensor) => number) | undefined,
): PreparedTask<Example>['train'] {
  if (!count) return dataset;
  return {
    length: dataset.length,
    isDeterministic: dataset.isDeterministic,
    weights: dataset.weights,
    lengths: dataset.lengths,
    nameOf: (index) => dataset.nameOf(index),
    keyOf: (index) => dataset.keyOf(index),
    get: async (index, draw) => {
      const example = await dataset.get(index, draw);
      const { features, target, where } = example;
      const [frames, needed] = [count(features), framesNeeded(target.ids)];
      if ((frames >= needed && frames > 0) || (draw !== undefined && !dataset.isDeterministic)) return example;
      throw new OnnxLoraError(
        'DATA_INVALID',
        `${where}: ${target.ids.length} characters cannot be said in ${frames} frames, which is all that the model makes of this recording. Correct its transcript, or leave it out.`,
      );
    },
  };
}
