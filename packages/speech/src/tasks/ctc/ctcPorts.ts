/** @file Ports of a CTC model, and words from its frames. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { type CtcTokenizer, describedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type AudioPorts, audioPorts } from '../audioFeeds.ts';

export interface CtcPorts extends AudioPorts {
  /** Scores `[batch, frames, labels]`, float32; absent in an encoder without a head. */
  readonly logits?: string;
  readonly labels?: number;
  /** Features `[batch, frames, width]` of an encoder without a head. */
  readonly states?: string;
}

/** True for audio input and scores per frame without a decoder, or a speech encoder that could get such a head. */
export function isCtc(model: TaskModel): boolean {
  const inputs = Object.keys(model.inputs).filter((name) => name !== 'attention_mask');
  const hears = inputs.length === 1 && ['input_values', 'input_features'].includes(inputs[0]!);
  // Encoders of encoder-decoder models get no CTC head.
  const hasDecoder = model.config?.['is_encoder_decoder'] === true;
  const { logits, last_hidden_state: states } = model.outputs;
  return hears && !hasDecoder && (logits ?? states)?.dims?.length === 3;
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has */
export function ctcPorts(model: TaskModel): CtcPorts {
  const { logits, last_hidden_state: states } = model.outputs;
  const given = logits ?? states;
  if (given?.type !== 'float32' || given.dims?.length !== 3) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" has no float32 output "logits" [batch, frames, labels] (it has ${describedPorts(model.outputs)}). Use the float32 file of a model with a CTC head.`,
    );
  }
  const labels = given.dims[2];
  const port = logits
    ? { logits: 'logits', ...(typeof labels === 'number' && { labels }) }
    : { states: 'last_hidden_state' };
  return { ...audioPorts(model), ...port };
}

/** A word and its frames; `end` is exclusive. */
export interface FramedWord {
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

/** The words in the best ids of frames. */
export function framedWords(ids: readonly number[], tokenizer: CtcTokenizer): FramedWord[] {
  const delimiter = delimiterOf(tokenizer);
  const words: FramedWord[] = [];
  let own: number[] = [];
  let [start, end] = [0, 0];
  const close = (): void => {
    const word = tokenizer.decode(own);
    if (word !== '') words.push({ word, start, end });
    own = [];
  };
  for (const [frame, id] of ids.entries()) {
    if (id === tokenizer.blank) continue;
    if (id === delimiter) close();
    else {
      if (own.length === 0) start = frame;
      end = frame + 1;
      if (id !== ids[frame - 1]) own.push(id);
    }
  }
  close();
  return words;
}

/** The label between words, if there is one. */
export function delimiterOf(tokenizer: CtcTokenizer): number | undefined {
  const [id] = tokenizer.encode(' ');
  return id === tokenizer.unknown ? undefined : id;
}

/** Merges repeats and removes blanks. */
export function writtenIds(ids: readonly number[], blank: number): number[] {
  return ids.filter((id, i) => id !== blank && id !== ids[i - 1]);
}

/** Checks the scores called `name`. @throws OnnxLoraError `INPUT_INVALID`; `LOSS_NOT_FINITE` for NaN */
export function frameScores(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const tensor = outputs[name];
  if (!(tensor?.data instanceof Float32Array) || tensor.dims.length !== 3) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The output "${name}" must be float32 [batch, frames, labels], but the session gave ${tensor ? `${tensor.type} [${tensor.dims.join(', ')}]` : 'nothing'}. Check that the outputs are those of the model the task was prepared for.`,
    );
  }
  if (tensor.data.every((score) => score < Infinity)) return tensor;
  throw new OnnxLoraError(
    'LOSS_NOT_FINITE',
    `The output "${name}" has a score that is no number. The adapter has probably diverged: train it again with a lower learning rate.`,
  );
}
