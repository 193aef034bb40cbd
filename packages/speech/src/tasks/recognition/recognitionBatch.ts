/** @file Batches of a model that writes: its ports, what it is fed, and what it is to write. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { logSumExp, type MetricCollector, type MetricsNamed, type TaskModel } from '@onnx-lora/sdk/tasks';
import { best } from '@onnx-lora/sequences';

/** Names in the graph of an encoder with a decoder. */
export interface RecognitionPorts {
  /** What the encoder reads: `input_features` `[batch, mels, frames]`, or `input_values` `[batch, samples]`. */
  readonly input: string;
  /** The tokens so far, int64 `[batch, length]`. */
  readonly tokens: string;
  /** Float `[batch, length, vocabulary]`. */
  readonly logits: string;
}

/**
 * The ports of a model that writes token by token, as transformers calls them.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
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

/** Labels with this value do not count. */
export const IGNORED = -100;

/**
 * The decoder's tokens and the labels, int64 `[batch, length]`: each row is fed what begins a transcript and its labels
 * without the last, so that every position is asked for the next. Shorter rows are fed `pad` at their end, and what is asked
 * for there does not count.
 *
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

/** How many labels count. */
export function countLabels({ data }: Tensor): number {
  let count = 0;
  for (const label of data as BigInt64Array) if (Number(label) !== IGNORED) count++;
  return count;
}

/** Rows of up to so many labels are all padded alike. */
const SHORT = 64;

/**
 * How many labels the rows of a batch are padded to: as many as the longest of all data has, or half or a quarter of that …
 * where these are long. A graph for training is built for the shapes of a batch, and built again for others, which takes longer
 * than a few labels that do not count.
 */
export function labelLength(longestOfBatch: number, longestOfAll: number): number {
  let length = longestOfAll;
  while (length > SHORT && longestOfBatch <= Math.ceil(length / 2)) length = Math.ceil(length / 2);
  return Math.max(length, longestOfBatch);
}

/** Metrics of {@link TeacherForcedMetrics}. */
export type TeacherForcedScores = MetricsNamed<'loss' | 'tokenAccuracy'>;

/**
 * Mean cross-entropy of the labels, and the share of them that the best score names. Each token is asked for after the true
 * ones before it, so this takes one pass; error rates of text that the model writes by itself take many.
 */
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
