/** @file The recognition task of encoder-decoder models. */

import {
  type Batch,
  crossEntropy,
  ErrorCounter,
  type PreparedTask,
  type ReportRequest,
  type ReportSection,
  type TaskModel,
  type MetricsNamed,
} from '@onnx-lora/sdk/tasks';
import type { SpeechDataset, SpeechExample } from '../../data/speechDataset.ts';
import type { FeatureExtractor } from '../../features/featureExtractor.ts';
import { transcriptSections } from '../../report/transcriptSections.ts';
import type { TextNormaliser } from '../../text/normalise/basicNormaliser.ts';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';
import { audioFeeds } from '../audioFeeds.ts';
import {
  countLabels,
  IGNORED,
  labelBatch,
  labelLength,
  type RecognitionPorts,
  TeacherForcedMetrics,
  type TeacherForcedScores,
} from './recognitionBatch.ts';
import type { TranscriptLabels } from './transcriptLabels.ts';
import type { Transcriptions } from './transcriptions.ts';

export type RecognitionExample = SpeechExample<readonly number[]>;

type RecognitionDataset = SpeechDataset<readonly number[]>;

export interface RecognitionTaskParts {
  readonly model: TaskModel;
  readonly ports: RecognitionPorts;
  readonly extractor: FeatureExtractor;
  readonly inputSizes?: PreparedTask['inputSizes'];
  readonly tokenizer: SpeechTokenizer;
  readonly labels: TranscriptLabels;
  readonly longest: number;
  readonly train: RecognitionDataset;
  readonly validation: RecognitionDataset | undefined;
  readonly warnings: readonly string[];
  readonly alsoFits: PreparedTask['alsoFits'];
  readonly transcriptions: Transcriptions;
  readonly normalise: TextNormaliser;
}

/** Waveforms are padded to multiples of this, in seconds, so that few training graphs are built. */
const PADDED_SECONDS = 0.5;

/** Makes the task. */
export function recognitionTask(
  parts: RecognitionTaskParts,
): PreparedTask<RecognitionExample, MetricsNamed<'wer' | 'cer'>, TeacherForcedScores> {
  const { train, validation, warnings, alsoFits, inputSizes, ports, transcriptions, normalise } = parts;
  const { records } = validation ?? train;
  return {
    train,
    ...(validation && { validation }),
    warnings,
    ...(alsoFits && { alsoFits }),
    ...(inputSizes && { inputSizes }),
    collate: async (examples) => batchOf(examples, parts),
    loss: (g, outputs, targets) =>
      crossEntropy(g, outputs[ports.logits]!, targets['labels']!, { ignoreIndex: IGNORED, countedOnly: true }),
    lossWeight: (targets) => countLabels(targets['labels']!),
    metrics: () => new TeacherForcedMetrics(ports.logits),
    measure: async (request) => {
      const heard = await transcriptions.of(request);
      const read = [...heard.keys()].filter((i) => heard[i] !== undefined);
      // The collector reports why nothing could be read.
      if (read.length === 0) return { metrics: { wer: NaN, cer: NaN }, ...(request.examples ? { examples: 0 } : {}) };
      const counter = new ErrorCounter(normalise);
      for (const i of read) counter.add(records[i]!.text!, heard[i]!);
      const { wer, cer } = counter.rates();
      return {
        metrics: { wer, cer },
        draws: counter.draws(),
        ...(request.examples ? { examples: request.examples.length } : {}),
      };
    },
    ...(validation && { report: (request) => reportOf(request, parts, validation) }),
  };
}

function batchOf(
  examples: readonly RecognitionExample[],
  { model, ports, extractor, labels: { start, pad }, longest }: RecognitionTaskParts,
): Batch {
  const rows = examples.map(({ target }) => target);
  const length = labelLength(Math.max(...rows.map((row) => row.length)), longest);
  const { tokens, labels } = labelBatch(rows, { start, pad, length });
  const clips = examples.map(({ features }) => features);
  const multiple = clips[0]!.dims.length === 1 ? Math.round(PADDED_SECONDS * extractor.sampleRate) : 1;
  const mask = 'attention_mask' in model.inputs ? { mask: 'attention_mask' } : {};
  const { feeds } = audioFeeds(extractor, { input: ports.input, ...mask }, clips, multiple);
  return { inputs: { ...feeds, [ports.tokens]: tokens }, targets: { labels } };
}

async function reportOf(
  { model, adapter, options, batchSize }: ReportRequest,
  { transcriptions, normalise, extractor }: RecognitionTaskParts,
  { records }: RecognitionDataset,
): Promise<readonly ReportSection[]> {
  // Unreadable recordings were reported when measured.
  const request = { model, options, batchSize, onBadSample: () => undefined };
  const before = await transcriptions.of(request);
  const after = await transcriptions.of({ ...request, adapter });
  const utterances = records.flatMap(({ where, text }, i) =>
    before[i] === undefined || after[i] === undefined
      ? []
      : {
          name: where,
          samples: () => transcriptions.samplesOf(i),
          rate: extractor.sampleRate,
          reference: text!,
          before: before[i],
          after: after[i],
        },
  );
  return transcriptSections({ utterances, normalise });
}
