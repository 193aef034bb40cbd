/** @file Batches of encoder-decoder models: ports, decoder inputs and labels. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { logSumExp, type MetricCollector, type MetricsNamed, type TaskModel } from '@onnx-lora/sdk/tasks';
import { best } from '@onnx-lora/sequences';

export interface RecognitionPorts {
  /** `input_features` `[batch, mels, frames]`, or `input_values` `[batch, samples]`. */
  readonly input: string;
  /** Decoder tokens, int64 `[batch, length]`. */
  readonly tokens: string;
  /** Float `[batch, length, vocabulary]`. */
  readonly logits: string;
}

/** The ports, by transformers' names. @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has */
export function recognitionPorts(model: TaskModel): RecognitionPorts {
  const input = ['input_features', 'input_values'].find((name) => name in model.inputs);
  const tokens = 'decoder_input_ids';
  const logits = 'logits';
  if (input !== undefined && tokens in model.inputs && model.outputs[logits]?.dims?.length === 3) {
    return { input, tokens, logits };
  }
  const has = Object.keys(model.inputs).join(', ');
  const hint =
    input === undefined && 'encoder_hidden_states' in model.inputs
      ? 'This is a decoder alone: name the folder, whose encoder and decoder are trained as one.'
      : input !== undefined && 'last_hidden_state' in model.outputs
        ? 'This is an encoder alone: name the folder, whose encoder and decoder are trained as one.'
        : 'Export it with optimum-cli export onnx --task automatic-speech-recognition.';
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not write what it hears: that takes the inputs input_features (or input_values) and decoder_input_ids, and the output logits [batch, length, vocabulary], but it has the inputs ${has} and the outputs ${Object.keys(model.outputs).join(', ')}. ${hint}`,
  );
}

export const IGNORED = -100;

/**
 * Decoder tokens and labels, int64 `[batch, length]`: tokens are the labels shifted right after `start`. Shorter rows
 * are padded with `pad`, with ignored labels.
 * @param start the token that begins a transcript
 * @param length labels of each row
 */
export function labelBatch(
  rows: readonly (readonly number[])[],
  { start, pad, length }: { readonly start: number; readonly pad: number; readonly length: number },
): { readonly tokens: Tensor; readonly labels: Tensor } {
  const tokens = rows.flatMap((row) => Array.from({ length }, (_, i) => (i === 0 ? start : (row[i - 1] ?? pad))));
  const labels = rows.flatMap((row) => Array.from({ length }, (_, i) => row[i] ?? IGNORED));
  const dims = [rows.length, length];
  return { tokens: int64(tokens, dims), labels: int64(labels, dims) };
}

/** Number of labels that are not ignored. */
export function countLabels({ data }: Tensor): number {
  let count = 0;
  for (const label of data as BigInt64Array) if (Number(label) !== IGNORED) count++;
  return count;
}

/** Rows up to this length share one padded length. */
const SHORT = 64;

/**
 * The padded length of labels: the longest's, or a half, a quarter … of it, since a training graph is built per shape.
 */
export function labelLength(longestOfBatch: number, longestOfAll: number): number {
  let length = longestOfAll;
  while (length > SHORT && longestOfBatch <= Math.ceil(length / 2)) length = Math.ceil(length / 2);
  return Math.max(length, longestOfBatch);
}

export type TeacherForcedScores = MetricsNamed<'loss' | 'tokenAccuracy'>;

/** Teacher-forced cross-entropy and accuracy of labels, in one pass instead of generated text. */
export class TeacherForcedMetrics implements MetricCollector<TeacherForcedScores> {
  readonly #logits: string;
  #loss = 0;
  #right = 0;
  #count = 0;

  /** @param logits name of the output */
  constructor(logits: string) {
    this.#logits = logits;
  }

  update(outputs: Readonly<Record<string, Tensor>>, { labels }: Feeds): void {
    const logits = outputs[this.#logits];
    const vocabulary = logits?.dims[2];
    const rows = labels!.data as BigInt64Array;
    if (!logits || vocabulary === undefined || logits.data.length !== rows.length * vocabulary) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `The output "${this.#logits}" is [${logits?.dims.join(', ')}], and labels are [${labels!.dims.join(', ')}]: it must have scores for each label.`,
      );
    }
    const scores = logits.data as Float32Array;
    for (const [row, label] of rows.entries()) {
      if (Number(label) === IGNORED) continue;
      const own = scores.subarray(row * vocabulary, (row + 1) * vocabulary);
      this.#loss += logSumExp(own) - own[Number(label)]!;
      if (best(own) === Number(label)) this.#right++;
      this.#count++;
    }
  }

  result(): TeacherForcedScores {
    return { loss: this.#loss / this.#count, tokenAccuracy: this.#right / this.#count };
  }
}
