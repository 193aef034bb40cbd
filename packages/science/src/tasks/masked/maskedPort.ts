/** @file The output of a model that guesses masked tokens. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';

/** Scores of each token of the vocabulary. */
export interface MaskedPort {
  /** Name of the output, float32 `[batch, tokens, size]`. */
  readonly output: string;
  /** At least as many as the vocabulary has: published models pad theirs. */
  readonly size: number;
}

/**
 * The output with scores of the vocabulary for each token: `logits`, or the only one of that shape.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without it, as an encoder alone or a classifier
 */
export function maskedPort(model: TaskModel, tokenizer: SequenceTokenizer): MaskedPort {
  const fitting = Object.entries(model.outputs).flatMap(([output, { dims }]) => {
    const size = dims?.[2];
    return dims?.length === 3 && typeof size === 'number' && size >= tokenizer.size ? [{ output, size }] : [];
  });
  const [only] = fitting;
  // Hidden states of an encoder are as wide as a vocabulary by chance alone, and are no scores.
  const found = fitting.find(({ output }) => output === 'logits') ?? (fitting.length === 1 ? only : undefined);
  if (found && found.output !== 'last_hidden_state') return found;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" does not guess masked tokens: that takes an output "logits" [batch, tokens, ${tokenizer.size} or more], and its outputs are ${listedPorts(model.outputs)}. Export the model with the head that it was pre-trained with (task fill-mask).`,
  );
}
