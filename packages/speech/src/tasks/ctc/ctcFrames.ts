/** @file What a CTC model says, frame by frame, as text and as words with their times. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { CtcTokenizer } from '@onnx-lora/sdk/tasks';

/** A word and the frames it is said in: `end` is the first after it. */
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

/** The label that stands between words; undefined where there is none. */
export function delimiterOf(tokenizer: CtcTokenizer): number | undefined {
  const [id] = tokenizer.encode(' ');
  return id === tokenizer.unknown ? undefined : id;
}

/** The ids that were written: what repeats is one, and there are no blanks. */
export function writtenIds(ids: readonly number[], blank: number): number[] {
  return ids.filter((id, i) => id !== blank && id !== ids[i - 1]);
}

/**
 * The scores called `name`.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when they are missing or have another shape; `LOSS_NOT_FINITE` when one is no number
 */
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
